//! What an archive is: manifest, archive metadata, items, chunk references. No I/O.

mod item;

pub use item::{ChunkRef, Item};
