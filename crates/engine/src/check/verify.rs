//! `--verify-data`: reads every object, and checks that its content is what its id says.
//!
//! Objects are independent of each other, so all processors read, each several objects at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use worldkeeper_core::ChunkId;

use super::reading::{Read, Reading};
use crate::objects::ObjectError;
use crate::session::{Session, SessionError};

/// What is known of an object that was read.
pub(super) enum Verified {
    /// Its content has so many bytes, and so many are stored for it.
    Whole { size: u32, csize: u32 },
    /// The same, but it could not be read at first.
    Unsteady { size: u32, csize: u32, problem: ObjectError },
    /// It is damaged.
    Defect(ObjectError),
}

/// Reads objects in the order of their ids here, or near it; `each` is told of every one.
pub(super) fn verify(
    session: &Session,
    ids: &[ChunkId],
    repair: bool,
    workers: usize,
    each: &mut dyn FnMut(ChunkId, Verified) -> Result<(), SessionError>,
) -> Result<(), SessionError> {
    let (results_in, results) = crossbeam_channel::bounded(RESULTS);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..workers.max(1) {
            let (results, next, stop) = (results_in.clone(), &next, &stop);
            let work = move || {
                let mut reading = Reading::new(session, repair);
                while !stop.load(Ordering::Relaxed)
                    && let place = next.fetch_add(AT_ONCE, Ordering::Relaxed)
                    && let Some(rest) = ids.get(place..).filter(|rest| !rest.is_empty())
                {
                    announce(session, ids, place);
                    let mut told = Vec::with_capacity(AT_ONCE);
                    match session.check_stop() {
                        Ok(()) => reading.verify(&rest[..rest.len().min(AT_ONCE)], |id, read| told.push((id, read))),
                        Err(error) => told.push((rest[0], Err(error))),
                    }
                    if results.send(told).is_err() {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("verifier {number}"));
            thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
        }
        drop(results_in);
        let told = results.iter().flatten().try_for_each(|(id, result)| each(id, result?));
        // Whoever is reading ends with what it is at; nobody takes it any more.
        stop.store(true, Ordering::Relaxed);
        drop(results);
        told
    })
}

/// Says, every so often, what will be read next.
fn announce(session: &Session, ids: &[ChunkId], place: usize) {
    if place.is_multiple_of(ANNOUNCED) {
        let from = if place == 0 { 0 } else { place + ANNOUNCED };
        let to = (place + 2 * ANNOUNCED).min(ids.len());
        session.repository().will_read(ids.get(from..to).unwrap_or_default());
    }
}

impl From<Read> for Verified {
    fn from(read: Read) -> Self {
        match read {
            Read::Whole { content, csize } => Self::Whole { size: content.len() as u32, csize },
            Read::Unsteady { content, csize, problem } => Self::Unsteady { size: content.len() as u32, csize, problem },
            Read::Lost(problem) => Self::Defect(problem),
        }
    }
}

/// How many objects a reader takes at a time.
const AT_ONCE: usize = 32;

/// How many objects are announced at a time; a multiple of those that are taken.
const ANNOUNCED: usize = 256;

/// How often the readers may have taken some before who takes what they found takes that.
const RESULTS: usize = 8;
