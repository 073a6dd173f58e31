//! restic. It compresses with zstd at its own default, and has no lz4.

use std::process::Command;

use super::{PASSPHRASE, Place, Work};

/// Adds what the work needs; false if it is none.
pub(super) fn add(command: &mut Command, place: &Place, work: Work<'_>) -> bool {
    command
        .env("RESTIC_PASSWORD", PASSPHRASE)
        .env("RESTIC_REPOSITORY", &place.repository)
        .env("RESTIC_CACHE_DIR", place.root.join("cache"));
    if let Some(far) = &place.far {
        far.prepare_restic(command);
    }
    match work {
        Work::Init => command.arg("init"),
        Work::Create(source, _) => command.arg("backup").arg(source),
        Work::Extract(target, _) => command.args(["restore", "latest", "--target"]).arg(target),
        Work::Check => command.args(["check", "--read-data"]),
        Work::List(_) => command.args(["ls", "latest"]),
        Work::Prune => command.args(["forget", "--keep-last", "1", "--prune"]),
        Work::Compact => return false,
    };
    true
}
