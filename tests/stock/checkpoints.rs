//! A run that is killed after a checkpoint: stock knows what is there, and the next run goes on from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};
use worldkeeper_tests::eventually;

use crate::{disk_usage, place};

/// Bytes that take a while to compress.
const LONG: usize = 64 << 20;

#[test]
fn what_a_killed_run_saved_is_good_for_stock_and_for_the_next_run() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (folder, keeper) = place("repokey-blake2");
    tree::sample(&keeper.world(), "checkpoints");
    let first = keeper.backup();

    let long = sha_stream("long", LONG);
    tree::write(&keeper.world().join("long"), &long);
    let commits = commits(&keeper.repository());
    let slow = keeper.clone().with("BORG_COMPRESSION", "zlib,9").with("CHECKPOINT_INTERVAL", "1s");
    let mut run = slow.spawn(["backup"]);
    eventually("a checkpoint", Duration::from_mins(1), || {
        assert!(run.try_wait().expect("it can be asked").is_none(), "it ended before there was a checkpoint");
        (commits != self::commits(&keeper.repository())).then_some(())
    });
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    // Whoever killed it knows that its lock means nothing.
    let _ = borg.run(["break-lock", &keeper.repository().display().to_string()]);

    borg.check(&keeper.repository());
    let all = || {
        let listed =
            borg.run(["list", "--short", "--consider-checkpoints", &keeper.repository().display().to_string()]);
        listed.lines()
    };
    let [_, checkpoint] = &all()[..] else { panic!("{:?}", all()) };
    assert!(checkpoint.ends_with(".checkpoint"), "{checkpoint}");
    assert_eq!(borg.archives(&keeper.repository()), [first.as_str()], "stock hides it");
    assert_eq!(keeper.archives(), [first.as_str()], "so do we");
    let parts = folder.path().join("parts");
    fs::create_dir(&parts).unwrap();
    let mut extract = borg.command();
    extract.current_dir(&parts).args(["extract", "--consider-part-files", &location(&keeper.repository(), checkpoint)]);
    assert!(extract.status().unwrap().success());
    let part = fs::read(below(&parts, &keeper.world()).join("long.borg_part_1"));
    assert!(part.is_ok_and(|part| !part.is_empty() && long.starts_with(&part)), "the part is the file's beginning");

    // Stock goes on in between, and finds the chunks too.
    let _ = borg.create(&keeper.repository(), "stock", &keeper.world(), &[]);
    let last = keeper.backup();
    assert_eq!(all(), [first, "stock".to_owned(), last], "the checkpoint is gone");
    assert!(disk_usage(&keeper.repository()) < LONG as u64 * 3 / 2, "something was stored twice");
    borg.check(&keeper.repository());
    let target = folder.path().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

/// Only the first backup of a world was begun, and the machine lost.
#[test]
fn a_checkpoint_alone_is_told_of_and_a_new_world_does_not_take_it_away() {
    let (folder, keeper) = place("none");
    tree::write(&keeper.world().join("region/r.0.0.bin"), &sha_stream("old", 100_000));
    let archive = keeper.backup();
    let checkpoint = format!("{archive}.checkpoint");
    let _ = keeper.run(["rename", &archive, &checkpoint]);
    let _ =
        keeper.run(["list"]).says(&["0 archives", "1 checkpoint of runs that were cut off", "--consider-checkpoints"]);
    let brought_back = format!("worldkeeper restore {checkpoint} --to DIR");
    let _ = keeper.try_run(["restore", "latest", "--overwrite"]).exits(2).says(&["there is no archive", &brought_back]);

    fs::remove_dir_all(keeper.world()).unwrap();
    tree::write(&keeper.world().join("level.dat"), b"new");
    let _ = keeper.run(["backup"]).says(&[&checkpoint, "stays"]);
    let _ = keeper.run(["prune"]);
    let _ = keeper.run(["run", "--once"]).says(&[&checkpoint, "stays"]);
    let target = folder.path().join("target");
    let _ = keeper.restore(&checkpoint, &target);
    let restored = below(&target, &keeper.world()).join("region/r.0.0.bin");
    assert_eq!(fs::read(restored).unwrap(), sha_stream("old", 100_000));

    tree::write(&keeper.world().join("region/r.0.0.bin"), &sha_stream("old", 60_000));
    let _ = keeper.run(["backup"]);
    let _ = keeper.run(["list"]).does_not_say("checkpoint");
}

#[test]
fn the_parts_that_stock_leaves_in_an_archive_are_not_restored() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (folder, keeper) = place("repokey-blake2");
    tree::write(&keeper.world().join("long"), &sha_stream("long", LONG));
    borg.init(&keeper.repository(), "repokey-blake2");
    let slow = ["--checkpoint-interval", "1", "--compression", "zlib,9"];
    let _ = borg.create(&keeper.repository(), "world-2026-11-06T12:00:00", &keeper.world(), &slow);
    let listed = |options: &[&str]| {
        let location = location(&keeper.repository(), "world-2026-11-06T12:00:00");
        borg.run(["list", "--short"].iter().chain(options).copied().chain([location.as_str()])).lines()
    };
    assert!(listed(&["--consider-part-files"]).len() > listed(&[]).len(), "there are parts");
    let target = folder.path().join("restored");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
    assert_eq!(keeper.run(["list", "latest"]).lines().len(), listed(&[]).len());
}

/// The indexes there are: another one after each commit.
fn commits(repository: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(repository).expect("a repository can be read").map(|entry| entry.expect("readable"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("names are text"));
    let is_index = |name: &String| {
        name.strip_prefix("index.").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    names.filter(is_index).collect()
}
