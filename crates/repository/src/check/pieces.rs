//! Takes segments apart: each when it is asked for, or several at a time, ahead of whoever asks.
//!
//! Segments have nothing to do with each other until their entries are replayed, so all processors read them. What is
//! in them is asked for in the order of the log. Whoever reads ahead hands it over in batches, and waits once it has
//! told more than a little that nobody has taken yet: a segment can be full of entries that are smaller than what is
//! kept of each.
//!
//! Where segments are few, long ones are read in parts, which begin where somebody believes that an entry begins. What stands
//! behind an offset does not depend on what stands before it, only on whether something begins there: so what is told of a part
//! counts if whoever reads the part before it arrives at just that offset. If he passes it, he reads on to the end, and what
//! others have told of the segment is nothing.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, Weak};
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

/// A part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) segment: u32,
    /// Where it begins; 0 for the beginning of the segment.
    pub(super) start: u32,
    /// Where the next one begins, if there is one.
    pub(super) end: Option<u32>,
}

impl Part {
    /// All of a segment.
    pub(super) fn whole(segment: u32) -> Self {
        Self { segment, start: 0, end: None }
    }
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
            Self::Here { segments, stop } => {
                take_apart(segments, Part::whole(segment), &|| !stop.is_requested(), each).map(|_| ())
            }
            Self::Ahead(ahead) => ahead.next_segment(segment, each),
        }
    }
}

/// Lets `take` ask for the segments of all `parts`, each of them once and in this order, while so many threads read ahead.
/// They end when it ends. The parts of a segment are all of it.
pub(super) fn read_ahead<T>(
    segments: &Segments,
    parts: &[Part],
    workers: usize,
    stop: &Stop,
    take: impl FnOnce(Pieces<'_>) -> T,
) -> T {
    let workers = workers.min(parts.len());
    if workers <= 1 {
        return take(Pieces::Here { segments, stop });
    }
    let (jobs_in, jobs) = mpsc::channel();
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        for number in 0..workers {
            let work = || {
                while let Some(job) = next_job(&jobs) {
                    job.run(segments, stop);
                }
            };
            let thread = thread::Builder::new().name(format!("segment reader {number}"));
            thread.spawn_scoped(scope, work).expect("the system starts a handful of threads");
        }
        let (given, at_once) = (VecDeque::new(), workers + 1);
        take(Pieces::Ahead(Ahead { coming: parts, given, at_once, jobs: jobs_in }))
    })
}

/// Parts of segments that others read, in order.
pub(super) struct Ahead<'a> {
    /// Those that nobody reads yet.
    coming: &'a [Part],
    /// Those that somebody reads, or will read next, and what is told of them.
    given: VecDeque<Given>,
    /// How many of them there may be.
    at_once: usize,
    jobs: Sender<Job>,
}

/// A part that somebody reads. Who drops it wants to hear no more.
struct Given {
    segment: u32,
    told: Receiver<Told>,
    _wanted: Arc<()>,
}

/// A part to be read.
struct Job {
    part: Part,
    told: SyncSender<Told>,
    /// Is there as long as somebody wants to hear of it.
    wanted: Weak<()>,
}

/// What is told of a part.
enum Told {
    Pieces(Vec<Piece>),
    /// There is no more, or no more can be read.
    End(Result<End, RepositoryError>),
}

/// Where a part ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Where the next one begins.
    OfPart,
    OfSegment,
}

