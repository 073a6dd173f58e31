//! Stock borg is the oracle, both ways: it reads and extends what we write, we read and extend what it writes.

mod check;
mod check_options;
mod checkpoints;
mod chunkers;
mod config;
mod counter;
mod damaged;
mod dates;
mod deduplication;
mod diff;
mod edits;
mod escrow;
mod fidelity;
mod find;
mod freeing;
mod import_tar;
mod info;
mod keys;
mod latest;
mod long_paths;
mod many_chunks;
mod mounts;
mod patterns;
mod reads_ours;
mod recorded;
mod restoring;
mod special;
mod tags;
mod taking_turns;
mod tar;
mod undelete;
mod unproven;
mod world_cuts;
mod worlds;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::worldkeeper::Worldkeeper;

/// The modes this version writes.
const MODES: [&str; 7] =
    ["none", "repokey", "repokey-blake2", "authenticated", "authenticated-blake2", "keyfile", "keyfile-blake2"];

/// An empty folder and a set-up in it that makes its repository in `mode`.
fn place(mode: &str) -> (TempDir, Worldkeeper) {
    let folder = tempfile::tempdir().expect("temporary directories can be made");
    let keeper = for_mode(Worldkeeper::at(folder.path()), mode).with("BORG_ENCRYPTION", mode);
    (folder, keeper)
}

/// Takes the passphrase away where there is no key: with one, a strange repository without a key is not written to.
fn for_mode(keeper: Worldkeeper, mode: &str) -> Worldkeeper {
    if mode == MODES[0] { keeper.without("BORG_PASSPHRASE") } else { keeper }
}

/// Lets us find the key files of a stock borg, and it ours.
fn sharing_keys(keeper: Worldkeeper, borg: &Borg) -> Worldkeeper {
    let command = borg.command();
    let base = command.get_envs().find_map(|(name, value)| value.filter(|_| name == BASE_DIR));
    keeper.with(BASE_DIR, base.expect("stock has a directory of its own"))
}

const BASE_DIR: &str = "BORG_BASE_DIR";

/// The bytes that the files below `folder` take.
fn disk_usage(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder can be read").map(|entry| entry.expect("readable"));
    entries
        .map(|entry| {
            let metadata = entry.metadata().expect("an entry can be looked at");
            if metadata.is_dir() { disk_usage(&entry.path()) } else { metadata.size() }
        })
        .sum()
}
