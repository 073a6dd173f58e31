//! What a restore does with an archive that has lost something.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::below;

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
    const FILES: u32 = 2_000;
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
    let _ = refused.says(&["list of items", "nothing was restored", &older, "--to DIR", "check --repair"]).does_not_say("again");
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
