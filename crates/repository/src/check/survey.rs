//! Are the entries what was written? Reads all segments that count, and works out what they contain.

use std::thread::available_parallelism;

use worldkeeper_core::repository::Finding;
use worldkeeper_core::{DiskError, RepositoryError, error_text};

use super::Report;
use super::extent::Extent;
use super::parts::parts;
use super::pieces::{Part, Piece, Pieces, read_ahead};
use crate::LocalRepository;
use crate::hints::Hints;
use crate::index::Index;
use crate::replay::Replay;
use crate::segment::Body;

/// What was found out about the segments, for a comparison and a repair to go by.
pub(super) struct Survey {
    /// What the entries that verify add up to.
    pub(super) index: Index,
    pub(super) hints: Hints,
    /// Segments with something in them that is no entry.
    pub(super) damaged: Vec<u32>,
    /// Why a segment could not be read at all.
    pub(super) unreadable: Option<DiskError>,
    /// The state files do not say what the segments say.
    pub(super) is_state_wrong: bool,
}

impl LocalRepository {
    /// Reads all segments that count, on all processors.
    pub(super) fn survey(&self, extent: &Extent, report: &mut Report<'_>) -> Result<Survey, RepositoryError> {
        let workers = available_parallelism().map_or(1, usize::from);
        let parts = self.parts(workers, PART_BYTES, extent);
        self.survey_on(workers, &parts, extent, report)
    }

    /// Parts of all segments that count, of about so many bytes where segments are few.
    fn parts(&self, workers: usize, part_len: u64, extent: &Extent) -> Vec<Part> {
        if workers <= 1 {
            return extent.segments.iter().copied().map(Part::whole).collect();
        }
        // Whoever reads a segment says what is wrong with it; here it is one part.
        let len = |segment: &u32| self.segments.len(*segment).ok().flatten().unwrap_or(0);
        let segments: Vec<_> = extent.segments.iter().map(|segment| (*segment, len(segment))).collect();
        let lens = || segments.iter().map(|(_, len)| *len);
        let (longest, all) = (lens().max().unwrap_or(0), lens().fold(0, u64::saturating_add));
        let pays = longest / 2 >= part_len && all / longest < (FEW * workers) as u64;
        // What is wrong with the index is told later; without one, each segment is a part.
        let index = if pays { self.state_files.read_index(extent.transaction).ok() } else { None };
        parts(&segments, part_len, &index.unwrap_or_else(Index::new))
    }

    /// Reads all segments that count, in these parts, on so many threads.
    fn survey_on(
        &self,
        workers: usize,
        parts: &[Part],
        extent: &Extent,
        report: &mut Report<'_>,
    ) -> Result<Survey, RepositoryError> {
        read_ahead(&self.segments, parts, workers, &self.stop, |pieces| self.survey_pieces(pieces, extent, report))
    }

    /// Takes what is read of all segments, in their order.
    fn survey_pieces(
        &self,
        mut pieces: Pieces<'_>,
        extent: &Extent,
        report: &mut Report<'_>,
    ) -> Result<Survey, RepositoryError> {
        let mut replay = Replay::new(&self.segments, &extent.segments, None);
        let (mut damaged, mut unreadable) = (Vec::new(), None);
        for (done, segment) in extent.segments.iter().copied().enumerate() {
            self.require_going_on()?;
            report.progress(done, extent.segments.len());
            replay.begin_segment(segment);
            let entry = |offset, size, body| replay.entry(segment, offset, size, body);
            match check_segment(segment, &mut pieces, report, entry) {
                Ok(true) => {}
                Ok(false) => damaged.push(segment),
                Err(RepositoryError::Disk(error)) => unreadable = unreadable.or(Some(error)),
                Err(error) => return Err(error),
            }
            replay.end_segment(segment, self.segments.len(segment)?.unwrap_or(0));
        }
        report.progress(extent.segments.len(), extent.segments.len());
        let (index, hints) = replay.finish();
        report.outcome.objects = index.len() as u64;
        Ok(Survey { index, hints, damaged, unreadable, is_state_wrong: false })
    }

    /// Requires that nobody has asked to stop.
    pub(super) fn require_going_on(&self) -> Result<(), RepositoryError> {
        if self.stop.is_requested() { Err(RepositoryError::Stopped) } else { Ok(()) }
    }
}

