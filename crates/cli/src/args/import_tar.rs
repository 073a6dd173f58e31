//! What `import-tar` reads, and what it makes.

use std::path::PathBuf;

use worldkeeper_archive::ArchiveName;

use super::archives::new_archive;

/// What to import, and as what.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportTar {
    /// The new archive
    #[arg(value_parser = new_archive)]
    pub(crate) archive: ArchiveName,
    /// The tar, `-` for standard input. It may be compressed with gzip, xz, zstd or lz4
    pub(crate) file: PathBuf,
    /// A remark, kept in the archive
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) comment: String,
    /// Goes on behind an end mark, as for tars that were written one after the other; then the tar needs none
    #[arg(long)]
    pub(crate) ignore_zeros: bool,
    /// Lists what is imported
    #[arg(long)]
    pub(crate) list: bool,
}
