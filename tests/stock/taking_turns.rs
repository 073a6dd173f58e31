//! Stock and we write to one repository in turn: create, delete, prune, compact.

use std::fs;
use std::path::Path;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::{MODES, disk_usage, place, sharing_keys};

#[test]
fn we_begin_in_mode_none() {
    we_begin(MODES[0]);
}

#[test]
fn we_begin_in_mode_repokey() {
    we_begin(MODES[1]);
}

#[test]
fn we_begin_in_mode_repokey_blake2() {
    we_begin(MODES[2]);
}

#[test]
fn we_begin_in_mode_authenticated() {
    we_begin(MODES[3]);
}

#[test]
fn we_begin_in_mode_authenticated_blake2() {
    we_begin(MODES[4]);
}

#[test]
fn we_begin_in_mode_keyfile() {
    we_begin(MODES[5]);
}

#[test]
fn we_begin_in_mode_keyfile_blake2() {
    we_begin(MODES[6]);
}

#[test]
fn stock_begins_in_mode_none() {
    stock_begins(MODES[0]);
}

#[test]
fn stock_begins_in_mode_repokey() {
    stock_begins(MODES[1]);
}

#[test]
fn stock_begins_in_mode_repokey_blake2() {
    stock_begins(MODES[2]);
}

#[test]
fn stock_begins_in_mode_authenticated() {
    stock_begins(MODES[3]);
}

#[test]
fn stock_begins_in_mode_authenticated_blake2() {
    stock_begins(MODES[4]);
}

#[test]
fn stock_begins_in_mode_keyfile() {
    stock_begins(MODES[5]);
}

#[test]
fn stock_begins_in_mode_keyfile_blake2() {
    stock_begins(MODES[6]);
}

/// What stock has deleted is not the last good archive any more, as soon as anybody looks; what it has renamed is.
#[test]
fn what_stock_deletes_is_missed() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey");
    tree::sample(&keeper.world(), "world");
    let [first, second] = [(), ()].map(|()| keeper.backup());
    let said = |words: &[&str]| keeper.try_run(words);
    let missed = format!("the last good archive {second} is not in the repository any more");
    let at = |archive| location(&keeper.repository(), archive);
    let _ = borg.run(["rename", &at(&second), "renamed"]);
    let _ = keeper.archives();
    let _ = said(&["doctor"]).exits(0);
    let _ = said(&["status"]).exits(0).says(&["last good", &second]);

    let _ = borg.run(["delete", &at("renamed")]);
    for _ in 0..2 {
        let _ = said(&["doctor"]).exits(1).says(&["warning", &missed, "worldkeeper backup"]);
    }
    let _ = said(&["list"]).exits(0).says(&[&missed]);
    let _ = said(&["list"]).exits(0).does_not_say("last good");
    // That it was somebody else is not forgotten before there is another one.
    let one = "somebody else has deleted 1 archive ";
    let _ = said(&["doctor"]).exits(1).says(&["warning", one, "worldkeeper backup"]);
    let _ = said(&["status"]).exits(1).says(&["last good", &first, "problem", one]).does_not_say(&second);

    let _ = borg.run(["delete", &at(&first)]);
    let _ = said(&["run", "--once"]).exits(0).says(&["the last good archive", &first]);
    let _ = said(&["doctor"]).exits(0);
    let _ = said(&["status"]).exits(0).does_not_say("somebody else");
    let _ = borg.run(["delete", &at(&keeper.archives()[0])]);
    let _ = keeper.archives();
    let _ = said(&["status"]).exits(1).says(&["last good", "none", "any more", "worldkeeper backup"]);
}

/// Who deletes all but the last good archive has deleted something, too; and what we delete ourselves is nobody else's.
#[test]
fn what_stock_deletes_of_the_others_is_counted() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey");
    tree::sample(&keeper.world(), "world");
    let archives = [(), (), (), ()].map(|()| keeper.backup());
    let _ = keeper.run(["delete", &archives[0]]);
    let _ = keeper.run(["status"]).does_not_say("somebody else");
    for archive in &archives[1..3] {
        let _ = borg.run(["delete", &location(&keeper.repository(), archive)]);
    }
    let two = "somebody else has deleted 2 archives ";
    let _ = keeper.try_run(["doctor"]).exits(1).says(&["warning", two]);
    let _ = keeper.run(["list"]).does_not_say("last good");
    let _ = keeper.try_run(["doctor"]).exits(1).says(&["warning", two]);
    // It may be that the repository is pruned from elsewhere.
    let _ = keeper.run(["status"]).says(&["last good", &archives[3]]).does_not_say("somebody else");
    // Who brings back has not deleted.
    let _ = keeper.run(["undelete", &archives[1]]);
    let _ = keeper.try_run(["doctor"]).exits(1).says(&["somebody else has deleted 1 archive "]);
    let _ = keeper.backup();
    let _ = keeper.run(["doctor"]);
    let _ = keeper.run(["status"]).does_not_say("somebody else");
}

