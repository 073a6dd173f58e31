//! Worldkeeper itself: settings come from the environment, and the first backup makes the repository.

use std::process::Command;

use super::borg::MODE;
use super::{PASSPHRASE, Place, Work};

/// Adds what the work needs; false if it is none.
pub(super) fn add(command: &mut Command, place: &Place, work: Work<'_>) -> bool {
    command
        .env("BORG_PASSPHRASE", PASSPHRASE)
        .env("BORG_ENCRYPTION", MODE)
        .env("BORG_COMPRESSION", "lz4")
        .env("BORG_REPO_PATH", &place.repository)
        .env("WORLDKEEPER_STATE_DIR", place.root.join("state"))
        .env("WORLDKEEPER_NAME", "bench");
    if let Some(far) = &place.far {
        far.prepare_worldkeeper(command);
    }
    match work {
        // The first archive makes the repository, and prune compacts it.
        Work::Init | Work::Compact => return false,
        Work::Create(source, _) => command.arg("backup").arg("--source").arg(source),
        Work::Extract(target, _) => command.args(["restore", "latest", "--to"]).arg(target),
        Work::Check => command.args(["check", "--verify-data"]),
        Work::List(_) => command.args(["list", "latest"]),
        Work::Prune => command.args(["prune", "--keep-last", "1"]),
    };
    true
}
