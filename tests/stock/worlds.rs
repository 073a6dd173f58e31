//! A world with broken files: each is named, and stock brings it back as it was.

use std::fs;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree::{assert_same, write};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};
use worldkeeper_testkit::worlds::{gzip, locate, region, sqlite};

use crate::place;

/// The better one is worth more than the last one.
#[test]
fn an_archive_with_a_broken_file_takes_no_other_ones_place() {
    let (_folder, keeper) = place("repokey-blake2");
    let keeper = keeper.without("KEEP_WITHIN").with("KEEP_LAST", "1");
    let level = gzip(&[7; 5000]);
    let level_dat = keeper.world().join("level.dat");
    write(&level_dat, &level);
    let _ = keeper.run(["run", "--once"]);
    let whole = keeper.archives().remove(0);
    for _ in 0..2 {
        write(&level_dat, &level[..level.len() - 5]);
        let _ = keeper.try_run(["run", "--once"]).exits(1).says(&["older archives may have better"]);
        let archives = keeper.archives();
        assert!(archives.len() == 2 && archives[0] == whole, "the rest is pruned: {archives:?}");
    }
    write(&level_dat, &gzip(&[8; 5000]));
    let _ = keeper.run(["run", "--once"]);
    assert_eq!(keeper.archives().len(), 1);
}

#[test]
fn broken_files_of_a_world_are_named_and_stored_as_they_are() {
    let (_folder, keeper) = place("repokey-blake2");
    let world = keeper.world();
    let level = gzip(&[7; 5000]);
    let mut broken_region = region("broken", 90_000);
    locate(&mut broken_region, 40, 500, 1);
    write(&world.join("region/r.0.0.mca"), &region("whole", 300_000));
    write(&world.join("region/r.0.1.mca"), &broken_region);
    write(&world.join("level.dat"), &level[..level.len() - 5]);
    write(&world.join("level.dat_old"), &level);
    write(&world.join("playerdata/steve.dat"), &[0; 700]);
    write(&world.join("map.sqlite"), &sqlite(4096, 9)[..8 * 4096]);
    write(&world.join("server.properties"), b"motd=hello\n");

    let broken = [
        "world/region/r.0.1.mca is broken, and is stored as it is: chunk [8, 33] lies behind the end of the file",
        "world/level.dat is broken, and is stored as it is: it ends within its gzip stream",
        "world/playerdata/steve.dat is broken, and is stored as it is: it holds nothing but zeros, 700 bytes of them",
        "world/map.sqlite is broken, and is stored as it is: it lacks pages: it counts 9 of them, and has 8",
        "4 files found broken, and stored so",
    ];
    // Nothing changes, and it is said each time.
    for _ in 0..2 {
        let outcome = keeper.try_run(["backup"]).exits(1).says(&broken);
        let _ = ["r.0.0.mca", "level.dat_old"].into_iter().fold(outcome, |outcome, name| outcome.does_not_say(name));
        let _ = keeper.try_run(["status"]).exits(1).says(&[
            "the last backup had warnings: 4 files found broken: ",
            "world/level.dat",
            "; see the log",
        ]);
    }
    let archives = keeper.archives();
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let archive = location(&keeper.repository(), archives.last().unwrap());
        let comment = borg.json(["info", "--json", &archive])["archives"][0]["comment"].clone();
        let comment = comment.as_str().expect("there is one");
        assert!(comment.starts_with("4 files found broken: ") && comment.contains("world/map.sqlite"), "{comment}");
        let target = keeper.folder().join(borg.version());
        borg.extract(&keeper.repository(), archives.last().unwrap(), &target);
        assert_same(&world, &below(&target, &world));
    }

    let unasked = keeper.clone().with("WORLD_CHECKS", "off");
    let _ = unasked.run(["backup"]).does_not_say("broken");
    fs::remove_dir_all(world.join("playerdata")).unwrap();
    write(&world.join("region/r.0.1.mca"), &region("mended", 90_000));
    write(&world.join("level.dat"), &level);
    write(&world.join("map.sqlite"), &sqlite(4096, 9));
    let _ = keeper.run(["backup", "--world-checks", "on"]).does_not_say("broken");
}
