//! Files of any bytes.

use worldkeeper_core::Known;
use worldkeeper_games::fuzz_plans;
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::worlds;

use crate::plan;

#[test]
fn databases_are_cut_at_their_pages_whatever_their_name() {
    let database = worlds::sqlite(4096, 5);
    let planned = plan("world/map.sqlite", &database, &Known::default()).unwrap();
    assert_eq!(planned.ends(), [4096, 8192, 12_288, 16_384, 20_480]);
    assert_eq!(plan("a", &database, &Known::default()), Some(planned));
    for other in [&b"SQLite format 3"[..], b"", b"text", &worlds::gzip(b"level")] {
        assert_eq!(plan("level.dat", other, &Known::default()), None);
    }
}

#[test]
fn gate_headers_of_any_kind_give_plans_that_cover_each_byte_once() {
    for case in 0..gate::amount(2000, 500_000) {
        let mut random = Random::of(case as u64);
        let sectors = 2 + random.below(60);
        let mut file = vec![0; (sectors * worlds::SECTOR).saturating_sub(random.below(5000))];
        for _ in 0..random.below(200) {
            // Mostly within the file, now and then anywhere.
            let most = if random.below(20) == 0 { 1 << 24 } else { sectors };
            let count = if random.below(20) == 0 { random.below(256) } else { random.below(5) };
            if file.len() >= 2 * worlds::SECTOR {
                let slot = random.below(1024);
                worlds::locate(&mut file, slot, random.below(most) as u32, count as u8);
                let time = 1_699_999_999 + random.below(3) as u32;
                file[worlds::SECTOR + slot * 4..][..4].copy_from_slice(&time.to_be_bytes());
            }
        }
        let bytes = file.len();
        for _ in 0..random.below(50) {
            file[random.below(bytes)] = random.below(256) as u8;
        }
        let known = [random.below(2) as u8, random.below(256) as u8, random.below(4) as u8];
        let tried = std::panic::catch_unwind(|| fuzz_plans(&[&known[..], &file].concat()));
        assert!(tried.is_ok(), "case {case} of seed {}", gate::seed());
    }
}
