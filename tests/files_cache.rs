//! Unchanged files are neither opened nor stored again; changed ones are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::{Worldkeeper, below};
use worldkeeper_testkit::{peers, tree};

#[test]
fn unchanged_files_are_not_opened() {
    let found = if peers::on_path("strace") { Ok(()) } else { Err("it is not installed".to_owned()) };
    if peers::or_skip("strace", found).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    tree::world(&keeper.world(), 300, "steady");
    settle();
    let _ = keeper.backup();
    let players =
        |names: BTreeSet<String>| names.into_iter().filter(|name| name.starts_with("player-")).collect::<Vec<_>>();
    assert_eq!(players(opened(&keeper)), NONE, "unchanged files were opened");

    tree::write(&keeper.world().join("001/player-00123.dat"), b"he moved");
    settle();
    assert_eq!(players(opened(&keeper)), ["player-00123.dat"]);

    if peers::or_skip("a file system whose ctime shows attributes", shows_attributes(folder.path())).is_some() {
        assert_eq!(players(asked_for_attributes(&keeper)), NONE, "unchanged files were asked for attributes");
        tree::write(&keeper.world().join("001/player-00123.dat"), b"he moved on");
        settle();
        assert_eq!(players(asked_for_attributes(&keeper)), ["player-00123.dat"]);
    }
    let target = folder.path().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

const NONE: [&str; 0] = [];

/// Whether the file system of `path` is one of those where a change of attributes is known to show in ctime.
fn shows_attributes(path: &Path) -> Result<(), String> {
    let told = Outcome::of(Command::new("stat").args(["--file-system", "--format=%T"]).arg(path)).exits(0);
    let kind = told.stdout().trim();
    if ["ext2/ext3", "xfs", "btrfs", "tmpfs"].contains(&kind) { Ok(()) } else { Err(format!("this one is {kind}")) }
}

/// Lets a file system's clock tick on: a file that changed within the same tick as it was read may change again unseen,
/// so such a file is read again.
fn settle() {
    std::thread::sleep(Duration::from_millis(200));
}

/// The names of the files that a backup opens to read them.
fn opened(keeper: &Worldkeeper) -> BTreeSet<String> {
    named_in(keeper, "open,openat,openat2")
}

/// The names of the files whose extended attributes a backup asks for.
fn asked_for_attributes(keeper: &Worldkeeper) -> BTreeSet<String> {
    named_in(keeper, "llistxattr")
}

/// The names of the files that a backup gives to these system calls.
fn named_in(keeper: &Worldkeeper, calls: &str) -> BTreeSet<String> {
    let log = keeper.folder().join("strace.log");
    let log_name = log.to_str().unwrap();
    let strace = ["strace", "-f", "-qq", "-e", &format!("trace={calls}"), "-o", log_name];
    let _ = Outcome::of(&mut keeper.command_under(&strace, ["backup"])).exits(0);
    let log = fs::read_to_string(log).unwrap();
    let named = log.lines().filter(|line| !line.contains("O_PATH") && !line.contains("= -1"));
    // 4711 openat(7, "player-00001.dat", O_RDONLY|…) = 9
    named.filter_map(|line| Some(line.split('"').nth(1)?.rsplit('/').next()?.to_owned())).collect()
}
