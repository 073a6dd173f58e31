//! The same tree, first ours, then stock with empty caches: stock finds every file chunk and every item chunk there.

use std::path::Path;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;
use worldkeeper_testkit::worlds;

use crate::{MODES, place};

#[test]
fn stock_adds_only_archive_metadata() {
    let source = tempfile::tempdir().unwrap();
    let world = source.path().join("world");
    tree::nasty(&world.join("nasty"));
    // Several chunks of file content, and an item stream of several chunks.
    tree::write(&world.join("region/r.0.0.mca"), &worlds::region("region", 24 << 20));
    tree::world(&world.join("playerdata"), 2500, "players");
    // Where the key lies does not change a chunk, and a client that has forgotten everything would not find the key.
    for mode in MODES.into_iter().filter(|mode| !mode.starts_with("keyfile")) {
        for mut borg in Borg::all() {
            borg = borg.with_passphrase(PASSPHRASE);
            let (_folder, keeper) = place(mode);
            // With worlds cut along their own structure stock finds less: `world_cuts`.
            let keeper = keeper.with("BACKUP_SOURCES", &world).with("WORLD_CUTS", "off");
            let _ = keeper.backup();

            let before = unique_chunks(&borg, &keeper.repository());
            borg.forget();
            let _ = borg.create(&keeper.repository(), "stock", &world, &[]);
            // The metadata of the new archive, and nothing else: its items and its files were all there.
            assert_eq!(unique_chunks(&borg, &keeper.repository()), before + 1, "{borg}, {mode}");
        }
    }
}

#[test]
fn an_unchanged_tree_adds_only_archive_metadata() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey-blake2");
    tree::nasty(&keeper.world().join("nasty"));
    tree::sample(&keeper.world(), "unchanged");
    let _ = keeper.backup();
    let before = unique_chunks(&borg, &keeper.repository());
    let _ = keeper.backup();
    assert_eq!(unique_chunks(&borg, &keeper.repository()), before + 1);
}

/// How many chunks all archives refer to, their metadata included, as stock counts them.
fn unique_chunks(borg: &Borg, repository: &Path) -> u64 {
    let info = borg.json(["info", "--json", &repository.display().to_string()]);
    info["cache"]["stats"]["total_unique_chunks"].as_u64().expect("borg info counts the chunks")
}