impl Ahead<'_> {
    fn next_segment(
        &mut self,
        segment: u32,
        each: &mut dyn FnMut(Piece) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let result = loop {
            self.give_jobs();
            let given = self.given.pop_front().expect("each segment is asked for once");
            assert_eq!(given.segment, segment, "segments are asked for in order");
            match Self::take_part(&given.told, each) {
                Ok(End::OfPart) => {}
                Ok(End::OfSegment) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Whoever reads another part of it finds out that nobody wants that.
        while self.given.pop_front_if(|given| given.segment == segment).is_some() {}
        let parts = self.coming.iter().take_while(|part| part.segment == segment).count();
        self.coming = &self.coming[parts..];
        result
    }

    fn take_part(
        told: &Receiver<Told>,
        each: &mut dyn FnMut(Piece) -> Result<(), RepositoryError>,
    ) -> Result<End, RepositoryError> {
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
            && let Some((part, rest)) = self.coming.split_first()
        {
            let (told_in, told) = mpsc::sync_channel(BATCHES);
            // If all readers have panicked, so does whoever asks what they tell.
            let wanted = Arc::new(());
            let _ = self.jobs.send(Job { part: *part, told: told_in, wanted: Arc::downgrade(&wanted) });
            self.given.push_back(Given { segment: part.segment, told, _wanted: wanted });
            self.coming = rest;
        }
    }
}

fn next_job(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    // While one waits for a job, the others wait for the mutex.
    lock(jobs).recv().ok()
}

impl Job {
    fn run(self, segments: &Segments, stop: &Stop) {
        let mut batch = Vec::new();
        let tell = |told| self.told.send(told).map_err(|_| RepositoryError::Stopped);
        let goes_on = || self.wanted.strong_count() > 0 && !stop.is_requested();
        let result = take_apart(segments, self.part, &goes_on, &mut |piece| {
            batch.push(piece);
            if batch.len() == BATCH { tell(Told::Pieces(std::mem::take(&mut batch))) } else { Ok(()) }
        });
        // Nobody takes it any more if that was the reason to end.
        let _ = tell(Told::Pieces(batch)).and_then(|()| tell(Told::End(result)));
    }
}

fn take_apart(
    segments: &Segments,
    Part { segment, start, end }: Part,
    goes_on: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Piece) -> Result<(), RepositoryError>,
) -> Result<End, RepositoryError> {
    let mut reader = segments.salvage(segment)?;
    if start > 0 {
        reader.begin_at(start);
    }
    loop {
        if end.is_some_and(|end| reader.offset() == u64::from(end)) {
            return Ok(End::OfPart);
        }
        let salvaged = reader.next(goes_on)?;
        if !goes_on() {
            return Err(RepositoryError::Stopped);
        }
        let Some(salvaged) = salvaged else { return Ok(End::OfSegment) };
        each(match salvaged {
            Salvaged::Entry(entry) => {
                Piece::Entry { offset: entry.offset, size: entry.bytes.len() as u32, body: entry.body }
            }
            Salvaged::Damage(damage) => Piece::Damage(Box::new(damage)),
        })?;
    }
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

    use worldkeeper_core::{ChunkId, disk};
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;
    use crate::segment::PutHeader;

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
            let taken = read_ahead(&segments, &NUMBERS.map(Part::whole), 2, &Stop::default(), |mut pieces| {
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
            let ended = read_ahead(&segments, &NUMBERS.map(Part::whole), workers, &Stop::default(), |mut pieces| {
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
            let ended = read_ahead(&segments, &NUMBERS.map(Part::whole), workers, &stop, |mut pieces| {
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

    /// What is told of segment 0, read in parts that begin at these offsets, and how much of segment 1.
    fn told(disk: &MemoryDisk, starts: &[u32], workers: usize) -> (Vec<(u64, u64, bool)>, usize) {
        let segments = Segments::new(Arc::new(disk.clone()), Path::new("/r"), 1000);
        let begins = [&[0], starts].concat();
        let ends = starts.iter().copied().map(Some).chain([None]);
        let parts = begins.iter().zip(ends).map(|(start, end)| Part { segment: 0, start: *start, end });
        let parts: Vec<_> = parts.chain([Part::whole(1)]).collect();
        read_ahead(&segments, &parts, workers, &Stop::default(), |mut pieces| {
            let (mut told, mut next) = (Vec::new(), 0);
            let first = pieces.of(0, &mut |piece| {
                told.push(match piece {
                    Piece::Entry { offset, size, .. } => (offset.into(), size.into(), true),
                    Piece::Damage(damage) => (damage.offset, damage.len, false),
                });
                Ok(())
            });
            first.unwrap();
            pieces
                .of(1, &mut |_| {
                    next += 1;
                    Ok(())
                })
                .unwrap();
            (told, next)
        })
    }

    #[test]
    fn in_parts_the_same_is_told_wherever_they_begin() {
        let disk = MemoryDisk::new();
        let path = Path::new("/r");
        disk::create_dir_all(&disk, &path.join("data")).unwrap();
        let segments = Segments::new(Arc::new(disk.clone()), path, 1000);
        for segment in 0..2 {
            let mut writer = segments.create(segment).unwrap();
            for number in 0..20_u8 {
                // Some of what is in objects looks like entries.
                let bait = PutHeader::encode_put(ChunkId([99; 32]), b"").repeat(usize::from(number) / 4);
                writer.put(&PutHeader::encode_put(ChunkId([number; 32]), &bait), &bait).unwrap();
            }
            writer.commit().unwrap();
            writer.close().unwrap();
        }
        let file = path.join("data/0/0");
        let whole = disk::read(&disk, &file, 1 << 20).unwrap();
        for damaged in [None, Some(3), Some(8 + 41 + 10), Some(700), Some(whole.len() - 3)] {
            let mut bytes = whole.clone();
            if let Some(at) = damaged {
                bytes[at] ^= 1;
            }
            disk::replace(&disk, &file, &bytes).unwrap();
            let alone = told(&disk, &[], 1);
            assert_eq!(alone.1, 21);
            let right: Vec<_> = alone.0.iter().filter(|piece| piece.0 > 8).map(|piece| piece.0 as u32).collect();
            assert_eq!(told(&disk, &right, 3), alone, "{damaged:?}");
            for start in (1..=bytes.len() as u32 + 2).step_by(7).chain(right) {
                assert_eq!(told(&disk, &[start], 2), alone, "{damaged:?}, {start}");
                let more = [start, start + 1, start + 60, start + 200];
                assert_eq!(told(&disk, &more, 3), alone, "{damaged:?}, {start} and on");
            }
        }
    }

    #[test]
    #[should_panic(expected = "no reader has panicked")]
    fn a_reader_that_panics_lets_nobody_wait() {
        // Where a segment would lie, only a division by zero says.
        let segments = Segments::new(Arc::new(MemoryDisk::new()), Path::new("/r"), 0);
        let _ = read_ahead(&segments, &NUMBERS.map(Part::whole), 2, &Stop::default(), |mut pieces| {
            pieces.of(0, &mut |_| Ok(()))
        });
    }
}
