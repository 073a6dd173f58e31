//! Files that are cut by a plan: where, what a change costs, and what comes of them while somebody writes.
//!
//! The format is one of these tests' own: pages of [`PAGE`] bytes, the first of which says where the others lie. Whoever
//! is asked about it does to the file what a game would do at that moment.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use worldkeeper_archive::Item;
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_core::{ChunkId, FileFormat, Judge, Known, Plan, RangeReader};
use worldkeeper_engine::{Change, Created, Destination, DiffOptions, ExtractOptions, Finding, Silent, diff, extract};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::random::Random;
use worldkeeper_testkit::{gate, tree};

use crate::House;

const PAGE: usize = 512;
/// Pages that the head tells of.
const SLOTS: usize = PAGE / 8;
/// More than is read at once.
const LEN: usize = 3 << 20;

/// What a game does when its file is looked at.
type Turn = Box<dyn FnMut(&Path) + Send>;

/// A format; and a game, which takes a turn whenever the format is asked something.
#[derive(Default)]
struct Book {
    turns: Mutex<VecDeque<Turn>>,
    /// Makes another plan than the one that fits.
    lies: Option<Vec<u64>>,
    /// Where the file is.
    path: PathBuf,
    /// The sizes of last time's pieces, as they were told; of each plan that was asked for.
    told: Mutex<Vec<Option<Vec<u32>>>>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book")
    }
}

impl Book {
    fn take_turn(&self) {
        let turn = self.turns.lock().unwrap().pop_front();
        if let Some(mut turn) = turn {
            turn(&self.path);
        }
    }

    /// The only one whose plans count, with a file to play on.
    fn place(house: &mut House, book: Self) -> &'static Self {
        let path = house.world().join("region/1.book");
        if !path.exists() {
            fs::write(&path, content()).unwrap();
        }
        let book: &'static Self = Box::leak(Box::new(Self { path, ..book }));
        house.cuts = Box::leak(Box::new([book as &dyn FileFormat]));
        house.chunker_params = CUTS.parse().unwrap();
        book
    }
}

/// Chunks of 2 to 64 KiB.
const CUTS: &str = "buzhash,11,16,14,255";

impl FileFormat for Book {
    fn judge(&self, _: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
        None
    }

    fn plan(&self, path: &[u8], file: &mut dyn RangeReader, known: &Known<'_>) -> Option<Plan> {
        if !path.ends_with(b".book") {
            return None;
        }
        self.told.lock().unwrap().push(known.last.map(|last| last.sizes.to_vec()));
        let mut head = [0; PAGE];
        file.read_exact_at(0, &mut head).ok()?;
        self.take_turn();
        if let Some(ends) = &self.lies {
            return Plan::new(ends.clone(), u64::MAX);
        }
        // The last page, and what does not fill one, is left to others.
        let ends = (1..file.size() / PAGE as u64).map(|page| page * PAGE as u64);
        Some(Plan::new(ends.collect(), file.size())?.with_head(PAGE as u64))
    }

    fn again(&self, before: &[u8], now: &[u8], len: u64) -> Vec<Range<u64>> {
        self.take_turn();
        let is_moved = |slot: &usize| before.is_empty() || entry(before, *slot) != entry(now, *slot);
        let range = |slot| {
            let start = u64::from(entry(now, slot).0) * PAGE as u64;
            (start > 0 && start + PAGE as u64 <= len).then(|| start..start + PAGE as u64)
        };
        let mut ranges: Vec<_> = (0..SLOTS).filter(is_moved).filter_map(range).collect();
        ranges.sort_by_key(|range| range.start);
        ranges.dedup();
        ranges
    }

    fn is_whole(&self, range: &[u8]) -> bool {
        is_page(range)
    }
}

/// Where a page lies, and its stamp.
fn entry(head: &[u8], slot: usize) -> (u32, u32) {
    let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    (number(slot * 8), number(slot * 8 + 4))
}

/// A page of one byte over and over, with its slot and its stamp in front.
fn page(slot: usize, stamp: u32) -> [u8; PAGE] {
    let mut page = [slot as u8 ^ stamp as u8; PAGE];
    page[0] = slot as u8;
    page[1..5].copy_from_slice(&stamp.to_le_bytes());
    page
}

fn is_page(bytes: &[u8]) -> bool {
    bytes[5..].iter().all(|byte| *byte == bytes[0] ^ bytes[1])
}

/// Writes a page in a place, and then the head that tells of it.
fn write(path: &Path, slot: usize, place: u32, stamp: u32) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&page(slot, stamp), u64::from(place) * PAGE as u64).unwrap();
    let entry = [place.to_le_bytes(), stamp.to_le_bytes()].concat();
    file.write_all_at(&entry, slot as u64 * 8).unwrap();
}

