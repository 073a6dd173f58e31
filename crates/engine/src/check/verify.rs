//! `--verify-data`: reads every object, and checks that its content is what its id says.
//!
//! Objects are independent of each other, so all processors read, each several objects at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use worldkeeper_core::ChunkId;

use super::reading::{Read, Reading};
use crate::objects::ObjectError;
use crate::pipeline::Buffers;
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
    let buffers = Buffers::new(ROOM.min(workers.max(1) * ROOM_EACH));
    std::thread::scope(|scope| {
        for number in 0..workers.max(1) {
            let (results, next, stop) = (results_in.clone(), &next, &stop);
            let mut reading = Reading::new(session, repair).with_buffers(&buffers);
            let work = move || {
                let next = || {
                    if stop.load(Ordering::Relaxed) || session.check_stop().is_err() {
                        return None;
                    }
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    announce(session, ids, place);
                    ids.get(place).copied()
                };
                let mut told = Vec::with_capacity(TOLD);
                // Nobody takes it any more if something went wrong; then there will be no next one.
                reading.verify(next, |id, read| {
                    let is_urgent = read.is_err();
                    told.push((id, read));
                    if told.len() == TOLD || is_urgent {
                        let _ = results.send(std::mem::replace(&mut told, Vec::with_capacity(TOLD)));
                    }
                });
                let _ = results.send(told);
            };
            let thread = std::thread::Builder::new().name(format!("verifier {number}"));
            thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
        }
        drop(results_in);
        let told = results.iter().flatten().try_for_each(|(id, result)| each(id, result?));
        // Whoever is reading ends with what it is at; nobody takes it any more.
        stop.store(true, Ordering::Relaxed);
        drop(results);
        told.and_then(|()| session.check_stop())
    })
}

/// Says, every so often, what will be read next.
fn announce(session: &Session, ids: &[ChunkId], place: usize) {
    if place.is_multiple_of(ANNOUNCED) {
        let from = if place == 0 { 0 } else { place + ANNOUNCED };
        let to = (place + 2 * ANNOUNCED).min(ids.len());
        let ids = ids.get(from..to).unwrap_or_default();
        session.repository().will_read(&mut ids.iter().map(|id| (*id).into()));
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

/// Memory that readers share, in bytes: as much for each as it mostly has at a time of objects and chunks.
const ROOM_EACH: usize = 32 * 1024 * 1024;
/// However many there are, not more.
const ROOM: usize = 512 * 1024 * 1024;

/// How many objects a reader tells of at a time.
const TOLD: usize = 32;

/// How many objects are announced at a time.
const ANNOUNCED: usize = 256;

/// How often the readers may have told of some before who takes what they found takes that.
const RESULTS: usize = 8;
