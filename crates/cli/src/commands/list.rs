//! `list`: the archives of the repository, or what is in one.

mod archive;
mod repository;

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use worldkeeper_core::Stop;

use super::archives::{self, Latest};
use crate::args::List;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::settings;

/// Lists archives, or the items of one, as `borg list` does.
pub(super) fn list(place: &Arc<Place>, options: &List, stop: &Stop) -> anyhow::Result<Done> {
    let named = options.paths.iter().map(|path| path.as_os_str().as_bytes());
    let selection = settings::select(&options.patterns.0, named)?;
    let session = place.session(Purpose::Read, Caller::Hand, stop)?;
    let Some(name) = &options.archive else { return repository::list(place, &session, options) };
    let (archive, done) = archives::open(place, &session, name, Latest::OfAll)?;
    Ok(archive::list(place, &session, &archive, &selection, options, stop)?.max(done))
}
