//! The bodies of fuzz targets: whatever the bytes of a file are, judging it ends, and says the same in whatever pieces they
//! come; and each of them is in one piece of a plan.

use worldkeeper_core::{Defects, Known, Last, Plan};

use crate::FORMATS;

/// Names that formats ask for; the first byte of an input picks one.
const PATHS: [&str; 8] = [
    "region/r.0.0.mca",
    "region/r.-1.7.mcr",
    "level.dat",
    "playerdata/a.dat",
    "map.sqlite",
    "db/CURRENT",
    "db/MANIFEST-000001",
    "castle.schematic",
];

/// A file of a world: which kind, in pieces of how many bytes, and its content.
///
/// # Panics
///
/// If what is said depends on the pieces, or is more than is told of any file.
pub fn fuzz_worlds(bytes: &[u8]) {
    let [kind, piece, content @ ..] = bytes else { return };
    let path = PATHS[usize::from(*kind) % PATHS.len()];
    let Some(whole) = judged(path, content, content.len().max(1)) else { return };
    assert_eq!(judged(path, content, usize::from(*piece) * 7 + 1).as_ref(), Some(&whole));
    assert!(whole.told().len() <= Defects::MAX_TOLD && whole.told().len() as u64 <= whole.count());
    assert_eq!(whole.is_empty(), whole.to_string().is_empty());
}

/// What is wrong with a file; `None` if nobody judges it.
fn judged(path: &str, content: &[u8], piece: usize) -> Option<Defects> {
    let mut judge = FORMATS.iter().find_map(|format| format.judge(path.as_bytes(), content))?;
    content.chunks(piece).for_each(|piece| judge.look(piece));
    Some(judge.finish())
}

/// A file of a world: which kind, how long the pieces of the last time were, how full the repository is, and its content.
///
/// # Panics
///
/// If a plan does not cover each byte once, its pieces are too long, it is another one the second time, or what is to be
/// read again does not lie in the file.
pub fn fuzz_plans(bytes: &[u8]) {
    let [kind, sizes, is_full, content @ ..] = bytes else { return };
    let path = PATHS[usize::from(*kind) % PATHS.len()].as_bytes();
    let sizes: Vec<u32> = (0..300).map(|number| u32::from(*sizes) * (number % 7 + 1) * 512).collect();
    let now_s = 1_800_000_000;
    let last = (is_full & 2 != 0).then_some(Last { sizes: &sizes, changed_s: 1_700_000_000 });
    let known = Known { now_s, last, is_full: is_full & 1 != 0 };
    for format in FORMATS {
        let planned = || format.plan(path, &mut &content[..], &known);
        let Some(plan) = planned() else { continue };
        assert_eq!(Some(&plan), planned().as_ref());
        let sizes: Vec<_> =
            std::iter::once(&0).chain(plan.ends()).zip(plan.ends()).map(|(from, to)| to - from).collect();
        assert!(sizes.iter().all(|size| (1..=Plan::MAX_PIECE).contains(size)));
        assert_eq!(sizes.iter().sum::<u64>(), content.len() as u64);
        let Some(head_len) = plan.head_len() else { continue };
        let head = &content[..head_len as usize];
        assert!(format.again(head, head, content.len() as u64).is_empty());
        let mut covered = head_len;
        for range in format.again(&[], head, content.len() as u64) {
            assert!(covered <= range.start && range.start < range.end && range.end <= content.len() as u64);
            covered = range.end;
            let _ = format.is_whole(&content[range.start as usize..range.end as usize]);
        }
    }
}
