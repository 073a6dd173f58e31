//! Archives that somebody with the key has made to hurt whoever checks them: all of it is said, none of it ends the check,
//! and whatever a repair does, nothing goes that verifies and is needed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use worldkeeper_archive::{ArchiveMetadata, ArchiveName, ChunkRef, Item};
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_core::{ChunkId, Clock, Stop, error_text};
use worldkeeper_crypto::tam::Context;
use worldkeeper_engine::{
    ArchivesCheck, CheckOptions, Monitor, Notice, Progress, Session, SessionError, SessionOptions, StateDir, check,
};
use worldkeeper_testkit::disk::MemoryDisk;

use crate::house::{House, replaced, signed, unsigned};

/// What a check finds.
#[derive(Default)]
struct Findings(Mutex<Vec<String>>);

impl Monitor for Findings {
    fn notice(&self, notice: Notice<'_>) {
        if let Notice::Found(finding) = notice {
            self.0.lock().unwrap().push(finding.to_string());
        }
    }

    fn progress(&self, _: Progress) {}
}

impl House {
    /// Checks as a client that has never seen the repository.
    pub(crate) fn checked(&self, options: &CheckOptions<'_>) -> (ArchivesCheck, Vec<String>) {
        let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
        let repository = Box::new(self.repository.clone());
        let (mut session, loss) = Session::open_for_check(repository, &self.options(&state)).unwrap();
        let findings = Findings::default();
        let report = check(&mut session, loss.as_ref(), options, &findings).unwrap();
        (report, findings.0.into_inner().unwrap())
    }

    /// Puts pieces in the place of the first archive's list of items.
    fn with_items(&self, pieces: &[Vec<u8>]) {
        let packed = self.plaintext(self.id(0));
        let (metadata, _) = ArchiveMetadata::decode(&self.key, &packed).unwrap();
        let items = pieces.iter().map(|piece| self.store(piece)).collect();
        let metadata = ArchiveMetadata { items, ..metadata };
        self.replace_archive(0, &metadata.encode(&self.key, &[5; 64]));
    }

    fn store(&self, plaintext: &[u8]) -> ChunkId {
        let id = self.key.id_hash(plaintext);
        self.put(id, plaintext);
        id
    }

    /// The paths in an archive, as far as they can be read.
    fn paths(&self, archive: &ArchiveName) -> Vec<Vec<u8>> {
        let session = self.open().unwrap();
        let archive = session.open_archive(&session.archive_info(archive).unwrap()).unwrap();
        session.items(&archive).map_while(Result::ok).map(|item| item.path).collect()
    }

    /// What the second archive is made of, and its files.
    fn needed(&self) -> BTreeSet<ChunkId> {
        let session = self.open().unwrap();
        let info = session.archive_info(&self.archives[1]).unwrap();
        let archive = session.open_archive(&info).unwrap();
        let files = session.items(&archive).flat_map(|item| item.unwrap().chunks.unwrap_or_default());
        let files: Vec<_> = files.map(|chunk| chunk.id).collect();
        files.into_iter().chain(archive.metadata.items.iter().copied()).chain([info.id]).collect()
    }

    /// Checks and repairs. All of `expected` is found, a check changes nothing, a repair leaves what the other archive
    /// needs, and nothing to do for the next one. Returns what the repair said of itself.
    #[track_caller]
    fn is_survived(&self, expected: &[&str]) -> ArchivesCheck {
        let needed = self.needed();
        let before = self.repository.store().objects.clone();
        let content = |id: &ChunkId| self.repository.store().objects.get(id).cloned();
        let whole: Vec<_> = needed.iter().map(content).collect();
        for verify_data in [false, true] {
            let (report, findings) = self.checked(&CheckOptions { verify_data, ..CheckOptions::default() });
            for text in expected {
                assert!(findings.iter().any(|finding| finding.contains(text)), "{text:?} is not in {findings:#?}");
            }
            assert_eq!(report.problems == 0, expected.is_empty(), "{findings:#?}");
            assert!(self.repository.store().objects == before, "a check changes nothing");
        }
        let (repaired, _) = self.checked(&CheckOptions { repair: true, verify_data: true, ..CheckOptions::default() });
        assert_eq!(needed.iter().map(content).collect::<Vec<_>>(), whole, "what is whole and needed stays");
        let (again, findings) = self.checked(&CheckOptions { repair: true, ..CheckOptions::default() });
        assert!(!again.is_changed, "{findings:#?}");
        assert_eq!(again.problems, repaired.remaining, "{findings:#?}");
        repaired
    }
}

