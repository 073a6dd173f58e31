//! Cuts a byte stream where borg would: buzhash and fixed chunking.
//!
//! A [`Chunker`] only says where the next chunk ends; the bytes stay with the caller, who may bring them in pieces of
//! any size. [`ChunkerParams`] are what an archive records about the way its files were cut.

mod buzhash;
mod chunker;
mod fixed;
mod params;
mod table;

pub use buzhash::Instructions;
pub use chunker::{Chunker, fuzz_chunker};
pub use params::{ChunkerParams, ParamsError, fuzz_params};
