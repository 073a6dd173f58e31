//! Region files.

use worldkeeper_testkit::worlds::{self, SECTOR};

use crate::judged;

const PATH: &str = "world/region/r.1.-2.mca";
/// The last sector is not whole.
const LEN: usize = 20 * SECTOR - 1000;

/// What is said of a region after a change.
#[track_caller]
fn region_with(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut region = worlds::region("a region", LEN);
    change(&mut region);
    judged(PATH, &region)
}

/// What is said of one in which a chunk begins so.
#[track_caller]
fn chunk_begins(slot: usize, head: [u8; 5]) -> String {
    region_with(|region| {
        let at = worlds::location(region, slot).0 as usize * SECTOR;
        region[at..at + 5].copy_from_slice(&head);
    })
}

/// What is said of one in which another chunk is said to lie there.
#[track_caller]
fn chunk_lies(slot: usize, sector: u32, sectors: u8) -> String {
    region_with(|region| worlds::locate(region, slot, sector, sectors))
}

/// The last chunk's place in the header, where it begins, and in how many sectors.
fn last_chunk() -> (usize, u32, u8) {
    let region = worlds::region("a region", LEN);
    let slot = (0..1024).rfind(|slot| worlds::location(&region, *slot).1 > 0).unwrap();
    let (sector, sectors) = worlds::location(&region, slot);
    (slot, sector, sectors)
}

#[test]
fn whole_regions_have_no_defect() {
    for len in [3 * SECTOR, 2 * SECTOR + 5, 40 * SECTOR + 17, 5 << 20, 24 << 20] {
        assert_eq!(judged("region/r.0.0.mca", &worlds::region("whole", len)), "", "{len}");
    }
    // A server that has just begun, and one that has written the header.
    assert_eq!(judged("region/r.0.0.mca", &[]), "");
    assert_eq!(judged("region/r.-3.7.mcr", &[0; 2 * SECTOR]), "");
    for kind in [1, 2, 3, 4, 127] {
        assert_eq!(chunk_begins(3, [0, 0, 9, 9, kind]), "");
    }
    // The whole of its one sector; what is too long for a region, and lies beside it; and what Spigot counts no more.
    assert_eq!(chunk_begins(0, [0, 0, 0x0f, 0xfc, 2]), "");
    assert_eq!(chunk_begins(3, [0, 0, 0, 1, 0x80 | 2]), "");
    let (slot, sector, sectors) = last_chunk();
    assert_eq!(chunk_lies(slot, sector, 255), "");
    // Room that it does not need yet, behind the end.
    assert_eq!(chunk_lies(slot, sector, sectors + 7), "");
}

#[test]
fn each_defect_has_its_own_words() {
    assert_eq!(chunk_lies(33, 0, 1), "chunk [33, -63] lies within the header");
    assert_eq!(chunk_lies(33, 1, 0), "chunk [33, -63] lies within the header");
    assert_eq!(chunk_lies(33, 2, 0), "chunk [33, -63] has no room in the file");
    assert_eq!(chunk_lies(1023, 20, 1), "chunk [63, -33] lies behind the end of the file");
    assert_eq!(chunk_lies(1023, 0xff_ffff, 255), "chunk [63, -33] lies behind the end of the file");
    let (sector, sectors) = worlds::location(&worlds::region("a region", LEN), 2);
    assert_eq!(chunk_lies(40, sector, sectors), "chunk [40, -63] lies where chunk [34, -64] is");

    assert_eq!(chunk_begins(1, [0, 0, 0, 0, 2]), "chunk [33, -64] has a place and no content");
    for kind in [0, 5, 126, 0x80, 0x85] {
        let (said, expected) = (chunk_begins(1, [0, 0, 0, 9, kind]), kind & 0x7f);
        assert_eq!(said, format!("chunk [33, -64] is compressed in no known way, {expected}"));
    }
    let sectors = worlds::location(&worlds::region("a region", LEN), 1).1;
    for (len, used) in [([0, 1, 0, 0], 65_540_u64), ([0xff; 4], 0x1_0000_0003)] {
        let [a, b, c, d] = len;
        let expected = format!("chunk [33, -64] has {used} bytes, more than its sectors, {sectors}");
        assert_eq!(chunk_begins(1, [a, b, c, d, 2]), expected);
    }
}

#[test]
fn a_region_that_is_cut_off_says_where_its_chunks_end() {
    let (slot, sector, _) = last_chunk();
    let start = sector as usize * SECTOR;
    for len in [LEN - 1, LEN - 500, start + 5, start + 4, start + 1] {
        let expected = format!("chunk [{}, -64] is cut off by the end of the file", 32 + slot);
        assert_eq!(region_with(|region| region.truncate(len)), expected, "{len}");
    }
    let expected = format!("chunk [{}, -64] lies behind the end of the file", 32 + slot);
    assert_eq!(region_with(|region| region.truncate(start)), expected);
    // A few are told.
    let said = region_with(|region| region.truncate(2 * SECTOR));
    assert!(said.ends_with(&format!("; and {} more", slot + 1 - 3)), "{said}");
    for len in [1, 4095, 4096, 8191] {
        let said = region_with(|region| region.truncate(len));
        assert!(said.starts_with(&format!("it ends within its header, after {len} bytes")), "{said}");
    }
    assert_eq!(region_with(|region| region.fill(0)), format!("it holds nothing but zeros, {LEN} bytes of them"));
}

#[test]
fn what_is_named_otherwise_is_no_region() {
    let noise = worlds::gzip(b"no region")[..].repeat(1000);
    for name in [
        "r.0.mca",
        "r.0.0.0.mca",
        "r.a.b.mca",
        "r.0.0.mcc",
        "c.0.0.mca",
        "R.0.0.mca",
        "r.0.0.MCA",
        "r.0.99999999999.mca",
    ] {
        assert_eq!(judged(name, &noise), "-", "{name}");
    }
    assert_ne!(judged("r.-0.2147483647.mca", &noise), "");
}