fn packed(items: &[Item]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for item in items {
        item.encode(&mut encoder);
    }
    encoder.finish()
}

/// A file of one chunk, or none.
fn file(path: &str, chunks: &[ChunkRef]) -> Item {
    let size = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
    Item { path: path.into(), mode: 0o100_644, chunks: Some(chunks.to_vec()), size: Some(size), ..Item::default() }
}

#[test]
fn the_items_of_another_archive() {
    let house = House::new();
    let session = house.open().unwrap();
    let other = session.open_archive(&session.archive_info(&house.archives[1]).unwrap()).unwrap();
    let pieces: Vec<_> = other.metadata.items.iter().map(|id| house.plaintext(*id)).collect();
    house.with_items(&pieces);
    // It is signed, so the key's owner wants it so; what its own items had been nothing refers to any more.
    let repaired = house.is_survived(&["nothing refers to"]);
    assert_eq!((repaired.remaining, repaired.rewritten_archives), (0, 0));
    assert_eq!(house.paths(&house.archives[0]), house.paths(&house.archives[1]));
}

#[test]
fn chunks_that_lie_about_their_size() {
    let house = House::new();
    let id = house.store(b"eleven byte");
    let lost = ChunkId([9; 32]);
    let chunk = |id, size| ChunkRef { id, size, csize: 20 };
    house.with_items(&[packed(&[
        file("honest", &[chunk(id, 11)]),
        file("larger", &[chunk(id, u32::MAX)]),
        file("nothing", &[chunk(id, 0)]),
        file("lost, of four gigabytes", &[chunk(lost, u32::MAX), chunk(id, 11)]),
        file("lost, of nothing", &[chunk(ChunkId([8; 32]), 0)]),
    ])]);
    let repaired = house.is_survived(&[
        "path larger, object",
        "the chunk should have 4294967295 bytes, but has 11",
        "the chunk should have 0 bytes, but has 11",
        "path lost, of four gigabytes",
        "bytes 0 to 4294967295 are lost",
    ]);
    assert!(repaired.remaining > 0, "there are no zeros for four gigabytes in one chunk");
    assert_eq!(house.paths(&house.archives[0]).len(), 5, "none of them is taken away");
}

#[test]
fn a_version_that_nobody_knows() {
    let house = House::new();
    let metadata = replaced(&unsigned(&house.plaintext(house.id(0))), b"\xa7version\x01", b"\xa7version\x02");
    house.replace_archive(0, &signed(&house.key, Context::Archive, &metadata));
    let before = house.repository.chunk_ids();
    let repaired = house.is_survived(&["its metadata cannot be understood", "`delete --force`"]);
    assert!(!repaired.is_changed && house.repository.chunk_ids() == before, "whatever it needs is there");
}

/// Somebody has a file backed up that looks like an archive. Not even where the manifest is lost it becomes one.
#[test]
fn planted_archives() {
    let house = House::new();
    let chunk = house.store(b"of a planted archive");
    let list = house.store(&packed(&[file("planted", &[ChunkRef { id: chunk, size: 20, csize: 20 }])]));
    let planted = ArchiveMetadata::new(ArchiveName::from_bytes("planted"), vec![list], Vec::new(), house.clock.now());
    let planted = unsigned(&planted.encode(&house.key, &[1; 64]));
    let planted = house.store(&planted);
    let of_them = BTreeSet::from([chunk, list, planted]);
    let repaired = house.is_survived(&["nothing refers to 3 of the objects"]);
    assert!(repaired.remaining > 0 && repaired.deleted_objects == 0);
    assert!(house.repository.chunk_ids().is_superset(&of_them), "whether they are rubbish is for a person to say");

    house.repository.store().objects.remove(&ChunkId::MANIFEST);
    let (_, findings) = house.checked(&CheckOptions { repair: true, ..CheckOptions::default() });
    assert!(findings.iter().any(|it| it.contains("planted") && it.contains("not listed again")), "{findings:#?}");
    let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
    let session = Session::open(Box::new(house.repository.clone()), &house.options(&state)).unwrap();
    assert_eq!(session.archives().into_iter().map(|it| it.name).collect::<Vec<_>>(), house.archives);
    assert!(house.repository.chunk_ids().is_superset(&of_them));
}

