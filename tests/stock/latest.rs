//! What `latest` means where stock, or a clock, has made archives that it could be taken for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{segments, tree};

use crate::place;

fn level(keeper: &Worldkeeper) -> String {
    fs::read_to_string(keeper.world().join("level.dat")).expect("it is there")
}

fn play(keeper: &Worldkeeper, level: &str) {
    tree::write(&keeper.world().join("level.dat"), level.as_bytes());
}

#[test]
fn an_archive_that_is_called_so_is_not_taken_for_the_newest() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (_folder, keeper) = place("none");
    play(&keeper, "old");
    let first = keeper.backup();
    let _ = borg.create(&keeper.repository(), "latest", &keeper.world(), &[]);
    play(&keeper, "new");
    let newest = keeper.backup();
    play(&keeper, "broken");
    for words in [
        &["restore", "latest", "--overwrite"][..],
        &["list", "latest"],
        &["info", "latest"],
        &["diff", "latest", &newest],
    ] {
        let _ = keeper.try_run(words).exits(2).says(&["is called `latest`", "worldkeeper rename latest NAME"]);
    }
    assert_eq!(level(&keeper), "broken", "nothing was restored");
    let _ = keeper.run(["restore", &newest, "--overwrite"]);
    assert_eq!(level(&keeper), "new", "one that is named is meant");
    let _ = keeper.run(["rename", "latest", "by-hand"]);
    play(&keeper, "broken");
    let _ = keeper.run(["restore", "latest", "--overwrite"]);
    assert_eq!(level(&keeper), "new");
    assert_eq!(borg.archives(&keeper.repository()).len(), 3);

    for words in
        [&["rename", &first, "latest"][..], &["import-tar", "latest", "-"], &["recreate", &first, "--target", "latest"]]
    {
        let _ = keeper.try_run(words).exits(2).says(&["`latest` is how the newest archive is asked for"]);
    }
}

#[test]
fn an_archive_from_the_future_is_not_put_in_place_unless_it_is_named() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (_folder, keeper) = place("none");
    let keeper = keeper.without("KEEP_WITHIN").with("KEEP_LAST", "1");
    play(&keeper, "old");
    let before = keeper.backup();
    let series = before.split_once("-20").expect("a time follows").0;
    let future = format!("{series}-2099-01-01T00:00:00");
    let when = ["--timestamp", "2099-01-01T00:00:00"];
    let _ = borg.create(&keeper.repository(), &future, &keeper.world(), &when);
    play(&keeper, "new");
    let _ = keeper.run(["backup"]);
    let newest = keeper.archives().into_iter().find(|name| *name != before && *name != future).expect("it is there");
    play(&keeper, "broken");
    let _ = keeper.try_run(["restore", "latest", "--overwrite"]).exits(2).says(&["from the future", &future, &newest]);
    assert_eq!(level(&keeper), "broken", "nothing was restored");
    let _ = keeper.try_run(["info", "latest"]).exits(0).says(&["from the future", &future]);
    let _ = keeper.run(["restore", &newest, "--overwrite"]);
    assert_eq!(level(&keeper), "new");

    // What cannot be pruned is not said to be, and whoever looks at the exit code sees it.
    for words in [&["prune"][..], &["prune", "--dry-run"]] {
        let outcome = keeper.try_run(words).exits(2).says(&[&future, "while the clock is wrong nothing is pruned"]);
        assert_eq!(outcome.stdout(), "", "{words:?}");
    }
    let _ = keeper.try_run(["run", "--once"]).exits(1).says(&["what should follow failed"]);
    assert_eq!(keeper.archives().len(), 4);
    let _ = keeper.run(["delete", &future]);
    let _ = keeper.run(["run", "--once"]);
    assert_eq!(keeper.archives().len(), 1);
}

