//! `--verify-data`: reads every object, and checks that its content is what its id says.
//!
//! Objects are independent of each other, so all processors read. Each of them holds one object at a time.

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
                    && let place = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(id) = ids.get(place)
                {
                    announce(session, ids, place);
                    let result = session.check_stop().and_then(|()| reading.read(id)).map(verified);
                    if results.send((*id, result)).is_err() {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("verifier {number}"));
            thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
        }
        drop(results_in);
        let told = results.iter().try_for_each(|(id, result)| each(id, result?));
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

fn verified(read: Read) -> Verified {
    match read {
        Read::Whole { content, csize } => Verified::Whole { size: content.len() as u32, csize },
        Read::Unsteady { content, csize, problem } => Verified::Unsteady { size: content.len() as u32, csize, problem },
        Read::Lost(problem) => Verified::Defect(problem),
    }
}

/// How many objects are announced at a time.
const ANNOUNCED: usize = 256;

/// How far the readers may be ahead of who takes what they found.
const RESULTS: usize = 256;