/// As stock does, a check leaves them: each of them can be listed, and what restoring them is like is said there.
#[test]
fn items_twice_and_items_below_files() {
    let house = House::new();
    let chunk = ChunkRef { id: house.store(b"content"), size: 7, csize: 20 };
    let twice = [file("a", &[chunk]), file("a", &[]), file("a/b", &[chunk]), file("a", &[chunk])];
    house.with_items(&[packed(&twice)]);
    house.is_survived(&["nothing refers to"]);
    assert_eq!(house.paths(&house.archives[0]), [&b"a"[..], b"a", b"a/b", b"a"]);
}

#[test]
fn items_that_lack_what_items_have() {
    let house = House::new();
    let stream = [
        packed(&[file("first", &[])]),
        b"\x80\x81\xa4path\xa1x\x81\xa5mtime\x00\xc0\x90\x07\x82\xa4path\x07\xa5mtime\x00".to_vec(),
        b"\x83\xa4path\xa1y\xa5mtime\x00\xa6chunks\x07".to_vec(),
        b"\x83\xa4path\xa1z\xa5mtime\x00\xa6chunks\x91\x93\xa1x\x01\x01".to_vec(),
        b"\x83\xa4path\xa1k\xa5mtime\x00\xa4evil\x01".to_vec(),
        packed(&[file("last", &[])]),
    ];
    house.with_items(&[stream.concat()]);
    let repaired =
        house.is_survived(&["it has no path", "it has no mtime", "it is no map", "its chunks cannot be read", "evil"]);
    assert_eq!((repaired.remaining, repaired.rewritten_archives), (0, 1));
    assert_eq!(house.paths(&house.archives[0]), [&b"first"[..], b"last"]);
}

/// What could be nothing but an attack is named, and stays: how it is restored, if it is, is not the check's business.
#[test]
fn paths_that_lead_elsewhere() {
    let house = House::new();
    let paths = ["../up", "/etc/passwd", "a/../../b", "", ".", "a\0b", "a//b", "\u{1b}[31mred\nline"];
    let long = "l".repeat(100_000);
    let items: Vec<_> = paths.iter().copied().chain([long.as_str()]).map(|path| file(path, &[])).collect();
    house.with_items(&[packed(&items)]);
    let (report, _) = house.checked(&CheckOptions::default());
    assert_eq!(report.items, items.len() as u64 + 2);
    let before = house.id(0);
    house.is_survived(&["nothing refers to"]);
    assert_eq!(house.id(0), before, "the archive is not written anew");
}

/// Streams that promise more than there is, or nest without end.
#[test]
fn lists_of_items_that_are_bombs() {
    let bombs = [
        b"\x91".repeat(100_000),
        b"\x81\xa4path".repeat(20_000),
        b"\x81\xa4path\xdb\xff\xff\xff\xff".repeat(20_000),
        b"\xdd\xff\xff\xff\xff".to_vec(),
        b"\xdf\xff\xff\xff\xff\xa4path".to_vec(),
        b"\xc6\xff\xff\xff\xff".to_vec(),
        vec![0xc1; 100_000],
        Vec::new(),
    ];
    for bomb in bombs {
        let house = House::new();
        let head = bomb.iter().take(6).copied().collect::<Vec<_>>();
        house.with_items(&[packed(&[file("first", &[])]), bomb, packed(&[file("last", &[])])]);
        let (found, findings) = house.checked(&CheckOptions::default());
        assert!(found.problems > 0, "{head:x?}");
        let (repaired, _) = house.checked(&CheckOptions { repair: true, ..CheckOptions::default() });
        let (again, _) = house.checked(&CheckOptions::default());
        assert!(repaired.remaining == 0 && again.problems == 0, "{head:x?}: {findings:#?}");
        assert!(house.paths(&house.archives[0]).starts_with(&[b"first".to_vec()]), "{head:x?}");
    }
}

/// Stock writes such items, of files of more than six million chunks: what cannot be read whole is no less worth for that.
#[test]
fn an_item_that_is_too_long_to_be_read_is_left_alone_and_so_is_what_it_may_refer_to() {
    is_too_long(b"\xa6chunks\xdb", "an item has more than 536870912 bytes");
}

