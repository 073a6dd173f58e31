//! The flags that say how files are read and made into archives, wherever one is made. Most are borg's.

use clap::Args;

use super::{TagFlags, WHAT, WHERE};

/// How an archive is made.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CreateFlags {
    /// Typed after a verb that makes archives of a tree, and put here when that is known.
    #[arg(skip)]
    pub(crate) tags: TagFlags,
    /// Stays on the file systems of the sources, and leaves out what is mounted within (ONE_FILE_SYSTEM)
    #[arg(short = 'x', long, global = true, help_heading = WHAT)]
    pub(crate) one_file_system: bool,
    /// Opens FIFOs and devices, and those that symlinks lead to, and stores what comes as regular files; it has to end
    /// (READ_SPECIAL)
    #[arg(long, global = true, help_heading = WHAT)]
    pub(crate) read_special: bool,
    /// Whether files of games' worlds are looked at as they are read, and broken ones named: on or off (WORLD_CHECKS;
    /// default on)
    #[arg(long, value_name = "HOW", global = true, help_heading = WHAT)]
    pub(crate) world_checks: Option<String>,
    /// Whether files of games' worlds are cut where games write them, so that little is stored again: on or off
    /// (WORLD_CUTS; default on)
    #[arg(long, value_name = "HOW", global = true, help_heading = WHAT)]
    pub(crate) world_cuts: Option<String>,
    /// How files are cut: default, buzhash,MIN_EXP,MAX_EXP,MASK_BITS,WINDOW or fixed,BLOCK,HEADER
    /// (BORG_CHUNKER_PARAMS; default buzhash,19,23,21,4095)
    #[arg(long, value_name = "PARAMS", global = true, help_heading = WHERE)]
    pub(crate) chunker_params: Option<String>,
    /// With fixed blocks, begins them anew at holes; holes of other files are not read either (SPARSE)
    #[arg(long, global = true, help_heading = WHERE)]
    pub(crate) sparse: bool,
    /// How an archive in the making is saved, so that a run that is cut off loses no more: every so often, 0 for never
    /// (CHECKPOINT_INTERVAL; default 5m)
    #[arg(short = 'c', long, value_name = "DURATION", global = true, help_heading = WHERE)]
    pub(crate) checkpoint_interval: Option<String>,
    /// How long a file system may take to answer until the run gives up, 0 for ever (READ_TIMEOUT; default 5m)
    #[arg(long, value_name = "DURATION", global = true, help_heading = WHERE)]
    pub(crate) read_timeout: Option<String>,
    /// Whether new objects are opened again before they are stored: on, off, or full, which computes their ids again too
    /// (VERIFY; default on)
    #[arg(long, value_name = "HOW", global = true, help_heading = WHERE)]
    pub(crate) verify: Option<String>,
}
