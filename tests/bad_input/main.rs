//! Bad input: each case says what to do, ends with the right exit code and leaves nothing half written.

mod game;
mod machine;
mod paths;
mod repository;
mod rights;
mod settings;
mod source;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::tree::{self, Content, listing};
use worldkeeper_testkit::worldkeeper::Worldkeeper;

/// An empty folder with a small world in it.
fn place() -> (TempDir, Worldkeeper) {
    let folder = tempfile::tempdir().expect("temporary directories can be made");
    let keeper = Worldkeeper::at(folder.path());
    tree::write(&keeper.world().join("level.dat"), b"a small world");
    (folder, keeper)
}

/// The same, with one archive in a repository.
fn place_with_archive() -> (TempDir, Worldkeeper) {
    let (folder, keeper) = place();
    let _ = keeper.backup();
    (folder, keeper)
}

/// What a command line begins with that finds no engine's socket: the machine's own engine, if it has one, listens below /run.
/// `None` where nobody may hide that.
fn machine_without_engine() -> Option<[&'static str; 6]> {
    let machine = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"];
    let tried = Outcome::of(Command::new(machine[0]).args(&machine[1..]).arg("true"));
    let is_possible = if tried.code() == Some(0) { Ok(()) } else { Err(tried.to_string()) };
    peers::or_skip("mount", is_possible).map(|()| machine)
}

/// Names and contents below a folder; times may change, files may not.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Content> {
    listing(folder).into_iter().map(|(path, entry)| (path, entry.content)).collect()
}

/// Runs `backup`, which must fail with exit code 2, say `words`, and leave the repository and the world as they were.
#[track_caller]
fn backup_is_refused(keeper: &Worldkeeper, words: &[&str]) -> Outcome {
    is_refused(keeper, &["backup"], words)
}

/// The same for any command.
#[track_caller]
fn is_refused(keeper: &Worldkeeper, args: &[&str], words: &[&str]) -> Outcome {
    let before = (contents(&keeper.repository()), contents(&keeper.world()));
    let outcome = keeper.try_run(args).exits(2).says(words);
    let after = (contents(&keeper.repository()), contents(&keeper.world()));
    assert_eq!(before, after, "something was written by {outcome}");
    outcome
}