/// Each byte of a list of nothing would take many bytes of memory.
#[test]
fn an_item_of_much_beside_its_chunks_is_left_alone_too() {
    is_too_long(b"\xa6source\xdd", "an item has more than 20000000 bytes beside its lists of chunks");
}

/// Requires that an item is left alone in which 520 MiB follow `key`, and `told` is told of it.
#[track_caller]
fn is_too_long(key: &[u8], told: &str) {
    const PIECE: usize = 8 << 20;
    let house = House::new();
    let chunk = ChunkRef { id: house.store(b"of a long file"), size: 14, csize: 20 };
    let mut long = packed(&[file("long", &[chunk])]);
    // Another pair.
    long[0] += 1;
    long.extend(key);
    long.extend((65 * PIECE as u32).to_be_bytes());
    let pieces = [packed(&[file("first", &[])]), long].into_iter().chain(vec![vec![0; PIECE]; 65]);
    house.with_items(&pieces.chain([packed(&[file("last", &[])])]).collect::<Vec<_>>());
    house.is_left_alone(told, "left as it is");

    // Behind a hole it is looked for.
    let hole = house.key.id_hash(&packed(&[file("first", &[])]));
    house.repository.store().objects.remove(&hole);
    house.is_left_alone(told, "a piece of the list of items is missing");
}

impl House {
    /// Requires that a repair finds this, and an item that is too long, and changes nothing.
    #[track_caller]
    fn is_left_alone(&self, too_long: &str, expected: &str) {
        let before = (self.id(0), self.repository.chunk_ids());
        for repair in [false, true] {
            let (report, findings) = self.checked(&CheckOptions { repair, ..CheckOptions::default() });
            for told in [too_long, expected, "nothing refers to"] {
                assert!(findings.iter().any(|it| it.contains(told)), "{told} is not in {findings:#?}");
            }
            assert!(!report.is_changed && report.problems > 0 && report.remaining == report.problems, "{findings:#?}");
            assert!((self.id(0), self.repository.chunk_ids()) == before, "{findings:#?}");
        }
    }
}

#[test]
fn a_list_of_very_many_items() {
    let house = House::new();
    let many: Vec<_> = (0..100_000).map(|number| file(&number.to_string(), &[])).collect();
    let stream = packed(&many);
    // Cut where stock would not, in the middle of items.
    house.with_items(&stream.chunks(1 << 20).map(<[u8]>::to_vec).collect::<Vec<_>>());
    let (report, _) = house.checked(&CheckOptions::default());
    assert_eq!(report.items, 100_002);
    // And as many that are none.
    house.with_items(&[b"\x80".repeat(100_000), packed(&many[..1])]);
    let (report, _) = house.checked(&CheckOptions::default());
    assert!(report.problems >= 100_000 && report.items == 3, "{report:?}");
    let (repaired, _) = house.checked(&CheckOptions { repair: true, ..CheckOptions::default() });
    assert_eq!(repaired.remaining, 0);
    assert_eq!(house.paths(&house.archives[0]), [b"0"]);
}

/// Findings, and what is done at a certain number of files.
struct Looking<F> {
    findings: Findings,
    at: u64,
    act: F,
}

impl<F: Fn() + Send + Sync> Monitor for Looking<F> {
    fn notice(&self, notice: Notice<'_>) {
        self.findings.notice(notice);
    }

    fn progress(&self, progress: Progress) {
        if progress.files == self.at {
            (self.act)();
        }
    }
}

impl House {
    /// Checks with so many workers, and does something at the 700th file. Returns what came of it, and what was found.
    fn looked(
        &self,
        workers: usize,
        act: impl Fn(&Stop) + Send + Sync,
    ) -> (Result<ArchivesCheck, String>, Vec<String>) {
        let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
        let stop = Stop::default();
        let options = SessionOptions { stop: stop.clone(), ..self.options(&state) };
        let (mut session, _) = Session::open_for_check(Box::new(self.repository.clone()), &options).unwrap();
        let looking = Looking { findings: Findings::default(), at: 700, act: || act(&stop) };
        let options = CheckOptions { workers, ..CheckOptions::default() };
        let report = check(&mut session, None, &options, &looking).map_err(|error| error_text(&error));
        (report, looking.findings.0.into_inner().unwrap())
    }

