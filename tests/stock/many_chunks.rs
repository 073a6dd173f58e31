//! A file of so many chunks that its item would be longer than readers take: it is left out, and told of. An archive with
//! it could not be read by anybody who means to keep within bounds, and so neither could what else is in it.

use std::fs::File;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::Worldkeeper;

use crate::place;

/// How many chunks an item lists at most.
const MAX_CHUNKS: u64 = 5_500_000;
/// Bytes; the least that a chunk of a fixed size has.
const CHUNK: u64 = 64;

#[test]
fn a_file_of_too_many_chunks_is_told_of_and_leaves_the_rest_readable() {
    let Some(borg) = Borg::newest() else { return };
    let (_folder, keeper) = place("none");
    let keeper = keeper.with("BORG_CHUNKER_PARAMS", format!("fixed,{CHUNK}"));
    tree::write(&keeper.world().join("level.dat"), b"level");
    let long = File::create(keeper.world().join("a-long-one")).unwrap();
    long.set_len(MAX_CHUNKS * CHUNK + 1).unwrap();
    let _ =
        keeper.try_run(["backup"]).exits(1).says(&["a-long-one", "more than 5500000 chunks", "BORG_CHUNKER_PARAMS"]);

    let tar = keeper.folder().join("world.tar");
    let mut packed = Command::new("tar");
    packed.args(["--create", "--sparse", "--file"]).arg(&tar).arg("--directory").arg(keeper.folder()).arg("world");
    let _ = Outcome::of(&mut packed).exits(0);
    let _ = keeper
        .try_run(["import-tar", "from-a-tar", tar.to_str().unwrap()])
        .exits(1)
        .says(&["a-long-one", "more than 5500000 chunks"]);

    let archives = keeper.archives();
    assert_eq!(archives.len(), 2);
    for archive in &archives {
        holds_the_rest(&borg, &keeper, archive);
    }
    borg.check(&keeper.repository());
    let _ = keeper.run(["check"]);
}

/// Requires that stock finds everything in an archive but the long file.
fn holds_the_rest(borg: &Borg, keeper: &Worldkeeper, archive: &str) {
    let items = borg.items(&keeper.repository(), archive);
    let paths: Vec<_> = items.iter().map(|item| item["path"].as_str().unwrap()).collect();
    assert!(paths.iter().any(|path| path.ends_with("/level.dat")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.ends_with("/a-long-one")), "{paths:?}");
}
