//! What readers say of a repository's lock.

/// How a repository is read.
#[derive(Debug, clap::Args)]
pub(crate) struct LockFlags {
    /// Reads past the repository's lock, whoever has it: what others change meanwhile may seem to be missing or damaged
    #[arg(long)]
    pub(crate) bypass_lock: bool,
}
