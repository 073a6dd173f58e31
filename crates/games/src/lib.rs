//! What Worldkeeper knows of games: how the files of their worlds are best cut, and how they are judged healthy.
//!
//! [`FORMATS`] is all of it. Each is asked by the name of a file and what it begins with. It cuts where the game writes:
//! `docs/design/world-cuts.md` says where that is and what it saves. And it judges by structure alone:
//! what a game would stumble over before it looks at a single block. A file of a newer game is not broken, so what is not
//! known is not judged; a file that a running game leaves half written for a moment is, and whoever reads it reads it
//! again. `docs/formats/worlds.md` says what is looked at and what a defect means to a player.
//!
//! No file is opened here: a [judge](worldkeeper_core::Judge) is shown the bytes that somebody else reads anyway, and a
//! [plan](worldkeeper_core::Plan) is made of the few that a [reader](worldkeeper_core::RangeReader) is asked for.

mod anvil;
mod blank;
mod fuzz;
mod leveldb;
mod nbt;
mod path;
mod sqlite;

pub use anvil::Anvil;
pub use fuzz::{fuzz_plans, fuzz_worlds};
pub use leveldb::LevelDb;
pub use nbt::Nbt;
pub use sqlite::Sqlite;
use worldkeeper_core::FileFormat;

/// All formats, in the order in which they are asked: those that go by names before those that go by content.
pub static FORMATS: &[&dyn FileFormat] = &[&Anvil, &LevelDb, &Nbt, &Sqlite];
