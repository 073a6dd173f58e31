//! What whoever runs us may not do: root without the two capabilities that let it read and write everything, as in a
//! container that drops them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::{Worldkeeper, below};
use worldkeeper_testkit::{peers, tree};

use crate::{contents, place, place_with_archive};

fn without_rights(keeper: &Worldkeeper, args: &[&str]) -> Outcome {
    let drop = "-dac_override,-dac_read_search";
    let setpriv = ["setpriv".to_owned(), format!("--inh-caps={drop}"), format!("--bounding-set={drop}")];
    Outcome::of(&mut keeper.command_under(&setpriv, args))
}

fn has_root() -> bool {
    let found = if peers::is_root() { Ok(()) } else { Err("only root can give files away".to_owned()) };
    peers::or_skip("root", found).is_some()
}

fn give_away(path: &Path, mode: u32) {
    lchown(path, Some(54321), Some(54321)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn take_back(path: &Path) {
    lchown(path, Some(0), Some(0)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// One unreadable file is a warning: the rest of the world is worth an archive.
#[test]
fn an_unreadable_file() {
    if !has_root() {
        return;
    }
    let (folder, keeper) = place();
    let secret = keeper.world().join("secret.dat");
    tree::write(&secret, b"of somebody else");
    give_away(&secret, 0o600);
    let _ = without_rights(&keeper, &["backup"]).exits(1).says(&["secret.dat", "permission denied"]);
    // Nor is it forgotten: whoever asks later is told, and whoever has the archive alone.
    let _ = keeper.try_run(["status"]).exits(1).says(&["1 file could not be read: ", "secret.dat; see the log"]);
    let _ = keeper.run(["info", "latest"]).says(&["1 file could not be read: ", "secret.dat"]);
    let target = folder.path().join("target");
    let _ = keeper.restore("latest", &target);
    let restored = contents(&below(&target, &keeper.world()));
    assert!(restored.keys().any(|path| path.ends_with("level.dat")), "{restored:?}");
    assert!(!restored.keys().any(|path| path.ends_with("secret.dat")), "{restored:?}");
}

/// It is one thing that cannot be read, and most of the world.
#[test]
fn an_unreadable_directory() {
    if !has_root() {
        return;
    }
    let (_folder, keeper) = place();
    let stats = keeper.world().join("stats");
    (0..20).for_each(|at| tree::write(&stats.join(format!("{at}.json")), b"{}"));
    give_away(&stats, 0o700);
    let _ = without_rights(&keeper, &["backup"]).exits(1).says(&["cannot list", "permission denied"]);
    take_back(&stats);
    let _ = keeper.backup();
    give_away(&stats, 0o700);
    // Now it is known what was in it.
    let lacking = without_rights(&keeper, &["backup"]).exits(2);
    let _ = lacking.says(&["was made, but it lacks 1 directory with some 20 files", "hint: "]);
    let _ = keeper.try_run(["status"]).exits(1).says(&["lacks 1 directory"]);
    take_back(&stats);
    let _ = keeper.backup();
    let _ = keeper.run(["status"]);
}

/// What could never be read says nothing of what is missing now.
#[test]
fn an_unreadable_directory_that_always_was_one() {
    if !has_root() {
        return;
    }
    let (_folder, keeper) = place();
    let found = keeper.world().join("lost+found");
    fs::create_dir(&found).unwrap();
    give_away(&found, 0o700);
    let stats = keeper.world().join("stats");
    (0..20).for_each(|at| tree::write(&stats.join(format!("{at}.json")), b"{}"));
    let _ = without_rights(&keeper, &["backup"]).exits(1);
    fs::remove_dir_all(&stats).unwrap();
    let _ = without_rights(&keeper, &["backup"]).exits(1).does_not_say("lacks");
}

/// `doctor` says so before the backup does.
#[test]
fn an_unreadable_source_and_a_place_where_no_repository_can_be_made() {
    if !has_root() {
        return;
    }
    let (folder, keeper) = place();
    give_away(&keeper.world(), 0o700);
    let tried = without_rights(&keeper, &["doctor"]).exits(2);
    let _ = tried.says(&["sources", "failed", "permission denied", "make it readable"]);
    let _ = without_rights(&keeper, &["backup"]).exits(2).says(&["permission denied", "make it readable"]);
    take_back(&keeper.world());

    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    give_away(&theirs, 0o755);
    let file = keeper.world().join("level.dat");
    for (repository, why) in [(theirs.join("a/b"), "permission denied"), (file.join("r"), "not a directory")] {
        let keeper = keeper.clone().with("BORG_REPO_PATH", repository);
        for verb in ["doctor", "backup"] {
            let _ = without_rights(&keeper, &[verb]).exits(2).says(&["cannot create directory", why]);
        }
    }
}

/// Whoever may look may look, as on read-only media.
#[test]
fn a_repository_that_can_only_be_read() {
    if !has_root() {
        return;
    }
    let (folder, keeper) = place_with_archive();
    give_away(&keeper.repository(), 0o755);
    let before = contents(&keeper.repository());
    let _ = without_rights(&keeper, &["list"]).exits(0).says(&["may only be read", "without a lock"]);
    let target = folder.path().join("target");
    let _ = without_rights(&keeper, &["restore", "latest", "--to", target.to_str().unwrap()]).exits(0);
    assert_eq!(contents(&below(&target, &keeper.world())), contents(&keeper.world()));
    let _ = without_rights(&keeper, &["backup"]).exits(2).says(&["permission denied", "hint: "]);
    assert_eq!(contents(&keeper.repository()), before);
}

#[test]
fn a_target_that_cannot_be_written() {
    if !has_root() {
        return;
    }
    let (folder, keeper) = place_with_archive();
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    give_away(&target, 0o755);
    for target in [target.clone(), target.join("below")] {
        let refused = without_rights(&keeper, &["restore", "latest", "--to", target.to_str().unwrap()]).exits(2);
        let _ = refused.says(&["cannot restore into", "permission denied", "hint: "]);
    }
    // Nor does a directory stay behind of which nothing came.
    let nothing = folder.path().join("nothing");
    let words = ["restore", "latest", "nowhere", "--to", nothing.to_str().unwrap()];
    let _ = keeper.try_run(words).exits(2).says(&["holds nothing of nowhere"]);
    assert!(!nothing.exists());
}
