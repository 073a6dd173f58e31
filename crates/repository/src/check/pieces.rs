//! Takes segments apart: each when it is asked for, or several at a time, ahead of whoever asks.
//!
//! Segments have nothing to do with each other until their entries are replayed, so all processors read them. What is
//! in them is asked for in the order of the log. Whoever reads ahead hands it over in batches, and waits once it has
//! told more than a little that nobody has taken yet: a segment can be full of entries that are smaller than what is
//! kept of each.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use worldkeeper_core::{RepositoryError, Stop};

use crate::segment::{Body, Damage, Salvaged, Segments};
use crate::sync::lock;

/// Something that stands in a segment.
pub(super) enum Piece {
    /// An entry that verifies; its object is not kept.
    Entry { offset: u32, size: u32, body: Body },
    /// Bytes that are no entry. There are few, and entries are smaller.
    Damage(Box<Damage>),
}

/// Gives what stands in segments.
pub(super) enum Pieces<'a> {
    /// Each segment is read when it is asked for.
    Here { segments: &'a Segments, stop: &'a Stop },
    /// Others read ahead.
    Ahead(Ahead<'a>),
}

impl Pieces<'_> {
    /// Tells `each` all that stands in a segment, in order, until it fails or the segment cannot be read, or until
    /// somebody asks to stop.
    pub(super) fn of(
        &mut self,
        segment: u32,
        each: &mut dyn FnMut(Piece) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        match self {
            Self::Here { segments, stop } => take_apart(segments, segment, stop, each),
            Self::Ahead(ahead) => ahead.next_segment(segment, each),
        }
    }
}

/// Lets `take` ask for all `numbers`, each of them once and in this order, while so many threads read ahead. They end
/// when it ends.
pub(super) fn read_ahead<T>(
    segments: &Segments,
    numbers: &[u32],
    workers: usize,
    stop: &Stop,
    take: impl FnOnce(Pieces<'_>) -> T,
) -> T {
    let workers = workers.min(numbers.len());
    if workers <= 1 {
        return take(Pieces::Here { segments, stop });
    }
    let (jobs_in, jobs) = mpsc::channel();
    let (jobs, is_over) = (Mutex::new(jobs), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..workers {
            let work = || {
                while let Some(job) = next_job(&jobs) {
                    job.run(segments, stop, &is_over);
                }
            };
            let thread = thread::Builder::new().name(format!("segment reader {number}"));
            thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
        }
        let (given, at_once) = (VecDeque::new(), workers + 1);
        take(Pieces::Ahead(Ahead { coming: numbers, given, at_once, jobs: jobs_in, is_over: &is_over }))
    })
}

/// Segments that others read, in order.
pub(super) struct Ahead<'a> {
    /// Those that nobody reads yet.
    coming: &'a [u32],
    /// Those that somebody reads, or will read next, and what is told of them.
    given: VecDeque<(u32, Receiver<Told>)>,
    /// How many of them there may be.
    at_once: usize,
    jobs: Sender<Job>,
    is_over: &'a AtomicBool,
}

/// A segment to be read.
struct Job {
    segment: u32,
    told: SyncSender<Told>,
}

/// What is told of a segment.
enum Told {
    Pieces(Vec<Piece>),
    /// There is no more, or no more can be read.
    End(Result<(), RepositoryError>),
}