/// A book whose pages are spread over all of it, in noise.
fn content() -> Vec<u8> {
    let mut content = sha_stream("book", LEN + 100);
    for slot in 0..SLOTS {
        let place = 1 + slot * (LEN / PAGE - 1) / SLOTS;
        content[place * PAGE..][..PAGE].copy_from_slice(&page(slot, 1));
        content[slot * 8..][..8].copy_from_slice(&[(place as u32).to_le_bytes(), 1_u32.to_le_bytes()].concat());
    }
    content
}

/// Requires that all that the head tells of is there; returns the stamps.
#[track_caller]
fn stamps(content: &[u8]) -> Vec<u32> {
    let stamp = |slot| {
        let (place, stamp) = entry(content, slot);
        let bytes = &content[place as usize * PAGE..][..PAGE];
        assert!(bytes == page(slot, stamp), "the page of slot {slot} is not where its head says");
        stamp
    };
    (0..SLOTS).map(stamp).collect()
}

impl House {
    fn items(&self, created: &Created) -> (Vec<ChunkId>, Vec<Item>) {
        let session = self.open();
        let archive = session.open_archive(&session.archive_info(&created.name).unwrap()).unwrap();
        let items = session.items(&archive).map(Result::unwrap).collect();
        (archive.metadata.items.clone(), items)
    }

    /// The sizes of a file's pieces.
    fn sizes(&self, created: &Created, name: &str) -> Vec<u32> {
        let items = self.items(created).1;
        let item = items.iter().find(|item| item.path.ends_with(name.as_bytes())).unwrap();
        item.chunks.iter().flatten().map(|chunk| chunk.size).collect()
    }

    /// What an archive has of the book.
    fn book(&self, created: &Created) -> Vec<u8> {
        let (session, target) = (self.open(), tempfile::tempdir().unwrap());
        let archive = session.open_archive(&session.archive_info(&created.name).unwrap()).unwrap();
        let to = Destination::Directory(target.path());
        extract(&session, &archive, to, &ExtractOptions::default(), &Silent).unwrap();
        fs::read(target.path().join(self.world().strip_prefix("/").unwrap()).join("region/1.book")).unwrap()
    }
}

#[test]
fn a_file_is_cut_by_its_plan_and_a_change_costs_what_changed() {
    let mut house = House::new();
    let book = Book::place(&mut house, Book::default());
    let first = house.backup(0).unwrap();
    let mut planned = vec![PAGE as u32; LEN / PAGE - 1];
    assert_eq!(house.sizes(&first, "1.book")[..planned.len()], planned);
    assert_eq!(house.sizes(&first, "1.book").iter().sum::<u32>() as usize, LEN + 100);
    // Others are cut by the parameters.
    assert!(house.sizes(&first, "region/long").split_last().unwrap().1.iter().all(|size| *size >= 2048));
    house.assert_restores(&first);

    let again = house.backup(0).unwrap();
    assert_eq!((again.stats.stored_objects, again.stats.read_bytes), (1, 0), "an archive's metadata and nothing else");
    assert_eq!(house.items(&again), house.items(&first));

    write(&book.path, 7, 5000, 2);
    let changed = house.backup(0).unwrap();
    // The head, the page, the archive's metadata; of the list of items what these two are in, and its end.
    assert!(changed.stats.stored_objects <= 9, "{:?}", changed.stats);
    assert!(changed.stats.stored_bytes < 60_000, "{:?}", changed.stats);
    house.assert_restores(&changed);
    planned = house.sizes(&first, "1.book");
    assert_eq!(
        *book.told.lock().unwrap(),
        [None, None, Some(planned.clone()), Some(planned)],
        "asked again when settled"
    );
    house.assert_nothing_missing_or_left_over("after a change");
    house.assert_all_can_go("after a change");
}

#[test]
fn without_such_a_file_all_is_as_stock_does_it() {
    let mut house = House::new();
    house.chunker_params = CUTS.parse().unwrap();
    let without = house.backup(0).unwrap();
    let book = Book::place(&mut house, Book::default());
    fs::remove_file(&book.path).unwrap();
    tree::write(&house.world().join("region/long"), &sha_stream("long", 1_500_000));
    let with = house.backup(0).unwrap();
    assert_eq!(with.stats.files_changed, 1);
    assert_eq!(house.items(&with).1.len(), house.items(&without).1.len());
    let chunks = |created| house.items(created).1.into_iter().map(|item| (item.path, item.chunks)).collect::<Vec<_>>();
    assert_eq!(chunks(&with), chunks(&without));
    house.cuts = &[];
    let plain = house.backup(0).unwrap();
    assert_eq!(house.items(&plain), house.items(&with), "the list of items, too");
    // Blocks stay blocks.
    Book::place(&mut house, Book::default());
    house.chunker_params = ChunkerParams::fixed(65_536, 0).unwrap();
    let blocks = house.backup(0).unwrap();
    assert_eq!(house.sizes(&blocks, "1.book")[..2], [65_536; 2]);
}