/// Whoever says which world is meant gets no other one.
#[test]
fn the_archives_of_another_series_are_not_put_in_its_place() {
    let (folder, keeper) = place("repokey");
    play(&keeper, "survival");
    let survival = keeper.backup();
    let creative = keeper.clone().with("WORLDKEEPER_NAME", "creative");
    let target = folder.path().join("target").display().to_string();
    play(&keeper, "creative");
    for options in [&["--overwrite"][..], &["--to", &target]] {
        let words = ["restore", "latest"].into_iter().chain(options.iter().copied());
        let _ = creative.try_run(words).exits(2).says(&["no archive of the series creative", &survival]);
    }
    assert_eq!(level(&keeper), "creative");
    let tar = folder.path().join("latest.tar").display().to_string();
    for words in [
        &["recreate", "latest", "--comment", "mine"][..],
        &["rename", "latest", "mine"],
        &["export-tar", "latest", &tar],
    ] {
        let _ = creative.try_run(words).exits(2).says(&["no archive of the series creative", &survival]);
    }
    assert!(!Path::new(&tar).exists());
    assert_eq!(keeper.archives(), [survival.as_str()]);
    let _ = keeper.run(["info", &survival]).does_not_say("mine");
    let _ = creative.run(["list", "latest"]).says(&["the newest of all is", &survival]);
    let _ = creative.run(["restore", &survival, "--overwrite"]);
    assert_eq!(level(&keeper), "survival", "one that is named is meant");
}

#[test]
fn what_the_archive_does_not_have_is_said_to_stay() {
    let (_folder, keeper) = place("repokey");
    play(&keeper, "old");
    let _ = keeper.backup();
    play(&keeper, "new");
    // A server leaves its lock; it is in no archive, and no part of a world.
    tree::write(&keeper.world().join("session.lock"), b"locked");
    let _ = keeper.run(["restore", "latest", "--overwrite"]).does_not_say("stays");
    play(&keeper, "new");
    tree::write(&keeper.world().join("region/r.9.9.mca"), b"later");
    let restored = keeper.try_run(["restore", "latest", "--overwrite"]).exits(1);
    let _ = restored.says(&["1 entry", "world/region. It may be newer", "restored 1 file"]);
    assert_eq!(level(&keeper), "old");
    fs::remove_dir_all(keeper.world().join("region")).expect("it is ours");
    let _ = keeper.run(["restore", "latest", "--overwrite"]);
}

#[test]
fn one_file_comes_back_where_the_others_are() {
    let (_folder, keeper) = place("repokey");
    play(&keeper, "old");
    tree::write(&keeper.world().join("region/r.0.0.mca"), b"");
    let _ = keeper.backup();
    let path = keeper.world().join("level.dat").display().to_string();
    let _ = keeper.try_run(["restore", "latest", &path]).exits(2).says(&["level.dat is there", "--overwrite"]);
    fs::remove_file(&path).expect("it is ours");
    let _ = keeper.run(["restore", "latest", &path]).says(&["restored 1 file"]);
    assert_eq!(level(&keeper), "old");
}

/// A volume that was made anew is a directory with nothing in it.
#[test]
fn what_is_named_comes_back_where_an_empty_directory_is() {
    let (_folder, keeper) = place("repokey");
    play(&keeper, "old");
    let _ = keeper.backup();
    let world = keeper.world();
    let words = ["restore", "latest", world.to_str().expect("it is text")];
    let _ = keeper.try_run(words).exits(2).says(&["is there", "--overwrite"]);
    fs::remove_dir_all(&world).expect("it is ours");
    fs::create_dir(&world).expect("it was removed");
    let _ = keeper.run(words).says(&["restored 1 file"]);
    assert_eq!(level(&keeper), "old");
    let elsewhere = keeper.folder().join("elsewhere");
    fs::remove_dir_all(&world).expect("it is ours");
    fs::create_dir(&elsewhere).expect("it is not there yet");
    symlink(&elsewhere, &world).expect("a link can be made");
    let _ = keeper.try_run(words).exits(2);
    assert_eq!(fs::read_dir(&elsewhere).expect("it is there").count(), 0, "a link is no directory");
}

