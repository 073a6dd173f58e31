//! The flags that leave out directories by what is in them. They are borg's.

use std::ffi::OsString;

use clap::Args;

use super::WHAT;

/// Which directories are left out for a tag in them.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TagFlags {
    /// Leaves out directories that a CACHEDIR.TAG says are caches (EXCLUDE_CACHES)
    #[arg(long, help_heading = WHAT)]
    pub(crate) exclude_caches: bool,
    /// Leaves out directories that hold a file or directory of this name; repeatable (EXCLUDE_IF_PRESENT, comma-separated)
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    pub(crate) exclude_if_present: Vec<OsString>,
    /// Of directories that are left out so, keeps the directory itself and what tags it (KEEP_EXCLUDE_TAGS)
    #[arg(long, help_heading = WHAT)]
    pub(crate) keep_exclude_tags: bool,
}