    /// Gives the first archive a list of 3003 items in 30 pieces, with something wrong in every hundred. Returns the
    /// pieces.
    fn with_a_long_list(&self) -> Vec<ChunkId> {
        let lost = [ChunkRef { id: ChunkId([9; 32]), size: 100, csize: 20 }];
        let piece = |number: usize| {
            let items = (0..100).map(|item| file(&format!("{number}/{item}"), &lost[usize::from(item != 50)..]));
            let garbage: &[u8] = if number % 7 == 3 { b"\x07\xc1\xc1" } else { b"" };
            // Some items are larger than all that may be read ahead.
            let large = (number % 9 == 8).then(|| file(&"l".repeat(number * 150_000), &[]));
            [&packed(&items.chain(large).collect::<Vec<_>>()), garbage].concat()
        };
        let pieces: Vec<_> = (0..30).map(piece).collect();
        self.with_items(&pieces);
        pieces.iter().map(|piece| self.key.id_hash(piece)).collect()
    }
}

#[test]
fn who_reads_ahead_finds_the_same_in_the_same_order() {
    let house = House::new();
    let pieces = house.with_a_long_list();
    house.repository.store().objects.remove(&pieces[5]);
    house.repository.store().objects.remove(&pieces[20]);
    let damaged = house.repository.store().objects[&pieces[12]].slice(..90);
    house.repository.store().objects.insert(pieces[12], damaged);
    let (report, findings) = house.looked(1, |_| {});
    assert_eq!(report.as_ref().unwrap().items, 2703 + 2);
    assert!(findings.len() > 27 + 3 + 3, "{findings:#?}");
    for workers in [2, 5] {
        assert_eq!(house.looked(workers, |_| {}), (report.clone(), findings.clone()));
    }
    // A repair mends the same, and has nothing to do the second time.
    house.is_survived(&["is missing", "is no item", "cannot be decoded", "cannot be read", "bytes 0 to 100 are lost"]);
}

#[test]
fn what_ends_the_reading_is_told_at_its_place() {
    let house = House::new();
    let pieces = house.with_a_long_list();
    house.repository.store().out_of_reach = Some(pieces[12]);
    for workers in [1, 2, 5] {
        let (report, findings) = house.looked(workers, |_| {});
        let error = report.unwrap_err();
        assert!(error.contains("as a test wants it"), "{error}");
        let lost = findings.iter().filter(|finding| finding.contains("bytes 0 to 100 are lost")).count();
        assert_eq!((lost, findings.len()), (12, 12 + 2 * 2), "{workers} workers: {findings:#?}");
    }
}

#[test]
fn who_reads_ahead_ends_with_who_examines() {
    let house = House::new();
    house.with_a_long_list();
    for workers in [1, 2] {
        let (report, findings) = house.looked(workers, Stop::request);
        let stopped = error_text(&SessionError::Stopped);
        assert_eq!((report, findings.len()), (Err(stopped), 7 + 2), "{workers} workers: {findings:#?}");
    }
    let panics = || house.looked(2, |_| panic!("as a test wants it"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
}

/// As borg 1.2.4 leaves an archive when it repairs it: zeros in the place of what is lost, and nothing that proves the archive. Then a
/// backup stores again what was lost.
#[test]
fn what_an_unproven_archive_refers_to_now_stays_when_what_was_lost_is_back() {
    let house = House::new();
    let [zeros, back] = [vec![0; 11], b"eleven byte".to_vec()].map(|chunk| house.store(&chunk));
    let chunk = |id| ChunkRef { id, size: 11, csize: 20 };
    let item = Item { chunks_healthy: Some(vec![chunk(back)]), ..file("repaired", &[chunk(zeros)]) };
    house.with_items(&[packed(&[item])]);
    house.replace_archive(0, &unsigned(&house.plaintext(house.id(0))));
    let (report, findings) = house.checked(&CheckOptions { repair: true, ..CheckOptions::default() });
    assert_eq!(report.rewritten_archives, 0, "{findings:#?}");
    let left = house.repository.chunk_ids();
    assert!(left.contains(&zeros) && left.contains(&back), "{findings:#?}");
}