#[test]
fn an_archive_without_a_file_is_no_world() {
    let (folder, keeper) = place("repokey");
    play(&keeper, "old");
    let _ = keeper.backup();
    fs::remove_file(keeper.world().join("level.dat")).expect("it is ours");
    let _ = keeper.try_run(["backup"]).exits(1);
    let target = folder.path().join("target").display().to_string();
    let _ = keeper.try_run(["restore", "latest", "--to", &target]).exits(1).says(&["no file at all", "list"]);
}

#[test]
fn an_archive_whose_only_file_cannot_be_read_holds_one() {
    let (folder, keeper) = place("repokey");
    tree::write(&keeper.world().join("level.dat"), &sha_stream("level", 800_000));
    let _ = keeper.backup();
    let (number, mut segment) = segments::read(&keeper.repository())
        .into_iter()
        .max_by_key(|(_, segment)| segment.len())
        .expect("there was a backup");
    segment[400_000] ^= 1;
    fs::write(keeper.repository().join(format!("data/0/{number}")), segment).expect("it is there");
    let target = folder.path().join("target").display().to_string();
    let ended = keeper.try_run(["restore", "latest", "--to", &target]).exits(1);
    let _ = ended.says(&["could not be restored"]).does_not_say("no file at all");
}

#[test]
fn what_is_put_back_does_not_take_the_place_of_a_link_to_the_world() {
    let (folder, keeper) = place("repokey");
    play(&keeper, "old");
    let _ = keeper.backup();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(keeper.world(), &elsewhere).expect("it can be moved");
    for target in ["elsewhere", "nowhere"] {
        symlink(folder.path().join(target), keeper.world()).expect("a link can be made");
        let said = ["is a symbolic link", "--to DIR"];
        let _ = keeper.try_run(["restore", "latest", "--overwrite"]).exits(2).says(&said);
        assert!(keeper.world().is_symlink(), "{target}");
        fs::remove_file(keeper.world()).expect("a link can be removed");
    }
    let _ = keeper.run(["restore", "latest"]);
    assert_eq!(level(&keeper), "old", "where nothing is, all of it is put back");

    // A link elsewhere is in nobody's way, however alike its name.
    let (link, world) = (folder.path().join("wor"), keeper.world());
    symlink(&elsewhere, &link).expect("a link can be made");
    let both = format!("{},{}", link.display(), world.display());
    let keeper = keeper.with("BACKUP_SOURCES", both);
    play(&keeper, "broken");
    let level_dat = world.join("level.dat");
    let words = ["restore", "latest", "--overwrite", level_dat.to_str().expect("it is text")];
    let _ = keeper.run(words);
    assert_eq!(level(&keeper), "old");
}

/// On a new machine the game makes a new world, and the first backup takes it.
#[test]
fn a_new_world_is_not_restored_over_itself_unasked() {
    let (folder, keeper) = place("repokey");
    play(&keeper, "old");
    for number in 0..4 {
        tree::write(&keeper.world().join(format!("region/{number}")), &vec![number; 100_000]);
    }
    let before = keeper.backup();
    fs::remove_dir_all(keeper.world()).expect("it is ours");
    play(&keeper, "new");
    let newest = keeper.backup();
    let refused = keeper.try_run(["restore", "latest", "--overwrite"]).exits(2);
    let _ = refused.says(&["1 file with 3 B", "5 files with 400", &before, &newest]);
    assert_eq!(level(&keeper), "new", "nothing was restored");
    let target = folder.path().join("target").display().to_string();
    let _ = keeper.run(["restore", "latest", "--to", &target]);
    let _ = keeper.run(["restore", &before, "--overwrite"]);
    assert_eq!(level(&keeper), "old", "one that is named is meant");

    // A world that has lost a fourth is the same world.
    tree::write(&keeper.world().join("region/0"), b"");
    let third = keeper.backup();
    let _ = keeper.run(["delete", &newest]);
    let _ = keeper.run(["restore", "latest", "--overwrite"]).says(&[&third]);
}
