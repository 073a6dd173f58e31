//! Reading a live tree: what stock's `create` does with the file system.
//!
//! A [`Walker`] goes through the roots depth first and yields one [`Entry`] after the other, with everything an item
//! needs but content. [`Walker::open`] gives the content of a regular file. While we read, the game writes: what
//! vanishes, changes or is put in another's place is noticed and told, never fatal, and never followed out of the
//! tree. Only a root that cannot be read ends the walk.
//!
//! ```text
//! while let Some(found) = walker.next()? {
//!     match found {
//!         Found::Entry(mut entry) => {
//!             walker.read_attributes(&mut entry)?; // unless they are known
//!             if entry.has_content() { let mut file = walker.open(&mut entry)?; .. file.finish()?; }
//!             walker.archived(&entry); // now other links may refer to it
//!         }
//!         Found::LeftOut { .. } | Found::Failed(..) => ..
//!     }
//! }
//! ```
//!
//! An unchanged file costs one system call, `statx`, and `llistxattr` if it had attributes or may have got some. It is
//! not opened.
//!
//! Source: borg 1.4 `archiver.py`, `_rec_walk`; `archive.py`, `FilesystemObjectProcessors`, `MetadataCollector`.

mod attribute_times;
mod entry;
mod error;
mod listing;
mod metadata;
mod pulse;
mod reader;
mod residence;
mod root;
mod rules;
mod stat;
mod tags;
mod walker;

pub(crate) use entry::Entry;
pub use error::{Action, RootError, SourceError};
pub(crate) use metadata::MAX_TIME_NS;
pub(crate) use pulse::Pulse;
pub(crate) use reader::{FileReader, Verdict};
pub use root::SourceRoot;
pub(crate) use rules::{Reason, Rules};
pub(crate) use stat::Stat;
pub use tags::{ExcludeTags, TagName, TagNameError};
pub(crate) use walker::{Found, Walker};

#[cfg(test)]
mod stock;
#[cfg(test)]
pub(crate) mod tests;
