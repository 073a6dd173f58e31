//! Worlds that are cut along their own structure, and lists of items that are cut to suit: stock reads, checks, extends and
//! rewrites what comes of it, and we go on.

use std::fs;
use std::path::Path;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree::{self, assert_same, write};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::worlds::{SECTOR, location as place_of, region, sqlite};

use crate::place;

/// A world of two regions, a database and small files.
fn world(world: &Path) {
    tree::world(&world.join("playerdata"), 60, "players");
    write(&world.join("region/r.0.0.mca"), &region("one", 3 << 20));
    write(&world.join("region/r.0.1.mca"), &region("two", 2 << 20));
    write(&world.join("map.sqlite"), &sqlite(4096, 600));
    tree::world(&world.join("stats"), 60, "stats");
}

/// What a server does that writes a chunk in its place.
fn play(world: &Path, slot: usize) {
    let path = world.join("region/r.0.0.mca");
    let mut region = fs::read(&path).unwrap();
    let start = place_of(&region, slot).0 as usize * SECTOR;
    region[start + 100..start + 200].fill(slot as u8 | 1);
    // Written now, as far as the header knows.
    region[SECTOR + slot * 4..][..4].copy_from_slice(&2_000_000_000_u32.to_be_bytes());
    fs::write(path, region).unwrap();
}

/// The sizes of a file's pieces, as stock sees them.
fn sizes(borg: &Borg, keeper: &Worldkeeper, archive: &str, name: &str) -> Vec<u64> {
    let items = borg.items(&keeper.repository(), archive);
    let item = items.iter().find(|item| item["path"].as_str().unwrap().ends_with(name)).unwrap();
    item["chunks"].as_array().unwrap().iter().map(|chunk| chunk[1].as_u64().unwrap()).collect()
}

fn unique_chunks(borg: &Borg, keeper: &Worldkeeper) -> u64 {
    let info = borg.json(["info", "--json", &keeper.repository().display().to_string()]);
    info["cache"]["stats"]["total_unique_chunks"].as_u64().unwrap()
}

#[test]
fn stock_lives_with_worlds_that_are_cut_along_their_structure() {
    for borg in Borg::all() {
        let mut borg = borg.with_passphrase(PASSPHRASE);
        let (folder, keeper) = place("repokey-blake2");
        let repository = keeper.repository();
        world(&keeper.world());
        let first = keeper.backup();
        let pieces = sizes(&borg, &keeper, &first, "r.0.0.mca");
        assert!(pieces[0] == 8192 && pieces.len() > 100, "{borg}: {pieces:?}");
        assert_eq!(sizes(&borg, &keeper, &first, "map.sqlite"), [4096; 600], "{borg}");
        let before = unique_chunks(&borg, &keeper);

        // Nothing changed, nothing is stored but what says so; what one chunk changed is little.
        let _ = keeper.backup();
        assert_eq!(unique_chunks(&borg, &keeper), before + 1, "{borg}");
        play(&keeper.world(), 20);
        let third = keeper.backup();
        let new = unique_chunks(&borg, &keeper) - before - 1;
        assert!((4..=9).contains(&new), "{borg}: the header, the chunk, of the lists what they are in: {new}");

        // Stock reads it, with caches and without.
        borg.check(&repository);
        let target = folder.path().join("theirs");
        borg.extract(&repository, &third, &target);
        assert_same(&keeper.world(), &below(&target, &keeper.world()));
        borg.forget();
        // It extends it; we read what it made, and go on as if nothing had been.
        let _ = borg.create(&repository, "stock", &keeper.world(), &[]);
        borg.check(&repository);
        let _ = keeper.run(["check", "--verify-data"]);
        let restored = folder.path().join("ours");
        let _ = keeper.restore("stock", &restored);
        assert_same(&keeper.world(), &below(&restored, &keeper.world()));
        play(&keeper.world(), 21);
        let fifth = keeper.backup();
        assert_eq!(sizes(&borg, &keeper, &fifth, "r.0.0.mca"), pieces, "{borg}");

        // It renames, rewrites and prunes; and so do we.
        let _ = borg.run(["rename", &location(&repository, &third), "renamed"]);
        let _ = borg.run(["recreate", "--comment", "rewritten", &location(&repository, &fifth)]);
        if let Some(newest) = Borg::newest() {
            // Stock 1.2.4 forgets to sign what it renames and rewrites.
            let newest = newest.with_passphrase(PASSPHRASE);
            let _ = newest.run(["upgrade", "--archives-tam", repository.to_str().expect("a plain name")]);
        }
        let _ = keeper.run(["recreate", "--comment", "by us", "renamed"]);
        let _ = borg.run(["delete", &location(&repository, &first)]);
        borg.check(&repository);
        let _ = keeper.run(["check", "--verify-data"]);
        let again = folder.path().join("again");
        borg.extract(&repository, &fifth, &again);
        assert_same(&keeper.world(), &below(&again, &keeper.world()));
    }
}

#[test]
fn a_repository_of_stock_is_not_stored_again_at_once() {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let (_folder, keeper) = place("repokey-blake2");
        world(&keeper.world());
        borg.init(&keeper.repository(), "repokey-blake2");
        let _ = borg.create(&keeper.repository(), "stock", &keeper.world(), &[]);
        let before = unique_chunks(&borg, &keeper);
        let first = keeper.backup();
        assert_eq!(unique_chunks(&borg, &keeper), before + 1, "{borg}");
        assert!(sizes(&borg, &keeper, &first, "r.0.0.mca").len() < 10);
        play(&keeper.world(), 20);
        let second = keeper.backup();
        assert!(sizes(&borg, &keeper, &second, "r.0.0.mca").len() > 10, "{borg}");
        borg.check(&keeper.repository());
    }
}

#[test]
fn what_is_turned_off_is_stocks_way() {
    let Some(borg) = Borg::newest() else { return };
    let mut borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey-blake2");
    let keeper = keeper.with("WORLD_CUTS", "off");
    world(&keeper.world());
    let _ = keeper.backup();
    let before = unique_chunks(&borg, &keeper);
    borg.forget();
    let _ = borg.create(&keeper.repository(), "stock", &keeper.world(), &[]);
    assert_eq!(unique_chunks(&borg, &keeper), before + 1);
}