#[test]
fn what_another_client_has_stored_is_cut_anew_when_it_changes() {
    let mut house = House::new();
    house.chunker_params = CUTS.parse().unwrap();
    let path = house.world().join("region/1.book");
    fs::write(&path, content()).unwrap();
    let theirs = house.backup(0).unwrap();
    // We have never seen its files.
    fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    Book::place(&mut house, Book::default());
    let ours = house.backup(0).unwrap();
    assert_eq!(ours.stats.files_unchanged, 0);
    assert_eq!(house.sizes(&ours, "1.book"), house.sizes(&theirs, "1.book"));
    assert_eq!(ours.stats.stored_objects, 1);
    write(&path, 1, 77, 3);
    let changed = house.backup(0).unwrap();
    assert_eq!(house.sizes(&changed, "1.book")[..100], [PAGE as u32; 100]);
    house.assert_restores(&changed);
}

/// In the one archive the parameters have cut it, in the other a plan, though both name the same parameters.
#[test]
fn what_a_plan_has_cut_is_compared_by_its_content() {
    let mut house = House::new();
    house.chunker_params = CUTS.parse().unwrap();
    let path = house.world().join("region/1.book");
    fs::write(&path, content()).unwrap();
    let before = house.backup(0).unwrap();
    Book::place(&mut house, Book::default());
    write(&path, 1, 77, 3);
    let changed = house.backup(0).unwrap();
    fs::write(&path, content()).unwrap();
    let back = house.backup(0).unwrap();
    assert_ne!(house.sizes(&back, "1.book"), house.sizes(&before, "1.book"));

    let session = house.open();
    let open = |created: &Created| session.open_archive(&session.archive_info(&created.name).unwrap()).unwrap();
    let is_modified = |old: &Created, new: &Created, content_only: bool| {
        let options = DiffOptions { content_only, ..DiffOptions::default() };
        let mut changes = Vec::new();
        let tell = &mut |finding| match finding {
            Finding::Difference(found) if found.path.ends_with(b"1.book") => changes.extend(found.changes),
            _ => {}
        };
        diff(&session, &open(old), &open(new), &options, tell).unwrap();
        assert_eq!(changes.iter().any(|change| matches!(change, Change::Mtime { .. })), !content_only);
        changes.iter().any(|change| matches!(change, Change::Modified { bytes: Some(_) }))
    };
    for content_only in [true, false] {
        assert!(!is_modified(&before, &back, content_only) && !is_modified(&back, &before, content_only));
        assert!(is_modified(&before, &changed, content_only) && is_modified(&changed, &back, content_only));
    }
}

#[test]
fn plans_that_do_not_fit_lose_nothing() {
    for (number, ends) in [vec![5], vec![1, 2, 3], vec![100, 8 << 20, 16 << 20], vec![LEN as u64 + 100], vec![8 << 20]]
        .into_iter()
        .enumerate()
    {
        let mut house = House::new();
        Book::place(&mut house, Book { lies: Some(ends), ..Book::default() });
        let created = house.backup(0).unwrap();
        assert_eq!(created.stats.files_torn, 0, "{number}");
        house.assert_restores(&created);
    }
}

#[test]
fn a_hole_is_cut_by_the_plan_and_not_read() {
    const SIZE: u64 = 64 << 20;
    let mut house = House::new();
    let pieces = [16 << 10; 2048].into_iter().chain([64 << 10; 512]);
    let mut end = 0;
    let ends = pieces.clone().map(|piece| {
        end += piece;
        end
    });
    let ends: Vec<u64> = ends.collect();
    assert_eq!(ends.last(), Some(&SIZE));
    let path = Book::place(&mut house, Book { lies: Some(ends), ..Book::default() }).path.clone();
    let data = [(0, 100), (20 << 20, 5000), ((40 << 20) + 12_345, 1_500_000), (SIZE - 1, 1)];
    let file = File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    for (at, len) in data {
        file.write_all_at(&sha_stream("data", len), at).unwrap();
    }
    let sparse = house.backup(0).unwrap();
    let others = house.items(&sparse).1.into_iter().filter(|item| !item.path.ends_with(b"1.book"));
    let others: u64 = others.filter_map(|item| item.size).sum();
    assert!(sparse.stats.read_bytes < others + (12 << 20), "{:?}", sparse.stats);
    assert!(house.sizes(&sparse, "1.book").into_iter().map(u64::from).eq(pieces));
    house.assert_restores(&sparse);

    // Without a hole it is the same.
    let content = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    let dense = house.backup(0).unwrap();
    assert!(dense.stats.read_bytes >= SIZE, "{:?}", dense.stats);
    let chunks = |created| {
        let book = house.items(created).1.into_iter().find(|item| item.path.ends_with(b"1.book"));
        book.unwrap().chunks.unwrap()
    };
    assert!(chunks(&dense) == chunks(&sparse));
}

