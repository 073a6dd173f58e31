//! A repository that looks older than the state knows, or like another one, is only read until `adopt` accepts it.

use std::ffi::OsStr;
use std::fs;

use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{Worldkeeper, below};
use worldkeeper_tests::copy;

use crate::{backup_is_refused, is_refused, place_with_archive};

#[test]
fn a_repository_that_was_rolled_back() {
    let (folder, keeper) = place_with_archive();
    let older = folder.path().join("older");
    copy(&keeper.repository(), &older);
    tree::write(&keeper.world().join("level.dat"), b"the world has changed");
    let _ = keeper.backup();
    fs::remove_dir_all(keeper.repository()).unwrap();
    fs::rename(&older, keeper.repository()).unwrap();

    only_read_until_adopted(&keeper);
}

#[test]
fn another_repository_in_its_place() {
    let (_folder, keeper) = place_with_archive();
    let (_elsewhere, other) = place_with_archive();
    fs::remove_dir_all(keeper.repository()).unwrap();
    copy(&other.repository(), &keeper.repository());

    only_read_until_adopted(&keeper);
}

/// Its id says so, even where nothing in it can be opened any more; a repair would write to it.
#[test]
fn another_repository_in_its_place_is_not_repaired() {
    let (_folder, keeper) = place_with_archive();
    let (_elsewhere, other) = place_with_archive();
    fs::remove_dir_all(keeper.repository()).unwrap();
    copy(&other.repository(), &keeper.repository());
    for segment in fs::read_dir(keeper.repository().join("data/0")).unwrap() {
        let path = segment.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if bytes.len() > 100 {
            bytes[60] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let before = tree::listing(&keeper.repository().join("data"));
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES").with("BORG_PASSPHRASE", "another");
    let _ = keeper.try_run(["check", "--repair"]).exits(2).says(&["adopt"]);
    assert_eq!(tree::listing(&keeper.repository().join("data")), before);
}

#[test]
fn the_same_repository_at_another_path_is_fine() {
    let (folder, keeper) = place_with_archive();
    let moved = folder.path().join("moved");
    fs::rename(keeper.repository(), &moved).unwrap();
    let keeper = keeper.with("BORG_REPO_PATH", &moved);
    let _ = keeper.run(["backup"]).says(&[moved.to_str().unwrap()]);
    assert_eq!(keeper.archives().len(), 2);
}

/// The state directory was lost: the repository proves our key and is taken over, with a loud line.
#[test]
fn a_repository_the_state_does_not_know() {
    let (_folder, keeper) = place_with_archive();
    fs::remove_dir_all(keeper.state()).unwrap();
    let _ = keeper.run(["backup"]).says(&["warn"]);
    assert_eq!(keeper.archives().len(), 2);
}

/// Here, a directory is taken as somebody has mounted it, but where an encryption is asked for.
#[test]
fn a_repository_that_is_not_encrypted_though_it_should_be() {
    let (_folder, keeper) = place_with_archive();
    fs::remove_dir_all(keeper.state()).unwrap();
    fs::remove_dir_all(keeper.repository()).unwrap();
    let keeper = keeper.without("BORG_PASSPHRASE");
    let _ = keeper.run(["backup", "--encryption", "none"]);
    fs::remove_dir_all(keeper.state()).unwrap();
    let _ = is_refused(&keeper, &["backup", "--encryption", "repokey-blake2"], &["not encrypted", "adopt"]);
    let _ = keeper.run(["backup"]).says(&["not encrypted, and nothing proves whose it is"]);
}

/// A volume that is not mounted leaves an empty directory, or none. A new repository there would hide that.
#[test]
fn no_repository_where_one_was() {
    let (folder, keeper) = place_with_archive();
    let path = keeper.repository();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    let words = ["mounted", "adopt", path.to_str().unwrap()];
    let _ = backup_is_refused(&keeper, &words);
    fs::create_dir(&path).unwrap();
    for args in [&["backup"][..], &["run", "--once"], &["list"], &["prune"]] {
        let _ = is_refused(&keeper, args, &words);
    }
    // Mounted again.
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    let _ = keeper.backup();

    fs::remove_dir_all(&path).unwrap();
    let _ = keeper.run([OsStr::new("adopt"), path.as_os_str()]).says(&["new repository"]);
    assert!(!path.exists(), "the next backup makes it");
    let _ = keeper.backup();
    assert_eq!(keeper.archives().len(), 1);
}

#[track_caller]
fn only_read_until_adopted(keeper: &Worldkeeper) {
    let path = keeper.repository().display().to_string();
    let _ = backup_is_refused(keeper, &["adopt", &path]);
    let archives = keeper.archives();
    assert_eq!(archives.len(), 1, "it can be listed");
    for args in [&["prune"][..], &["compact"], &["delete", &archives[0]], &["run", "--once"]] {
        let _ = is_refused(keeper, args, &["adopt"]);
    }
    let target = keeper.folder().join("target");
    let _ = keeper.restore("latest", &target);
    let restored = below(&target, &keeper.world());
    assert!(restored.exists() || target.read_dir().unwrap().next().is_some(), "it can be restored");

    let _ = keeper.run(["adopt", &path]);
    let _ = keeper.backup();
    assert_eq!(keeper.archives().len(), 2);
}