/// Stock adds to, deletes from and compacts a repository of ours; we go on.
#[track_caller]
fn we_begin(mode: &str) {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let (folder, keeper) = place(mode);
        let keeper = sharing_keys(keeper, &borg);
        tree::sample(&keeper.world(), "first");
        let first = keeper.backup();

        let theirs = folder.path().join("theirs");
        tree::sample(&theirs, "of stock");
        let _ = borg.create(&keeper.repository(), "stock-1", &theirs, &["--compression", "zstd"]);
        let _ = borg.create(&keeper.repository(), "stock-2", &theirs, &["--compression", "zstd"]);
        let _ = borg.run(["delete", &location(&keeper.repository(), "stock-1")]);
        let _ = borg.run(["delete", &location(&keeper.repository(), &first)]);
        let _ = borg.run(["compact", &keeper.repository().display().to_string()]);

        assert_eq!(keeper.archives(), ["stock-2"], "{borg}");
        restores_to(&keeper, "stock-2", &theirs);
        go_on(&borg, &keeper, "stock-2");
    }
}

/// We add to, delete from, prune and compact a repository of stock's.
#[track_caller]
fn stock_begins(mode: &str) {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let (folder, keeper) = place(mode);
        let keeper = sharing_keys(keeper, &borg);
        let theirs = folder.path().join("theirs");
        tree::sample(&theirs, "of stock");
        tree::nasty(&theirs.join("nasty"));
        borg.init(&keeper.repository(), mode);
        for compression in ["none", "lz4", "zstd,7", "zlib,9", "lzma,1", "auto,zlib"] {
            tree::write(&theirs.join("compressed"), format!("{compression} ").repeat(50_000).as_bytes());
            let name = format!("stock-{}", compression.replace(',', "-"));
            let _ = borg.create(&keeper.repository(), &name, &theirs, &["--compression", compression]);
        }

        assert_eq!(keeper.archives(), borg.archives(&keeper.repository()), "{borg}");
        restores_to(&keeper, "stock-auto-zlib", &theirs);
        let _ = keeper.run(["delete", "stock-none", "stock-lz4", "stock-zlib-9", "stock-lzma-1", "stock-auto-zlib"]);
        go_on(&borg, &keeper, "stock-zstd-7");
    }
}

/// Backs up twice, prunes our series, deletes stock's one archive, compacts; stock agrees with all of it.
#[track_caller]
fn go_on(borg: &Borg, keeper: &Worldkeeper, stocks: &str) {
    tree::sample(&keeper.world(), "second");
    let second = keeper.backup();
    tree::sample(&keeper.world(), "third");
    let third = keeper.backup();
    borg.check(&keeper.repository());
    assert_eq!(borg.archives(&keeper.repository()), [stocks, &second, &third], "{borg}");

    // One archive of three holds the second and third world; what only the second holds must be given back.
    let before = disk_usage(&keeper.repository());
    let keep_one = keeper.clone().without("KEEP_WITHIN").with("KEEP_LAST", "1");
    let _ = keep_one.run(["prune", "--dry-run"]);
    assert_eq!(keeper.archives(), [stocks, &second, &third], "{borg}: a dry run changes nothing");
    let _ = keep_one.run(["prune"]);
    let _ = keep_one.run(["compact"]);
    assert_eq!(keeper.archives(), [stocks, &third], "{borg}: prune keeps to its series");
    let freed = before.saturating_sub(disk_usage(&keeper.repository()));
    assert!(freed > 4 << 20, "{borg}: only {freed} bytes were freed");

    let _ = keeper.run(["delete", stocks]);
    let _ = keeper.run(["compact"]);
    restores_to(keeper, "latest", &keeper.world());
    borg.check(&keeper.repository());
    assert_eq!(borg.archives(&keeper.repository()), [third.as_str()], "{borg}");
    let target = keeper.folder().join("extracted");
    borg.extract(&keeper.repository(), &third, &target);
    assert_same(&keeper.world(), &below(&target, &keeper.world()));
    let _ = borg.create(&keeper.repository(), "stock-last", &keeper.world(), &[]);
    borg.check(&keeper.repository());
}

/// Asserts that we bring `source` back from `archive`.
#[track_caller]
fn restores_to(keeper: &Worldkeeper, archive: &str, source: &Path) {
    let target = keeper.folder().join("restored");
    let _ = keeper.restore(archive, &target);
    assert_same(source, &below(&target, source));
    fs::remove_dir_all(target).unwrap();
}
