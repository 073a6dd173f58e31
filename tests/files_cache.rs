//! Unchanged files are neither opened nor stored again; changed ones are.

use std::collections::BTreeSet;
use std::fs;
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
    assert!(opened(&keeper).iter().all(|name| !name.starts_with("player-")), "unchanged files were opened");

    tree::write(&keeper.world().join("001/player-00123.dat"), b"he moved");
    settle();
    let opened = opened(&keeper);
    let players = opened.iter().filter(|name| name.starts_with("player-")).collect::<Vec<_>>();
    assert_eq!(players, ["player-00123.dat"]);
    let target = folder.path().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

/// Lets a file system's clock tick on: a file that changed within the same tick as it was read may change again unseen,
/// so such a file is read again.
fn settle() {
    std::thread::sleep(Duration::from_millis(200));
}

/// The names of the files that a backup opens to read them.
fn opened(keeper: &Worldkeeper) -> BTreeSet<String> {
    let log = keeper.folder().join("strace.log");
    let log_name = log.to_str().unwrap();
    let strace = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log_name];
    let _ = Outcome::of(&mut keeper.command_under(&strace, ["backup"])).exits(0);
    let log = fs::read_to_string(log).unwrap();
    let opens = log.lines().filter(|line| !line.contains("O_PATH") && !line.contains("= -1"));
    // 4711 openat(7, "player-00001.dat", O_RDONLY|…) = 9
    opens.filter_map(|line| Some(line.split('"').nth(1)?.rsplit('/').next()?.to_owned())).collect()
}
