//! Putting items on a file system: what stock's `extract` does on this side of the repository.
//!
//! A [`Target`] is a directory that nothing ever leaves, whatever the archive holds: each directory on the way is
//! opened beneath the one before it, never through a symlink. [`HardLinks`] comes first and is pure: it decides which
//! items carry content, so that whoever fetches chunks can run ahead.
//!
//! ```text
//! let mut links = HardLinks::default();
//! let mut target = Target::open(root, RestoreOptions::default(), |unset| ..)?;
//! for item in items {
//!     let Some(item) = links.resolve(item, selected(&item.path)) else { continue };
//!     if let Some(mut file) = target.place(&item)? {
//!         for chunk in chunks_of(&item) { file.write(&chunk)?; }
//!         file.finish(&mut target)?;
//!     }
//! }
//! target.finish();
//! ```
//!
//! An item that cannot be restored is a [`RestoreError`], and the next one is tried; an attribute that cannot be set
//! is an [`Unset`] and the object stays.
//!
//! Source: borg 1.4 `archive.py`, `Archive.extract_item`, `restore_attrs`.

mod attributes;
mod beside;
mod error;
mod links;
mod parents;
mod path;
mod target;
mod there;
mod writer;

pub use error::RestoreError;
pub(crate) use error::{Attribute, Unset};
pub(crate) use links::{HardLinks, is_directory, is_linkable};
pub use target::RestoreOptions;
pub(crate) use target::Target;
pub(crate) use writer::FileWriter;

#[cfg(test)]
mod tests;
