//! The body of a fuzz target: whatever the bytes of a file are, judging it ends, and says the same in whatever pieces they
//! come.

use worldkeeper_core::Defects;

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
