//! What an archive is: manifest, archive metadata, items, chunk references. No I/O.
//!
//! A repository's [`Manifest`] names its archives. An archive's [`ArchiveMetadata`] says who made it, when, and lists
//! the chunks of its item stream. That stream is one packed [`Item`] after the other, taken apart by [`ItemReader`]:
//! one for each file system object, with the [`ChunkRef`]s of its content. What is left of a damaged stream is taken
//! apart by [`ItemSalvage`], into [`RawItem`]s that a repair can write again as they were.
//!
//! What is written is byte for byte what stock borg 1.4 would write, so that both deduplicate against each other. What
//! is read may come from any borg 1.x, or from an attacker.

mod features;
mod fields;
mod item;
mod item_codec;
mod item_reader;
mod item_salvage;
mod item_scanner;
mod manifest;
mod metadata;
mod name;
mod raw_item;

pub use features::Operation;
pub use item::{ChunkRef, Item};
pub use item_codec::{ITEM_KEYS, ItemError, fuzz_item};
pub use item_reader::{ItemReader, fuzz_item_stream};
pub use item_salvage::{ItemSalvage, SalvageError, fuzz_salvage};
pub use item_scanner::TooLarge;
pub use manifest::{ArchiveEntry, Manifest, ManifestError, TamPolicy, fuzz_manifest};
pub use metadata::{ArchiveError, ArchiveMetadata, fuzz_archive};
pub use name::{ArchiveName, InvalidName};
pub use raw_item::{RawItem, RawItemError};
