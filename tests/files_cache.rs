//! Unchanged files are neither opened nor stored again; changed ones are.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
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
    let shows_attributes =
        peers::or_skip("a file system whose ctime shows attributes", shows_attributes(folder.path()));
    if shows_attributes.is_some() {
        assert_eq!(players(asked_for_attributes(&keeper)), NONE, "unchanged files were asked for attributes");
    }

    tree::write(&keeper.world().join("001/player-00123.dat"), b"he moved");
    settle();
    assert_eq!(players(opened(&keeper)), ["player-00123.dat"]);
    // For a minute it may change without a sign, so it is read again.
    assert_eq!(players(opened(&keeper)), ["player-00123.dat"]);
    if shows_attributes.is_some() {
        assert_eq!(players(asked_for_attributes(&keeper)), ["player-00123.dat"]);
    }
    let target = folder.path().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

/// Of all that a program writes to one page of mapped memory, until that is written back half a minute later, ctime shows the first.
#[test]
fn what_is_written_to_mapped_memory_is_seen() {
    let found = if peers::on_path("python3") { Ok(()) } else { Err("it is not installed".to_owned()) };
    if peers::or_skip("python3", found).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    let database = keeper.world().join("data.mdb");
    tree::write(&database, &[b'A'; 4096]);
    settle();
    let _ = keeper.backup();
    let script = "import mmap, sys\n\
        file = open(sys.argv[1], 'r+b')\n\
        memory = mmap.mmap(file.fileno(), 0)\n\
        memory[:4] = b'BBBB'\n\
        print('first', flush=True)\n\
        sys.stdin.readline()\n\
        memory[:4] = b'CCCC'\n\
        memory.flush()\n";
    let mut game = Command::new("python3");
    game.args(["-c", script]).arg(&database).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut game = game.spawn().unwrap();
    let mut said = [0; 6];
    game.stdout.take().unwrap().read_exact(&mut said).unwrap();
    settle();
    // Nor when nothing else is there that is known.
    let _ = keeper.backup();
    let _ = keeper.backup();
    drop(game.stdin.take());
    assert!(game.wait().unwrap().success());
    let _ = keeper.backup();
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
