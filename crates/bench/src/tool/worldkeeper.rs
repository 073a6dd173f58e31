//! Worldkeeper itself: settings come from the environment, and the first backup makes the repository: one of next to
//! nothing, so that what is measured begins where it begins for the others.

use std::fs;
use std::process::Command;

use super::borg::MODE;
use super::{PASSPHRASE, Place, Work};

/// A directory with one empty file.
const NEXT_TO_NOTHING: &str = "next-to-nothing";

/// Makes what [`Work::Init`] needs.
pub(super) fn prepare(place: &Place) -> std::io::Result<()> {
    let folder = place.root.join(NEXT_TO_NOTHING);
    fs::create_dir(&folder)?;
    fs::write(folder.join("empty"), [])
}

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
        // Of another series: what is measured is the first of its own.
        Work::Init => command
            .env("WORLDKEEPER_NAME", NEXT_TO_NOTHING)
            .arg("backup")
            .arg("--source")
            .arg(place.root.join(NEXT_TO_NOTHING)),
        // It is part of prune.
        Work::Compact => return false,
        Work::Create(source, _) => command.arg("backup").arg("--source").arg(source),
        Work::Extract(target, _) => command.args(["restore", "latest", "--to"]).arg(target),
        Work::Check => command.args(["check", "--verify-data"]),
        Work::List(_) => command.args(["list", "latest"]),
        Work::Prune => command.args(["prune", "--keep-last", "1"]),
    };
    true
}
