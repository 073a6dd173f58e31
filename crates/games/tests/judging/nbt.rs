//! NBT in gzip, and files that are nothing but zeros.

use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::worlds::gzip;

use crate::{judged, judged_in};

const PATHS: [&str; 5] =
    ["world/level.dat", "world/playerdata/069a79f4.dat", "world/data/map_0.dat", "castle.schematic", "house.nbt"];

#[test]
fn whole_streams_have_no_defect() {
    for len in [0, 1, 300, 200_000] {
        for content in [sha_stream("level", len), vec![7; len]] {
            let file = gzip(&content);
            for path in PATHS {
                assert_eq!(judged(path, &file), "", "{path}, {len}");
            }
            // What follows is read by nobody.
            assert_eq!(judged("level.dat", &[&file[..], b"an older, longer level"].concat()), "", "{len}");
        }
    }
    // More than anybody waits for: 260 MiB in 260 kB.
    let bomb = gzip(&vec![0; 260 << 20]);
    let said = judged_in("bomb.schem", &bomb[..bomb.len() - 1], 1 << 20);
    assert!(said.is_some_and(|defects| defects.is_empty()), "it was inflated to its end");
}

#[test]
fn a_stream_that_ends_early_or_is_damaged_is_found_wherever_that_is() {
    let file = gzip(&[sha_stream("level", 2000), vec![7; 2000]].concat());
    for len in 3..file.len() {
        assert_eq!(judged("level.dat", &file[..len]), "it ends within its gzip stream", "{len}");
    }
    // From the first compressed byte to the last of the checksum and the length: the header says when and by whom.
    for at in 10..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        let said = judged("level.dat", &damaged);
        assert!(said.contains("gzip stream"), "byte {at}: {said}");
    }
}

#[test]
fn a_level_or_a_player_holds_something() {
    for path in ["level.dat", "world/level.dat", "w/playerdata/a.dat", "w/players/steve.dat", "w/players/data/a.dat"] {
        assert_eq!(judged(path, &[]), "it is empty", "{path}");
        assert_eq!(judged(path, &[0; 9000]), "it holds nothing but zeros, 9000 bytes of them", "{path}");
        // Bedrock's, and what no game of ours writes.
        assert_eq!(judged(path, &[10, 0, 0, 0, 0, 0, 0, 0]), "-", "{path}");
        assert_eq!(judged(path, b"a small world"), "-", "{path}");
        assert_eq!(judged(path, &[&[0; 8000][..], b"!"].concat()), "-", "{path}");
    }
    for path in ["w/data/raids.dat", "level.dat_old", "other/a.dat", "w/playerdata/a.json", "players/readme"] {
        assert_eq!(judged(path, &[]), "-", "{path}");
        assert_eq!(judged(path, &[0; 9]), "-", "{path}");
    }
}