/// Takes what is read of one segment, and tells of what is no entry; `on_entry` is told offset, size and body of each
/// entry. Returns whether all of the segment is entries.
pub(super) fn check_segment(
    segment: u32,
    pieces: &mut Pieces<'_>,
    report: &mut Report<'_>,
    mut on_entry: impl FnMut(u32, u32, Body) -> Result<(), RepositoryError>,
) -> Result<bool, RepositoryError> {
    let mut is_intact = true;
    let result = pieces.of(segment, &mut |piece| {
        match piece {
            Piece::Entry { offset, size, body } => on_entry(offset, size, body)?,
            Piece::Damage(damage) => {
                is_intact = false;
                let what = format!("{}; {} bytes are no log entry", damage.reason, damage.len);
                report.found(&Finding::problem(what).in_segment(segment).at(damage.offset));
            }
        }
        Ok(())
    });
    report.outcome.segments += 1;
    if let Err(RepositoryError::Disk(error)) = &result {
        report.found_beyond_repair(&Finding::problem(error_text(error)).in_segment(segment));
    }
    result.map(|()| is_intact)
}

/// Segments are few if there is less than the longest this many times for each thread.
const FEW: usize = 4;
/// How long a part is, in bytes.
const PART_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use worldkeeper_core::repository::{CheckEvent, RepositoryCheck};
    use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryId, Stop, disk};
    use worldkeeper_testkit::clock::ManualClock;
    use worldkeeper_testkit::disk::{MemoryDisk, ReadFault};
    use worldkeeper_testkit::process::Process;

    use super::*;
    use crate::{CreateOptions, Mode, OpenOptions};

    const PATH: &str = "/r";

    fn open(disk: &MemoryDisk, stop: &Stop) -> LocalRepository {
        let options = OpenOptions {
            mode: Mode::Exclusive,
            wait: Some(Duration::ZERO),
            on_wait: None,
            identity: Process::new(),
            clock: Arc::new(ManualClock::at("2026-11-06T12:00:00Z")),
            stop: stop.clone(),
        };
        LocalRepository::open(Arc::new(disk.clone()), Path::new(PATH), &options).unwrap()
    }

    fn segment_file(segment: u32) -> PathBuf {
        Path::new(PATH).join("data/0").join(segment.to_string())
    }

    fn change(disk: &MemoryDisk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = disk::read(disk, path, 1 << 20).unwrap();
        change(&mut bytes);
        disk::replace(disk, path, &bytes).unwrap();
    }

    /// Many segments, with objects that were superseded, deleted and brought back.
    fn sample() -> MemoryDisk {
        let disk = MemoryDisk::new();
        LocalRepository::create(&disk, Path::new(PATH), &CreateOptions::new(RepositoryId([1; 32]))).unwrap();
        change(&disk, &Path::new(PATH).join("config"), |config| {
            let text = std::str::from_utf8(config).unwrap();
            let lines = text
                .lines()
                .map(|line| if line.starts_with("max_segment_size") { "max_segment_size = 3000" } else { line });
            *config = lines.collect::<Vec<_>>().join("\n").into_bytes();
        });
        let repository = open(&disk, &Stop::default());
        for round in 1..=4 {
            let mut transaction = repository.begin().unwrap();
            for number in 1..=12_u8 {
                if number % round == 0 {
                    transaction.put(ChunkId([number; 32]), vec![number ^ round; 650].into()).unwrap();
                } else if number % 5 == 0 && round == 3 {
                    transaction.delete(ChunkId([number; 32])).unwrap();
                }
            }
            transaction.commit().unwrap();
        }
        disk
    }

    /// As a sample, with damage of all kinds.
    fn damaged() -> MemoryDisk {
        let disk = sample();
        // An object, a magic, a header behind which the next entry must be searched for, the end, everything.
        change(&disk, &segment_file(0), |bytes| bytes[900] ^= 1);
        change(&disk, &segment_file(1), |bytes| bytes[3] ^= 1);
        change(&disk, &segment_file(4), |bytes| bytes[8 + 41 + 691 + 41 + 8] ^= 0x40);
        change(&disk, &segment_file(4), |bytes| bytes[3000] ^= 1);
        change(&disk, &segment_file(7), |bytes| bytes.truncate(bytes.len() - 100));
        change(&disk, &segment_file(9), |bytes| bytes.fill(0));
        disk
    }

    /// All that a survey says, to whom it reports and to whom has asked for it.
    #[derive(Debug, PartialEq)]
    struct Said {
        /// Progress and findings in order.
        events: Vec<String>,
        outcome: RepositoryCheck,
        beyond_repair: u64,
        survey: Result<Surveyed, String>,
    }

    #[derive(Debug, PartialEq)]
    struct Surveyed {
        index: Vec<(ChunkId, crate::segment::Location)>,
        hints: Hints,
        damaged: Vec<u32>,
        unreadable: Option<String>,
    }

    /// Surveys on so many threads, in parts of about so many bytes; `before` is called when it is known how far the log goes, `at` with each event.
    fn said(
        disk: &MemoryDisk,
        workers: usize,
        part_len: u64,
        before: impl FnOnce(&MemoryDisk),
        mut at: impl FnMut(&CheckEvent<'_>, &Stop),
    ) -> Said {
        let stop = Stop::default();
        let disk = disk.after_kill();
        let repository = open(&disk, &stop);
        let mut ignore = |_: CheckEvent<'_>| {};
        let mut ignored = Report { on_event: &mut ignore, outcome: RepositoryCheck::default(), beyond_repair: 0 };
        let extent = repository.find_extent(&mut ignored).unwrap().unwrap();
        assert!(extent.segments.len() > 10);
        let parts = repository.parts(workers, part_len, &extent);
        assert_eq!(parts.len() > extent.segments.len(), part_len < WHOLE && workers > 1);
        before(&disk);
        let mut events = Vec::new();
        let mut on_event = |event: CheckEvent<'_>| {
            at(&event, &stop);
            events.push(match event {
                CheckEvent::Found(finding) => finding.to_string(),
                CheckEvent::Progress { done, total } => format!("{done} of {total}"),
                other => panic!("{other:?}"),
            });
        };
        let mut report = Report { on_event: &mut on_event, outcome: RepositoryCheck::default(), beyond_repair: 0 };
        let survey = repository.survey_on(workers, &parts, &extent, &mut report);
        let (outcome, beyond_repair) = (report.outcome, report.beyond_repair);
        let survey = survey.map_err(|error| error_text(&error)).map(|survey| Surveyed {
            index: survey.index.iter().collect(),
            hints: survey.hints,
            damaged: survey.damaged,
            unreadable: survey.unreadable.map(|error| error_text(&error)),
        });
        Said { events, outcome, beyond_repair, survey }
    }

    /// Requires that any number of threads says what one says; returns that.
    #[track_caller]
    fn agree(disk: &MemoryDisk, before: impl Fn(&MemoryDisk)) -> Said {
        let alone = said(disk, 1, WHOLE, &before, |_, _| {});
        for workers in [2, 3, 8, 100] {
            assert_eq!(said(disk, workers, WHOLE, &before, |_, _| {}), alone, "{workers} threads");
        }
        alone
    }

    /// Each segment is one part.
    const WHOLE: u64 = u64::MAX;

    #[test]
    fn any_number_of_threads_says_the_same() {
        let sound = agree(&sample(), |_| {});
        assert_eq!((sound.outcome.problems, sound.survey.unwrap().damaged), (0, vec![]));
        let hurt = agree(&damaged(), |_| {});
        assert_eq!(hurt.survey.unwrap().damaged, [0, 1, 4, 7, 9]);
        assert!(hurt.outcome.problems >= 6, "{:#?}", hurt.events);
    }

    #[test]
    fn in_parts_the_same_is_said() {
        for disk in [sample(), damaged()] {
            let alone = said(&disk, 1, WHOLE, |_| {}, |_, _| {});
            for (workers, part_len) in [(2, 500), (4, 500), (8, 1), (8, 1000), (100, 690)] {
                assert_eq!(
                    said(&disk, workers, part_len, |_| {}, |_, _| {}),
                    alone,
                    "{workers} threads, {part_len} bytes"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_at_its_place() {
        let fails = |disk: &MemoryDisk| {
            let below = segment_file(5);
            // Once, or nothing would say how long the segment is.
            disk.fail_reads(Some(ReadFault { call: 1, below, kind: ErrorKind::Other, for_ever: false }));
        };
        let said = agree(&damaged(), fails);
        let at = |text: &str| said.events.iter().position(|event| event.contains(text)).unwrap();
        assert!(at("5 of") < at("cannot read") && at("cannot read") < at("6 of"), "{:#?}", said.events);
        assert_eq!(said.beyond_repair, 1);
        let survey = said.survey.unwrap();
        assert_eq!(survey.damaged, [0, 1, 4, 7, 9]);
        assert!(survey.unreadable.unwrap().contains("/data/0/5"));
    }

    #[test]
    fn what_ends_the_survey_ends_it_at_its_place() {
        let said = agree(&damaged(), |disk| disk.remove_file(&segment_file(5)).unwrap());
        let error = said.survey.unwrap_err();
        assert!(error.contains("segment 5") && error.contains("missing"), "{error}");
        assert!(said.events.last().unwrap().starts_with("5 of"), "{:#?}", said.events);
    }

    #[test]
    fn a_stop_ends_it() {
        for workers in [1, 2, 8] {
            let stops = |event: &CheckEvent<'_>, stop: &Stop| {
                if matches!(event, CheckEvent::Progress { done: 3, .. }) {
                    stop.request();
                }
            };
            let said = said(&sample(), workers, WHOLE, |_| {}, stops);
            assert_eq!(said.survey.unwrap_err(), error_text(&RepositoryError::Stopped), "{workers} threads");
            assert_eq!(said.events.len(), 4, "{workers} threads: {:#?}", said.events);
        }
    }
}
