//! What a file system can hold comes back, whoever wrote the archive and whoever reads it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};
use worldkeeper_testkit::{gate, worldkeeper::Worldkeeper};

use crate::{MODES, for_mode, place, sharing_keys};

const COMPRESSIONS: [&str; 6] = ["none", "lz4", "zstd,3", "zlib,6", "lzma,0", "auto,zstd,3"];

// One test for each mode, so that they run beside each other.

#[test]
fn gate_fidelity_none() {
    every_compression(MODES[0]);
}

#[test]
fn gate_fidelity_repokey() {
    every_compression(MODES[1]);
}

#[test]
fn gate_fidelity_repokey_blake2() {
    every_compression(MODES[2]);
}

#[test]
fn gate_fidelity_authenticated() {
    every_compression(MODES[3]);
}

#[test]
fn gate_fidelity_authenticated_blake2() {
    every_compression(MODES[4]);
}

#[test]
fn gate_fidelity_keyfile() {
    every_compression(MODES[5]);
}

#[test]
fn gate_fidelity_keyfile_blake2() {
    every_compression(MODES[6]);
}

/// A mode with every compression, each with every stock at night, else with one of them in turn.
fn every_compression(mode: &str) {
    let borgs: Vec<_> = Borg::all().into_iter().map(|borg| borg.warmed().with_passphrase(PASSPHRASE)).collect();
    if borgs.is_empty() {
        return;
    }
    let folder = tree::memory_folder();
    let sources = ["one", "two"].map(|name| folder.path().join(name));
    fill(&sources[0], &sources[1]);
    let turn = MODES.iter().position(|known| *known == mode).expect("a mode") + gate::seed() as usize;
    for (number, compression) in COMPRESSIONS.iter().enumerate() {
        for shift in 0..gate::amount(1, borgs.len()) {
            let borg = &borgs[(turn + number + shift) % borgs.len()];
            eprintln!("seed {}, {mode}, {compression}, {borg}", gate::seed());
            both_ways(borg, mode, compression, &sources);
        }
    }
}

/// A source that is a file: stock leaves out all its other links, without a word. Ours has them, and stock restores them.
#[test]
fn other_links_of_a_source_are_kept() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (folder, keeper) = place("none");
    let [file, world] = ["level.dat", "world"].map(|name| folder.path().join(name));
    tree::write(&file, b"linked");
    tree::sample(&world, "linked");
    fs::hard_link(&file, world.join("link")).expect("hard links can be made");
    let sources = [&file, &world].map(|path| path.to_str().expect("a plain name"));
    // The sample has a region file, and what is compared are the same chunks, too.
    let keeper = keeper.with("BACKUP_SOURCES", sources.join(",")).with("WORLD_CUTS", "off");
    let archive = keeper.backup();
    let _ = borg.run(["create", &location(&keeper.repository(), "stock"), sources[0], sources[1]]);
    let [mut ours, theirs] = [&archive, "stock"].map(|archive| borg.items(&keeper.repository(), archive));
    let is_other = |item: &serde_json::Value| item["path"].as_str().is_some_and(|path| path.ends_with("world/link"));
    let other = ours.iter().position(is_other).expect("it is there");
    assert_eq!(ours.remove(other)["source"], ours[0]["path"]);
    assert_eq!(ours, theirs);
    let targets = ["ours", "theirs"].map(|name| folder.path().join(name));
    let _ = keeper.restore(&archive, &targets[0]);
    borg.extract(&keeper.repository(), &archive, &targets[1]);
    for target in targets {
        assert_same(&world, &below(&target, &world));
        let inode = |path: &Path| fs::metadata(below(&target, path)).expect("it is there").ino();
        assert_eq!(inode(&file), inode(&world.join("link")));
    }
}

/// Two sources with everything in them, and hard links from one to the other.
fn fill(one: &Path, two: &Path) {
    tree::nasty(&one.join("nasty"));
    tree::untimely(&one.join("untimely"));
    tree::sample(&two.join("sample"), "fidelity");
    fs::hard_link(one.join("nasty/links/hard1"), two.join("across")).expect("hard links can be made");
    fs::hard_link(two.join("sample/region/r.0.-1.mca"), one.join("nasty/links/later")).expect("hard links can be made");
}

/// Stock and we archive the same sources; the archives are the same item by item and field by field, and each of us
/// makes the same trees of either.
fn both_ways(borg: &Borg, mode: &str, compression: &str, sources: &[std::path::PathBuf; 2]) {
    let folder = tree::memory_folder();
    let keeper = sharing_keys(for_mode(Worldkeeper::at(folder.path()), mode), borg);
    let [one, two] = sources.each_ref().map(|source| source.to_str().expect("a plain name"));
    let keeper = keeper.with("BORG_COMPRESSION", compression).with("BACKUP_SOURCES", format!("{one},{two}"));
    let repository = keeper.repository();
    borg.init(&repository, mode);
    let stocks = location(&repository, "stock");
    let _ = borg.run(["create", "--compression", compression, &stocks, one, two]);
    let backup = keeper.run(["backup"]);
    assert!(backup.stderr().contains("6 files changed before 1970"), "{backup}");
    let ours = keeper.archives().pop().expect("there is an archive");

    let (theirs, found) = (borg.items(&repository, "stock"), borg.items(&repository, &ours));
    for (theirs, found) in theirs.iter().zip(&found) {
        assert_eq!(found, theirs);
    }
    assert_eq!(theirs.len(), found.len());

    let target = |name: &str| folder.path().join(name);
    borg.extract(&repository, "stock", &target("expected"));
    borg.extract(&repository, &ours, &target("stock of ours"));
    for (archive, name) in [("stock", "ours of stock's"), (ours.as_str(), "ours of ours")] {
        let to = target(name);
        let options = ["--numeric-ids", "--devices", "--setuid"];
        let _ = keeper.run(["restore", archive, "--to", to.to_str().expect("a plain name")].iter().chain(&options));
    }
    for name in ["stock of ours", "ours of stock's", "ours of ours"] {
        for source in sources {
            assert_same(&below(&target("expected"), source), &below(&target(name), source));
        }
    }
    // What a clamp changes is not in it.
    assert_same(&sources[0].join("nasty"), &below(&target("ours of stock's"), &sources[0].join("nasty")));
}
