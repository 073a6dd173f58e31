//! The game writes while we read. It gets its turn whenever the engine tells how far it is: a long file is not read to its
//! end by then, because no more than the pipeline's budget may be under way.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Mutex;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use worldkeeper_core::{FileFormat, Judge};
use worldkeeper_engine::{Created, Monitor, Notice, Progress};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::tree;

use crate::House;

/// More than is ever under way.
const LONG: u64 = 40 << 20;

/// A game that does something to the file whenever it can, but so many times at most.
struct Game<F> {
    path: PathBuf,
    turns: Mutex<(u32, F)>,
    /// What was told of: torn, or gone.
    told: Mutex<Vec<PathBuf>>,
}

impl<F: FnMut(&File, u32) + Send> Monitor for Game<F> {
    fn notice(&self, notice: Notice<'_>) {
        if let Notice::FileChanged(path) | Notice::FileVanished(path) = notice {
            self.told.lock().unwrap().push(path.to_owned());
        }
    }

    fn progress(&self, progress: Progress) {
        let mut turns = self.turns.lock().unwrap();
        // The first bytes were stored: the file is being read.
        if progress.bytes > 1 << 20 && turns.0 > 0 {
            turns.0 -= 1;
            let turn = turns.0;
            turns.1(&File::options().write(true).open(&self.path).unwrap(), turn);
        }
    }
}

/// A database keeps in `x-wal` what is to come into `x`.
#[derive(Debug)]
struct Pair;

impl FileFormat for Pair {
    fn judge(&self, _: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
        None
    }

    fn main_of<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        name.strip_suffix(b"-wal")
    }
}

/// Makes an archive of a database and its long journal, while the game plays.
fn backup_of_pair(house: &House, turns: u32, play: impl FnMut(&File, u32) + Send) -> (Created, Vec<PathBuf>) {
    let path = house.world().join("region/long");
    tree::write(&path, b"what was");
    tree::write(&house.world().join("region/long-wal"), &sha_stream("wal", LONG as usize));
    let game = Game { path, turns: Mutex::new((turns, play)), told: Mutex::default() };
    let created = house.watched_backup(0, &game).unwrap();
    (created, game.told.into_inner().unwrap())
}

#[test]
fn a_journal_is_torn_from_a_file_that_is_written_to_before_it_is_read() {
    for formats in [&[][..], &[&Pair as &dyn FileFormat]] {
        let house = House { formats, ..House::new() };
        let (created, torn) = backup_of_pair(&house, 0, |_, _| {});
        assert_eq!((torn.len(), created.stats.files_torn), (0, 0), "nobody wrote");
        let (created, torn) = backup_of_pair(&house, 1, |file, _| file.write_all_at(b"what is!", 0).unwrap());
        let expected = if formats.is_empty() { vec![] } else { vec![house.world().join("region/long-wal")] };
        assert_eq!((created.stats.files_torn, torn), (expected.len() as u64, expected));
        let again = house.backup(0).unwrap();
        assert_eq!(again.stats.files_torn, 0);
        // The journal never changed, and is read again all the same.
        let read = again.stats.files_new + again.stats.files_changed;
        assert!(formats.is_empty() || read == 2, "{read}");
        house.assert_restores(&again);
    }
}

#[test]
fn a_journal_that_goes_with_what_it_stood_for_is_told() {
    let house = House { formats: &[&Pair], ..House::new() };
    let journal = house.world().join("region/long-wal");
    let (created, _) = backup_of_pair(&house, 1, |file, _| {
        file.write_all_at(b"what is!", 0).unwrap();
        std::fs::remove_file(&journal).unwrap();
    });
    assert_eq!((created.stats.files_torn, created.stats.files_failed), (1, 0), "it was open already");
    let region = house.world().join("region");
    tree::write(&region.join("long"), &sha_stream("long", LONG as usize));
    tree::write(&journal, b"what is to come");
    let mut is_first = true;
    let play = |file: &File, turn: u32| {
        if std::mem::take(&mut is_first) {
            std::fs::remove_file(&journal).unwrap();
        }
        file.write_all_at(&turn.to_le_bytes(), LONG - 8).unwrap();
    };
    let game = Game { path: region.join("long"), turns: Mutex::new((u32::MAX, play)), told: Mutex::default() };
    let created = house.watched_backup(0, &game).unwrap();
    assert_eq!((created.stats.files_vanished, created.stats.files_failed, created.stats.files_torn), (0, 0, 2));
    assert!(house.comment(&created).contains("long-wal"), "{}", house.comment(&created));
}

/// Makes an archive while the game plays; returns what was made and which files were told of.
fn backup_while(house: &House, turns: u32, play: impl FnMut(&File, u32) + Send) -> (Created, Vec<PathBuf>) {
    let path = house.world().join("region/long");
    tree::write(&path, &sha_stream("long", LONG as usize));
    let game = Game { path, turns: Mutex::new((turns, play)), told: Mutex::default() };
    let created = house.watched_backup(0, &game).unwrap();
    (created, game.told.into_inner().unwrap())
}

