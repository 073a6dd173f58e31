//! Where region files are cut.

use worldkeeper_core::{Known, Last};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::worlds::{self, SECTOR};

use crate::{REGION, pieces, plan, sizes};

/// When the chunks of these files were written.
const WRITTEN: u32 = 1_700_000_000;
const DAY: i64 = 24 * 3600;

/// A file of so many sectors of noise, in which chunks of these many sectors lie there, with a payload of so many bytes.
fn region(sectors: usize, chunks: &[(u32, u8, u32)]) -> Vec<u8> {
    let mut file = sha_stream("plans", sectors * SECTOR);
    file[..2 * SECTOR].fill(0);
    for (number, (sector, count, payload)) in chunks.iter().enumerate() {
        let slot = slot(number);
        worlds::locate(&mut file, slot, *sector, *count);
        write_time(&mut file, slot, WRITTEN);
        if let Some(head) = file.get_mut(*sector as usize * SECTOR..).and_then(|chunk| chunk.get_mut(..4)) {
            head.copy_from_slice(&payload.to_be_bytes());
        }
    }
    file
}

/// A chunk's place in the header, which says nothing about the order in the file.
fn slot(number: usize) -> usize {
    1023 - number * 7 % 1024
}

fn write_time(file: &mut [u8], slot: usize, time: u32) {
    file[SECTOR + slot * 4..][..4].copy_from_slice(&time.to_be_bytes());
}

/// Where its pieces end, in sectors.
#[track_caller]
fn ends(file: &[u8], known: &Known<'_>) -> Vec<usize> {
    pieces(file, known).iter().map(|piece| piece.end.div_ceil(SECTOR)).collect()
}

/// Where the pieces of a new file end, in sectors.
#[track_caller]
fn cut(sectors: usize, chunks: &[(u32, u8, u32)]) -> Vec<usize> {
    ends(&region(sectors, chunks), &Known::default())
}

#[test]
fn header_chunks_and_holes_are_pieces() {
    assert_eq!(cut(2, &[]), [2]);
    assert_eq!(cut(3, &[(2, 1, 4000)]), [2, 3]);
    assert_eq!(cut(20, &[(9, 3, 9000), (2, 1, 4000), (3, 2, 8000), (12, 4, 600)]), [2, 3, 5, 9, 12, 16, 20]);
    // The last sector is not filled up while the server runs.
    let mut file = region(12, &[(2, 3, 9000), (10, 2, 5000)]);
    file.truncate(12 * SECTOR - 1234);
    assert_eq!(ends(&file, &Known::default()), [2, 5, 10, 12]);
    // Room that it does not need yet, behind the end.
    assert_eq!(cut(12, &[(2, 3, 9000), (10, 9, 5000)]), [2, 5, 10, 12]);
}

#[test]
fn chunks_with_hardly_any_content_share_pieces() {
    let tiny = |from: u32, to: u32| (from..to).map(|sector| (sector, 1, 400)).collect::<Vec<_>>();
    // Up to the next multiple of 32 KiB, which is eight sectors.
    assert_eq!(cut(30, &tiny(2, 30)), [2, 8, 16, 24, 30]);
    assert_eq!(cut(16, &[tiny(3, 6), vec![(6, 1, 512), (7, 1, 511)], tiny(8, 10)].concat()), [2, 3, 6, 7, 8, 10, 16]);
    // Holes and others lie between them; what has two sectors is not tiny, whatever it says.
    assert_eq!(cut(12, &[(2, 1, 9), (4, 1, 9), (5, 1, 0), (6, 2, 9), (8, 1, 9), (9, 1, 9)]), [2, 3, 4, 6, 8, 10, 12]);
}

#[test]
fn wild_and_overlapping_places_are_passed_over() {
    let good = [(2, 2, 5000), (4, 3, 9000), (9, 1, 3000)];
    let expected = [2, 4, 7, 9, 10, 12];
    for bad in [(0, 1, 9), (1, 2, 9), (7, 0, 9), (5, 1, 9), (3, 9, 9), (12, 1, 9), (0xff_ffff, 0xff, 9), (4, 2, 9)] {
        // What is written where it lies is another chunk's.
        let file = region(12, &[&good[..], &[(bad.0, bad.1, bad.2)]].concat());
        assert_eq!(ends(&file, &Known::default()), expected, "{bad:?}");
    }
}

#[test]
fn what_makes_no_sense_is_not_planned() {
    let noise = sha_stream("no region", 1 << 20);
    assert_eq!(plan(REGION, &noise, &Known::default()), None);
    assert_eq!(plan(REGION, &[0; 3 * SECTOR], &Known::default()), None);
    for len in [0, 1, SECTOR, 2 * SECTOR - 1] {
        assert_eq!(plan(REGION, &vec![0; len], &Known::default()), None, "{len}");
    }
    // More of it lies elsewhere than here.
    let file = region(12, &[(2, 2, 5000), (500, 1, 9), (600, 1, 9)]);
    assert_eq!(plan(REGION, &file, &Known::default()), None);
    let whole = worlds::region("whole", 40 * SECTOR);
    for name in ["r.0.mca", "r.0.0.mcc", "a.bin"] {
        assert_eq!(plan(name, &whole, &Known::default()), None, "{name}");
    }
    assert!(plan("r.0.-9.mcr", &whole, &Known::default()).is_some());
}

