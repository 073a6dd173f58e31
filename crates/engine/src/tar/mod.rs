//! Tars: what an archive is as a tar ([`export_tar`]), and an archive of what is in one ([`import_tar`]).

mod error;
mod export;
mod fields;
mod header;
mod import;
mod pax;
mod reader;
mod sparse;

pub use error::TarError;
pub use export::export_tar;
pub use import::{ImportError, ImportOptions, import_tar};