#[test]
fn a_file_that_is_written_to_once_is_read_again() {
    let house = House::new();
    let (created, torn) = backup_while(&house, 1, |file, _| file.write_all_at(b"he moved", LONG - 100).unwrap());
    assert_eq!((torn.len(), created.stats.files_torn), (0, 0));
    assert!(created.stats.read_bytes > 2 * LONG, "it was read twice");
    house.assert_restores(&created);
    house.assert_nothing_missing_or_left_over("after a file was read again");
    house.assert_all_can_go("after a file was read again");
}

#[test]
fn a_file_that_is_always_written_to_is_told_to_be_torn_and_not_taken_as_known() {
    let house = House::new();
    let (created, torn) = backup_while(&house, u32::MAX, |file, turn| {
        file.write_all_at(&turn.to_le_bytes(), LONG - 100).unwrap();
    });
    assert_eq!((torn, created.stats.files_torn), (vec![house.world().join("region/long")], 1));
    assert!((2 * LONG..4 * LONG).contains(&created.stats.read_bytes), "{}", created.stats.read_bytes);
    let long = house.world().join("region/long");
    assert_eq!(house.comment(&created), format!("1 file changed while being read: {}", long.display()));
    assert_eq!(created.amiss, Some(house.comment(&created)));
    house.assert_nothing_missing_or_left_over("after a torn file");
    let again = house.backup(0).unwrap();
    assert_eq!((again.stats.files_torn, again.stats.files_changed + again.stats.files_new), (0, 1));
    assert_eq!(house.comment(&again), "");
    house.assert_restores(&again);
}

#[test]
fn a_file_that_grows_for_ever_ends_where_it_ended_when_it_was_opened() {
    let house = House::new();
    let (created, torn) = backup_while(&house, u32::MAX, |file, _| {
        let end = file.metadata().unwrap().len();
        file.write_all_at(&[7; 1000], end).unwrap();
    });
    assert!((2 * LONG..4 * LONG).contains(&created.stats.read_bytes), "{}", created.stats.read_bytes);
    // What a log held when it was opened is no mixture of two moments.
    assert_eq!((torn.len(), created.stats.files_torn, created.amiss), (0, 0, None));
}

#[test]
fn a_file_that_is_being_written_is_told() {
    let house = House::new();
    let (created, torn) = backup_while(&house, u32::MAX, |file, _| {
        let end = file.metadata().unwrap().len();
        file.set_len(end + (LONG / 8)).unwrap();
    });
    assert_eq!((torn.len(), created.stats.files_torn), (1, 1));
}

#[test]
fn a_file_that_is_cut_off_is_not_filled_up() {
    let house = House::new();
    let (created, torn) = backup_while(&house, 1, |file, _| file.set_len(LONG - 1_000_000).unwrap());
    assert_eq!(torn.len(), 0);
    house.assert_restores(&created);
    // However often: what is stored is what was there, and it is told.
    let (created, torn) = backup_while(&house, 4096, |file, turn| file.set_len(LONG / 2 + u64::from(turn)).unwrap());
    assert_eq!((torn.len(), created.stats.files_torn), (1, 1));
    assert!(created.stats.size < LONG, "{}", created.stats.size);
    house.assert_nothing_missing_or_left_over("after a file was cut off");
}

#[test]
fn files_that_vanish_before_they_are_opened_are_counted_and_no_reason_for_a_warning() {
    let house = House::new();
    let region = house.world().join("region");
    // A folder's files are read by their inode numbers, which nobody has promised to grow.
    let later = ["z1", "z2", "z3"].map(|name| region.join(name));
    for path in &later {
        tree::write(path, b"not for long");
    }
    let long = region.join("long");
    let first = later.iter().chain([&long]).min_by_key(|path| path.metadata().unwrap().ino()).unwrap();
    if *first != long {
        renameat_with(CWD, &long, CWD, first, RenameFlags::EXCHANGE).unwrap();
        tree::write(first, b"not for long");
    }
    let (created, mut told) = backup_while(&house, 1, |_, _| {
        let modified = region.metadata().unwrap().modified().unwrap();
        for path in &later {
            std::fs::remove_file(path).unwrap();
        }
        File::open(&region).unwrap().set_modified(modified).unwrap();
    });
    told.sort();
    assert_eq!((told.as_slice(), created.stats.files_vanished), (later.as_slice(), 3));
    assert!(!created.stats.has_warnings() && !created.stats.lacks_much(None), "{:?}", created.stats);
    house.assert_restores(&created);
    house.assert_nothing_missing_or_left_over("after files vanished");
}