#[test]
fn what_is_longer_than_chunks_are_is_cut_at_round_offsets() {
    assert_eq!(cut(1000, &[(2, 1, 4000), (700, 254, 9)]), [2, 3, 256, 512, 700, 954, 1000]);
    assert_eq!(cut(1026, &[(2, 1, 4000)]), [2, 3, 256, 512, 768, 1024, 1026]);
    // One that Spigot has written, of more sectors than can be said: it goes on up to the next one.
    assert_eq!(cut(900, &[(3, 255, 2_000_000), (600, 1, 4000)]), [2, 3, 256, 512, 600, 601, 768, 900]);
}

#[test]
fn what_rests_has_few_pieces_if_there_are_many_already() {
    let chunks: Vec<_> = (0..300).map(|number| (2 + number * 3, 3, 9000)).collect();
    let file = region(902, &chunks);
    let (rests, fine) = (i64::from(WRITTEN) + 31 * DAY, cut(902, &chunks));
    assert_eq!(fine.len(), 301);
    // The first chunk that ends at or behind each multiple of 256 KiB, which is 64 sectors.
    let few = [2, 65, 128, 194, 257, 320, 386, 449, 512, 578, 641, 704, 770, 833, 896, 902];
    let known = Known { now_s: rests, last: None, is_full: true };
    assert_eq!(ends(&file, &known), few);
    assert_eq!(ends(&file, &Known { is_full: false, ..known }), fine);
    assert_eq!(ends(&file, &Known { now_s: rests - 2 * DAY, ..known }), fine);
    // What went fine stays fine.
    let last = sizes(&pieces(&file, &Known::default()));
    let last = Some(Last { sizes: &last, changed_s: i64::from(WRITTEN) + 1 });
    assert_eq!(ends(&file, &Known { last, ..known }), fine);
    // And who never notes when chunks are written has nothing that rests.
    let mut timeless = file.clone();
    timeless[SECTOR..2 * SECTOR].fill(0);
    assert_eq!(ends(&timeless, &known), fine);

    // Few pieces stay, too: until something is written, where it is written.
    let last = sizes(&pieces(&file, &known));
    let last = Some(Last { sizes: &last, changed_s: rests - 9 });
    assert_eq!(ends(&file, &Known { last, ..known }), few);
    let mut file = file;
    write_time(&mut file, slot(30), rests as u32 - 5); // at 92..95
    let between: Vec<_> = (68..128).step_by(3).collect();
    for is_full in [false, true] {
        assert_eq!(ends(&file, &Known { last, is_full, ..known }), [&[2, 65], &between[..], &few[2..]].concat());
    }
}

#[test]
fn pieces_in_which_nothing_was_written_stay_as_they_are() {
    let mut file = region(600, &[(2, 3, 9000), (5, 3, 9000), (10, 2, 8000), (200, 2, 8000), (400, 1, 4000)]);
    let written = i64::from(WRITTEN);
    let cut = |last: &[u32], changed_s: i64, file: &[u8]| {
        let known = Known { now_s: written + 9, last: Some(Last { sizes: last, changed_s }), is_full: false };
        sizes(&pieces(file, &known))
    };
    let fine = sizes(&pieces(&file, &Known::default()));
    // As stock cuts: no chunk begins where a piece does.
    let stock = [700_001, 524_288, 600 * 4096 - 1_224_289];
    // Written in the same second: it may have been since. And if nothing says that it was, anything may have been.
    assert_eq!(cut(&stock, written, &file), fine);
    assert_eq!(cut(&stock, written + 1, &file), fine);
    // One of the second piece; the header, in the first, was written with it.
    write_time(&mut file, slot(3), WRITTEN + 5);
    let now = cut(&stock, written + 1, &file);
    assert_eq!(now.last(), Some(&stock[2]));
    assert_eq!((&now[..3], now.iter().sum::<u32>()), (&fine[..3], 600 * 4096));
    // What lay in a hole is there still, and is stored piece by piece; and so is what nobody has written to.
    let last = [8192, 3 * 4096, 3 * 4096, 4096, 4096, 5000, 3192, 588 * 4096];
    assert_eq!(cut(&last, written + 1, &file)[..7], last[..7]);
    file[SECTOR..2 * SECTOR].fill(0);
    assert_eq!(cut(&last, written + 1, &file)[..6], [8192, 3 * 4096, 3 * 4096, 4096, 4096, 8192]);
    // Whatever somebody remembers.
    for last in [&[][..], &[0, 5], &[u32::MAX], &[9 << 20], &[1, 1, 1], &[4096; 601], &[4096; 599]] {
        for changed_s in [i64::MIN, 0, written, i64::MAX] {
            assert_eq!(cut(last, changed_s, &file).iter().sum::<u32>(), 600 * 4096, "{last:?}");
        }
    }
}
