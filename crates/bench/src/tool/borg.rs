//! Stock borg.

use std::ffi::OsString;
use std::process::Command;

use super::{PASSPHRASE, Place, Work};

/// How the repositories of borg, and ours, are encrypted.
pub(super) const MODE: &str = "repokey-blake2";

/// Adds what the work needs; false if it is none.
pub(super) fn add(command: &mut Command, place: &Place, work: Work<'_>) -> bool {
    command.env("BORG_PASSPHRASE", PASSPHRASE).env("BORG_BASE_DIR", place.root.join("borg"));
    if let Some(far) = &place.far {
        far.prepare_borg(command);
    }
    let repository = &place.repository;
    let archive = |number| {
        let mut archive: OsString = repository.clone();
        archive.push(format!("::{number}"));
        archive
    };
    match work {
        Work::Init => command.args(["init", "--encryption", MODE]).arg(repository),
        Work::Create(source, number) => {
            command.args(["create", "--compression", "lz4"]).arg(archive(number)).arg(source)
        }
        Work::Extract(target, number) => command.current_dir(target).arg("extract").arg(archive(number)),
        Work::Check => command.args(["check", "--verify-data"]).arg(repository),
        Work::List(number) => command.arg("list").arg(archive(number)),
        Work::Prune => command.args(["prune", "--keep-last", "1"]).arg(repository),
        Work::Compact => command.arg("compact").arg(repository),
    };
    true
}
