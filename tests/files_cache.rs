//! Unchanged files are neither opened nor stored again; changed ones are.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    make_newest(&keeper.world());
    let _ = keeper.backup();
    assert!(opened(&keeper).iter().all(|name| !name.starts_with("player-")), "unchanged files were opened");

    tree::write(&keeper.world().join("001/player-00123.dat"), b"he moved");
    make_newest(&keeper.world());
    let opened = opened(&keeper);
    let players = opened.iter().filter(|name| name.starts_with("player-")).collect::<Vec<_>>();
    assert_eq!(players, ["player-00123.dat"]);
    let target = folder.path().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

/// Like borg, we do not trust the newest change time of a tree: a file may change again within the same tick of the
/// clock. So a file is made that is newer than all others.
fn make_newest(world: &Path) {
    let ctime = |path: &Path| fs::metadata(path).map(|metadata| (metadata.ctime(), metadata.ctime_nsec())).unwrap();
    let (before, newest) = (world.join("before"), world.join("newest"));
    tree::write(&before, b"");
    loop {
        tree::write(&newest, b"");
        if ctime(&newest) > ctime(&before) {
            return;
        }
    }
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