impl Ahead<'_> {
    fn next_segment(
        &mut self,
        segment: u32,
        each: &mut dyn FnMut(Piece) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        self.give_jobs();
        let (given, told) = self.given.pop_front().expect("each segment is asked for once");
        assert_eq!(given, segment, "segments are asked for in order");
        loop {
            // Nothing else ends a reader before it has told of the end.
            match told.recv().expect("no reader has panicked") {
                Told::Pieces(pieces) => pieces.into_iter().try_for_each(&mut *each)?,
                Told::End(result) => return result,
            }
        }
    }

    fn give_jobs(&mut self) {
        while self.given.len() < self.at_once
            && let Some((segment, rest)) = self.coming.split_first()
        {
            let (told_in, told) = mpsc::sync_channel(BATCHES);
            // If all readers have panicked, so does whoever asks what they tell.
            let _ = self.jobs.send(Job { segment: *segment, told: told_in });
            self.given.push_back((*segment, told));
            self.coming = rest;
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        // Whoever waits to tell something finds out by itself.
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn next_job(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    // While one waits for a job, the others wait for the mutex.
    lock(jobs).recv().ok()
}

impl Job {
    fn run(self, segments: &Segments, stop: &Stop, is_over: &AtomicBool) {
        let mut batch = Vec::new();
        let tell = |told| self.told.send(told).map_err(|_| RepositoryError::Stopped);
        let result = take_apart(segments, self.segment, stop, &mut |piece| {
            if is_over.load(Ordering::Relaxed) {
                return Err(RepositoryError::Stopped);
            }
            batch.push(piece);
            if batch.len() == BATCH { tell(Told::Pieces(std::mem::take(&mut batch))) } else { Ok(()) }
        });
        // Nobody takes it any more if that was the reason to end.
        let _ = tell(Told::Pieces(batch)).and_then(|()| tell(Told::End(result)));
    }
}

fn take_apart(
    segments: &Segments,
    segment: u32,
    stop: &Stop,
    each: &mut dyn FnMut(Piece) -> Result<(), RepositoryError>,
) -> Result<(), RepositoryError> {
    let mut reader = segments.salvage(segment)?;
    while let Some(salvaged) = reader.next()? {
        if stop.is_requested() {
            return Err(RepositoryError::Stopped);
        }
        each(match salvaged {
            Salvaged::Entry(entry) => {
                Piece::Entry { offset: entry.offset, size: entry.bytes.len() as u32, body: entry.body }
            }
            Salvaged::Damage(damage) => Piece::Damage(Box::new(damage)),
        })?;
    }
    Ok(())
}

/// How many pieces are handed over at a time.
const BATCH: usize = 1024;

/// How many batches of one segment are kept until somebody takes them: 3 MiB.
const BATCHES: usize = 64;

const _: () = assert!(size_of::<Piece>() <= 48);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use worldkeeper_core::disk;
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;

    /// Three segments of so many entries.
    fn segments(entries: u32) -> Segments {
        let disk = MemoryDisk::new();
        let path = Path::new("/r");
        disk::create_dir_all(&disk, &path.join("data")).unwrap();
        let segments = Segments::new(Arc::new(disk), path, 1000);
        for segment in 0..3 {
            let mut writer = segments.create(segment).unwrap();
            (0..entries).for_each(|_| writer.commit().unwrap());
            writer.close().unwrap();
        }
        segments
    }

    const NUMBERS: [u32; 3] = [0, 1, 2];

    /// More than is kept until somebody takes it.
    const MANY: u32 = (BATCH * (BATCHES + 3) + 5) as u32;

    #[test]
    fn who_reads_ahead_waits_when_much_is_not_taken() {
        for entries in [0, 1, BATCH as u32, MANY] {
            let segments = segments(entries);
            let taken = read_ahead(&segments, &NUMBERS, 2, &Stop::default(), |mut pieces| {
                NUMBERS.map(|segment| {
                    let (mut count, mut end) = (0, 8);
                    let each = &mut |piece| {
                        let Piece::Entry { offset, size, body: Body::Commit } = piece else { panic!("a COMMIT") };
                        assert_eq!((offset, size), (end, 9), "they come in order");
                        (count, end) = (count + 1, end + 9);
                        Ok(())
                    };
                    pieces.of(segment, each).unwrap();
                    count
                })
            });
            assert_eq!(taken, [entries; 3]);
        }
    }

    #[test]
    fn who_waits_ends_when_nobody_takes_any_more() {
        let segments = segments(MANY);
        for workers in [1, 2, 3] {
            let ended = read_ahead(&segments, &NUMBERS, workers, &Stop::default(), |mut pieces| {
                let enough = || RepositoryError::Other("enough".into());
                let first = pieces.of(0, &mut |_| Err(enough()));
                assert!(matches!(first, Err(RepositoryError::Other(_))), "{first:?}");
                // The others are there all the same.
                let mut count = 0;
                pieces.of(1, &mut |_| {
                    count += 1;
                    if count == MANY { Err(enough()) } else { Ok(()) }
                })
            });
            assert!(matches!(ended, Err(RepositoryError::Other(_))), "{ended:?}");
        }
    }

    #[test]
    fn a_stop_ends_it_in_the_middle_of_a_segment() {
        let segments = segments(MANY);
        for workers in [1, 3] {
            let (stop, mut count) = (Stop::default(), 0);
            let ended = read_ahead(&segments, &NUMBERS, workers, &stop, |mut pieces| {
                pieces.of(0, &mut |_| {
                    stop.request();
                    count += 1;
                    Ok(())
                })
            });
            assert!(matches!(ended, Err(RepositoryError::Stopped)), "{ended:?}");
            assert!(count < MANY, "{workers} threads");
        }
    }

    #[test]
    #[should_panic(expected = "no reader has panicked")]
    fn a_reader_that_panics_lets_nobody_wait() {
        // Where a segment would lie, only a division by zero says.
        let segments = Segments::new(Arc::new(MemoryDisk::new()), Path::new("/r"), 0);
        let _ = read_ahead(&segments, &NUMBERS, 2, &Stop::default(), |mut pieces| pieces.of(0, &mut |_| Ok(())));
    }
}