/// As in any other file: what a file system says of short holes in a file that somebody writes to is not believed.
#[test]
fn a_hole_that_is_shorter_than_the_longest_chunk_is_read() {
    const HALF: u64 = 32 << 10;
    let mut house = House::new();
    let ends: Vec<u64> = (1..=2048).map(|piece| piece * 4096).collect();
    let size = *ends.last().unwrap();
    let path = Book::place(&mut house, Book { lies: Some(ends), ..Book::default() }).path.clone();
    let file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    let data = sha_stream("data", HALF as usize);
    // What is read at once ends where a hole begins.
    for at in std::iter::once(0).chain((HALF..size).step_by(2 * HALF as usize)) {
        file.write_all_at(&data, at).unwrap();
    }
    let created = house.backup(0).unwrap();
    let others = house.items(&created).1.into_iter().filter(|item| !item.path.ends_with(b"1.book"));
    let others: u64 = others.filter_map(|item| item.size).sum();
    assert!(created.stats.read_bytes >= others + size, "{:?}", created.stats);
    house.assert_restores(&created);
}

#[test]
fn what_is_moved_while_it_is_read_is_read_again() {
    let mut house = House::new();
    // The first question is asked with the beginning read and the end not: what lies at the end goes to the front, and
    // others take its place. Then it goes on.
    let first: Turn = Box::new(|path| {
        write(path, 63, 3, 2);
        write(path, 2, 6048, 2);
        write(path, 60, 63 * 95, 2);
    });
    let second: Turn = Box::new(|path| write(path, 30, 4, 3));
    let grows: Turn = Box::new(|path| write(path, 31, (LEN / PAGE) as u32 + 9, 3));
    let turns = Mutex::new(VecDeque::from([first, second, grows]));
    let book = Book::place(&mut house, Book { turns, ..Book::default() });
    let created = house.backup(0).unwrap();
    assert!(book.turns.lock().unwrap().is_empty(), "all was done while it was read");
    assert_eq!((created.stats.files_torn, created.stats.warnings()), (0, 0));
    let stored = house.book(&created);
    let stamps = stamps(&stored);
    assert_eq!([63, 2, 60, 30, 31, 5].map(|slot| stamps[slot]), [2, 2, 2, 3, 3, 1]);
    assert_eq!(stored.len(), LEN + 10 * PAGE);
    // It is not what it was when it was opened: the next run reads it again.
    let again = house.backup(0).unwrap();
    assert_eq!(again.stats.files_changed, 1);
    house.assert_restores(&again);
    house.assert_nothing_missing_or_left_over("after a book was read again");
}

#[test]
fn what_is_rewritten_in_its_place_is_seen_to_be_broken_and_read_again() {
    /// Its page lies behind what is read at once.
    const SLOT: usize = 50;
    let mut house = House::new();
    // The head says nothing of it: half a page is there when it is read, and the other half comes later.
    let half = |from: usize| -> Turn {
        Box::new(move |path| {
            let (file, page) = (File::options().write(true).open(path).unwrap(), page(SLOT, 1 << 8));
            let place = u64::from(entry(&fs::read(path).unwrap(), SLOT).0) * PAGE as u64;
            let to = if from == 0 { 5 } else { PAGE };
            file.write_all_at(&page[from..to], place + from as u64).unwrap();
            // However close to the last change: this is another time.
            file.set_modified(UNIX_EPOCH).unwrap();
        })
    };
    let nothing = || -> Turn { Box::new(|_| {}) };
    let turns = Mutex::new(VecDeque::from([half(0), nothing(), nothing(), nothing(), half(5)]));
    let book = Book::place(&mut house, Book { turns, ..Book::default() });
    let created = house.backup(0).unwrap();
    assert!(book.turns.lock().unwrap().is_empty());
    assert_eq!(created.stats.files_torn, 0);
    let stored = house.book(&created);
    let place = entry(&stored, SLOT).0 as usize * PAGE;
    assert!(stored[place..][..PAGE] == page(SLOT, 1 << 8));
}

