//! What a restore does with an archive that has lost something.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{Worldkeeper, below};

use crate::check::{dump, id_of};
use crate::place;

/// Deletes an object of a repository.
fn delete_object(borg: &Borg, repository: &Path, id: &str) {
    let _ = borg.run(["debug", "delete-obj", repository.to_str().expect("a plain name"), id]).says(&["deleted"]);
}

/// The objects that the list of items of an archive is in.
fn list_of_items(borg: &Borg, repository: &Path, archive: &str) -> Vec<String> {
    let dump = dump(borg, repository, archive);
    dump["_meta"]["items"].as_array().expect("an archive has items").iter().map(id_of).collect()
}

/// What the files of a folder hold.
fn contents(folder: &Path) -> BTreeMap<PathBuf, String> {
    let entries = fs::read_dir(folder).expect("a folder can be read").map(|entry| entry.expect("readable").path());
    entries.map(|path| (path.clone(), fs::read_to_string(path).expect("it can be read"))).collect()
}

#[test]
fn an_archive_whose_list_has_a_gap_replaces_nothing_and_gives_elsewhere_what_is_left() {
    const FILES: u32 = 6_000;
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (folder, keeper) = place("none");
    let write = |what: &str| {
        for number in 0..FILES {
            let path = keeper.world().join(format!("{number:05}-{}", "x".repeat(100)));
            tree::write(&path, what.as_bytes());
        }
    };
    write("first");
    let older = keeper.backup();
    write("again");
    let archive = keeper.backup();
    let pieces = list_of_items(&borg, &keeper.repository(), &archive);
    assert!(pieces.len() > 2, "{}", pieces.len());
    delete_object(&borg, &keeper.repository(), &pieces[pieces.len() / 2]);
    write("newer");

    let now = contents(&keeper.world());
    let refused = keeper.try_run(["restore", "latest", "--overwrite"]).exits(2);
    let _ = refused
        .says(&["list of items", "nothing was restored", &older, "--to DIR", "check --repair"])
        .does_not_say("again");
    assert!(contents(&keeper.world()) == now, "nothing was touched");

    let target = folder.path().join("target");
    let words = ["restore", "latest", "--to", target.to_str().expect("a plain name")];
    let _ = keeper.try_run(words).exits(1).says(&["a part of the archive's list of items is lost"]);
    let left = contents(&below(&target, &keeper.world()));
    assert!(left.values().all(|content| content == "again"));
    let has = |number: u32| left.keys().any(|path| path.to_string_lossy().contains(&format!("/{number:05}-")));
    assert!(has(0) && has(FILES - 1) && left.len() < FILES as usize, "{} before and behind the gap", left.len());
    let _ = keeper.try_run(["restore", "latest", "--dry-run"]).exits(1).says(&["list of items is lost"]);

    let tar = folder.path().join("archive.tar");
    let _ = keeper.try_run(["export-tar", "latest", tar.to_str().expect("a plain name")]).exits(2).says(&["check"]);
    assert!(!tar.exists(), "nobody sees what a tar lacks");
    let _ = keeper.run(["restore", &older, "--overwrite"]);
}

/// A set-up whose archive has a file that has lost its content, which a repair of stock's has replaced by zeros.
fn zeroed(borg: &Borg, keeper: &Worldkeeper) -> String {
    tree::write(&keeper.world().join("level.dat"), b"of the archive");
    tree::write(&keeper.world().join("region/r.0.0.bin"), b"whole");
    let archive = keeper.backup();
    let repository = keeper.repository();
    let items = borg.items(&repository, &archive);
    let level = items.iter().find(|item| item["path"].as_str().expect("it has one").ends_with("level.dat"));
    delete_object(borg, &repository, &id_of(&level.expect("it is there")["chunks"][0][0]));
    let mut repair = borg.command();
    repair.env("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES").args(["check", "--repair"]).arg(&repository);
    let _ = borg.outcome(&mut repair);
    archive
}

#[test]
fn a_file_that_a_repair_filled_with_zeros_is_told_and_replaces_no_other() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (folder, keeper) = place("none");
    let archive = zeroed(&borg, &keeper);
    let path = |name: &str| folder.path().join(name).display().to_string();
    for words in [&["--dry-run"][..], &["--stdout"], &["--to", &path("target")]] {
        let told = keeper.try_run(["restore", &archive].iter().chain(words)).exits(1);
        let _ = told.says(&["level.dat", "a repair put zeros in their place"]);
    }
    let exported = keeper.try_run(["export-tar", &archive, &path("a.tar")]).exits(1);
    let _ = exported.says(&["level.dat", "a repair put zeros in their place"]);
    let _ = keeper.try_run(["status"]).exits(1).says(&["damage"]);
    let elsewhere = below(&folder.path().join("target"), &keeper.world());
    assert_eq!(fs::read(elsewhere.join("level.dat")).expect("it is there"), [0; 14], "nothing else was there");

    let level = keeper.world().join("level.dat");
    let beside = keeper.world().join("level.dat.with-zeros");
    tree::write(&level, b"newer");
    tree::write(&keeper.world().join("region/r.0.0.bin"), b"newer");
    for _ in 0..2 {
        let restored = keeper.try_run(["restore", &archive, "--overwrite"]).exits(1);
        let _ = restored.says(&["level.dat stays as it is", "level.dat.with-zeros"]);
        assert_eq!(fs::read(&level).expect("it is there"), b"newer");
        assert_eq!(fs::read(&beside).expect("it is there"), [0; 14]);
        assert_eq!(fs::read(keeper.world().join("region/r.0.0.bin")).expect("it is there"), b"whole");
    }
}
