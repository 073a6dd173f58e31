//! Whole files have no defect, and each way to break one has its own.

mod anvil;
mod leveldb;
mod nbt;
mod others;
mod sqlite;

use worldkeeper_core::Defects;
use worldkeeper_games::FORMATS;

/// What is said about a file, in words; `-` if nobody judges it.
#[track_caller]
fn judged(path: &str, content: &[u8]) -> String {
    let said = judged_in(path, content, 1 << 20);
    for piece in [100, 4095, 4096, 5000] {
        assert_eq!(judged_in(path, content, piece), said, "{path} in pieces of {piece} bytes");
    }
    said.map_or("-".to_owned(), |defects| defects.to_string())
}

/// What is said about a file that comes in such pieces, after a first look; `None` if nobody judges it.
fn judged_in(path: &str, content: &[u8], piece: usize) -> Option<Defects> {
    let head = &content[..content.len().min(1 << 20)];
    let mut judge = FORMATS.iter().find_map(|format| format.judge(path.as_bytes(), head))?;
    content.chunks(piece).for_each(|piece| judge.look(piece));
    Some(judge.finish())
}