#[test]
fn what_is_broken_and_rests_is_not_read_again_and_again() {
    let mut house = House::new();
    // Files are never older than that: times alone cannot tell that nobody writes to them.
    house.clock = Arc::new(ManualClock::at("2001-01-01T00:00:00Z").ticking());
    let mut broken = content();
    for slot in 0..SLOTS {
        let place = entry(&broken, slot).0 as usize * PAGE;
        broken[place + PAGE - 1] ^= 1;
    }
    fs::create_dir_all(house.world().join("region")).unwrap();
    fs::write(house.world().join("region/1.book"), &broken).unwrap();
    let nothing = |_| -> Turn { Box::new(|_| {}) };
    let turns = Mutex::new((0..100).map(nothing).collect());
    let book = Book::place(&mut house, Book { turns, ..Book::default() });
    let created = house.backup(0).unwrap();
    assert!(house.book(&created) == broken, "it is stored as it is");
    assert_eq!(created.stats.files_torn, 0, "nobody has written to it");
    let asked = 100 - book.turns.lock().unwrap().len();
    assert!(asked < 10, "{asked} questions");
}

#[test]
fn a_file_that_never_rests_is_told_to_be_torn() {
    let mut house = House::new();
    let turn = |number: u32| -> Turn { Box::new(move |path| write(path, 5, 10 + number % 50, number)) };
    let turns = Mutex::new((0..1000).map(turn).collect());
    Book::place(&mut house, Book { turns, ..Book::default() });
    let created = house.backup(0).unwrap();
    assert_eq!(created.stats.files_torn, 1);
    assert_eq!(house.book(&created).len(), LEN + 100);
    let again = house.backup(0).unwrap();
    assert_eq!(again.stats.files_unchanged + 1, again.stats.files());
}

#[test]
fn a_file_that_is_cut_off_while_it_is_read_is_what_was_there() {
    let mut house = House::new();
    let cut_off = |len: u64| -> Turn {
        Box::new(move |path| File::options().write(true).open(path).unwrap().set_len(len).unwrap())
    };
    let turns = Mutex::new(VecDeque::from([cut_off(2 << 20), cut_off(700_000), cut_off(3)]));
    Book::place(&mut house, Book { turns, ..Book::default() });
    let created = house.backup(0).unwrap();
    assert_eq!(created.stats.files_torn, 1);
    house.assert_nothing_missing_or_left_over("after a book was cut off");
    let again = house.backup(0).unwrap();
    house.assert_restores(&again);
}

/// A game, and where it has put its pages.
struct Game {
    random: Random,
    places: [u32; SLOTS],
    stamp: u32,
}

impl Game {
    /// Writes some pages as servers do: to the first place that is free, then the head; and only then the old place is.
    fn play(&mut self, path: &Path) {
        for _ in 0..self.random.below(20) {
            let slot = self.random.below(SLOTS);
            let place = (1..=SLOTS as u32 + 1).find(|place| !self.places.contains(place)).expect("one more than pages");
            self.stamp += 1;
            write(path, slot, place, self.stamp);
            self.places[slot] = place;
        }
    }
}

#[test]
fn gate_copies_of_a_book_that_is_played_on_are_whole() {
    let mut house = House::new();
    let book = Book::place(&mut house, Book::default());
    let content = content();
    let places = std::array::from_fn(|slot| entry(&content, slot).0);
    let game = Arc::new(Mutex::new(Game { random: Random::of(0), places, stamp: 1 }));
    let mut moved = 0;
    for case in 0..gate::amount(10, 1000) {
        let mut random = Random::of(case as u64 + 1);
        let turn = |_| -> Turn {
            let game = Arc::clone(&game);
            Box::new(move |path| game.lock().unwrap().play(path))
        };
        *book.turns.lock().unwrap() = (0..=random.below(30)).map(turn).collect();
        let before = game.lock().unwrap().stamp;
        let created = house.backup(0).unwrap();
        moved += game.lock().unwrap().stamp - before;
        assert_eq!(created.stats.files_torn, 0, "seed {}, case {case}", gate::seed());
        let stored = house.book(&created);
        let broken = (0..SLOTS).filter(|slot| {
            let (place, stamp) = entry(&stored, *slot);
            stored[place as usize * PAGE..][..PAGE] != page(*slot, stamp)
        });
        assert_eq!(broken.count(), 0, "seed {}, case {case}: pages are not where the head says", gate::seed());
    }
    assert!(moved > 0, "somebody has played");
}
