//! Files whose format somebody knows: broken ones are told, stored as they are, and never taken as known.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use worldkeeper_core::{Defects, FileFormat, Judge};
use worldkeeper_engine::{CreateOptions, Created, Monitor, Notice, Progress, create};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::tree;

use crate::House;

/// Knows the file `odd`, which is broken for so many readings.
#[derive(Debug)]
struct Broken(AtomicUsize);

impl Broken {
    const fn readings(readings: usize) -> Self {
        Self(AtomicUsize::new(readings))
    }
}

impl FileFormat for Broken {
    fn judge(&self, path: &[u8], head: &[u8]) -> Option<Box<dyn Judge>> {
        if !path.ends_with(b"/odd") {
            return None;
        }
        assert_eq!(head, CONTENT);
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        Some(Box::new(Verdict(left > 0)))
    }
}

struct Verdict(bool);

impl Judge for Verdict {
    fn look(&mut self, _: &[u8]) {}

    fn finish(self: Box<Self>) -> Defects {
        let mut defects = Defects::default();
        if self.0 {
            defects.add(format_args!("it is odd"));
        }
        defects
    }
}

const CONTENT: &[u8] = b"what a game writes";

/// What was told of.
#[derive(Default)]
struct Told(Mutex<Vec<(PathBuf, String)>>);

impl Monitor for Told {
    fn notice(&self, notice: Notice<'_>) {
        if let Notice::FileBroken { path, defects } = notice {
            self.0.lock().unwrap().push((path.to_owned(), defects.to_string()));
        }
    }

    fn progress(&self, _: Progress) {}
}

/// A house with a file of that format, and its path.
fn house(formats: &'static [&'static dyn FileFormat]) -> (House, PathBuf) {
    let house = House { formats, ..House::new() };
    let path = house.world().join("odd");
    tree::write(&path, CONTENT);
    (house, path)
}

/// Makes an archive; returns what was told of, too.
fn backup(house: &House) -> (Created, Vec<(PathBuf, String)>) {
    let told = Told::default();
    let created = house.watched_backup(0, &told).unwrap();
    (created, told.0.into_inner().unwrap())
}

fn odd(path: &Path) -> Vec<(PathBuf, String)> {
    vec![(path.to_owned(), "it is odd".to_owned())]
}

/// The clock is far ahead of the file's times, and nobody is in the middle of anything.
#[test]
fn a_broken_file_is_told_each_time_until_it_is_whole() {
    static BROKEN: Broken = Broken::readings(2);
    static FORMATS: &[&dyn FileFormat] = &[&BROKEN];
    let (house, path) = house(FORMATS);
    let (created, told) = backup(&house);
    assert_eq!((told, created.stats.files_broken, created.stats.warnings()), (odd(&path), 1, 1));
    house.assert_restores(&created);
    // Nothing has changed, and it is read and told once more, alone; and stored no second time.
    let (again, told) = backup(&house);
    assert_eq!((told, again.stats.files_broken), (odd(&path), 1));
    assert_eq!((again.stats.files_new, again.stats.read_bytes), (1, CONTENT.len() as u64), "{:?}", again.stats);
    let (whole, told) = backup(&house);
    assert_eq!((told.len(), whole.stats.files_broken, whole.stats.read_bytes), (0, 0, CONTENT.len() as u64));
    let (known, _) = backup(&house);
    assert_eq!((known.stats.files_unchanged, known.stats.read_bytes), (known.stats.files(), 0));
    house.assert_restores(&known);
    house.assert_nothing_missing_or_left_over("after broken files");
}

/// The clock is behind the file's times: it was written to just now.
#[test]
fn a_file_that_may_be_half_written_is_read_again() {
    static ONCE: Broken = Broken::readings(1);
    static ALWAYS: Broken = Broken::readings(100);
    static CASES: [&[&dyn FileFormat]; 2] = [&[&ONCE], &[&ALWAYS]];
    for (formats, readings, is_told) in [(CASES[0], 2, false), (CASES[1], 3, true)] {
        let (house, path) = house(formats);
        house.clock.set_wall("2020-01-01T00:00:00Z".parse().unwrap());
        let (created, told) = backup(&house);
        assert_eq!(told, if is_told { odd(&path) } else { Vec::new() });
        assert_eq!(created.stats.files_broken, u64::from(is_told));
        let once = created.stats.size;
        assert_eq!(created.stats.read_bytes, once + (readings - 1) * CONTENT.len() as u64, "{readings}");
        house.assert_restores(&created);
        house.assert_nothing_missing_or_left_over("after a file was read again");
    }
}

/// Keeps what it has seen.
#[derive(Debug)]
struct Witness;

static EXPECTED: OnceLock<Vec<u8>> = OnceLock::new();

impl FileFormat for Witness {
    fn judge(&self, path: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
        path.ends_with(b"sparse").then(|| Box::new(Seen(Vec::new())) as Box<dyn Judge>)
    }
}

struct Seen(Vec<u8>);

impl Judge for Seen {
    fn look(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(self: Box<Self>) -> Defects {
        let mut defects = Defects::default();
        if EXPECTED.get() != Some(&self.0) {
            defects.add(format_args!("it was seen otherwise, with {} bytes", self.0.len()));
        }
        defects
    }
}

#[test]
fn whatever_is_passed_over_is_seen_as_zeros() {
    let house = House::new();
    let path = house.world().join("sparse");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    // Holes in front, between, and at the end; data that ends anywhere.
    for (at, len) in [(300_000, 70_001), (700_000, 4), (1_500_000, 65_536), (1_600_000, 200_000)] {
        file.write_all_at(&sha_stream(&at.to_string(), len), at).unwrap();
    }
    file.set_len(3_000_000).unwrap();
    EXPECTED.set(std::fs::read(&path).unwrap()).unwrap();
    for (cuts, sparse) in
        [("fixed,65536", false), ("fixed,65536", true), ("buzhash,10,16,12,4095", false), ("default", false)]
    {
        let options = CreateOptions {
            chunker_params: cuts.parse().unwrap(),
            sparse,
            formats: &[&Witness],
            ..CreateOptions::new(format!("{cuts}{sparse}"), [house.world()])
        };
        let told = Told::default();
        let created = create(&mut house.open(), &options, &told).unwrap();
        assert_eq!(told.0.into_inner().unwrap(), [], "{cuts}, {sparse}");
        house.assert_restores(&created);
    }
}
