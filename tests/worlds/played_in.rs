//! A world is backed up while a server writes to it 200 times a second, from a disk that takes its time: no chunk comes
//! back broken. Copied as any file is, each time some do.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::worlds::{self, SECTOR, Server};

#[test]
fn gate_a_world_that_is_played_in_comes_back_whole() {
    let has_strace = peers::on_path("strace").then_some(()).ok_or_else(|| "it is not installed".to_owned());
    let Some(borg) = Borg::newest() else { return };
    if peers::or_skip("strace", has_strace).is_none() {
        return;
    }
    let folder = gate::folder();
    let keeper = Worldkeeper::at(folder.path());
    let game = Game::begin(&keeper.world().join(REGION));
    let copies = Copies { keeper, borg: borg.with_passphrase(PASSPHRASE), game };
    let is_over = AtomicBool::new(false);
    let (plain, whole) = thread::scope(|scope| {
        scope.spawn(|| copies.game.play(&is_over));
        let over = Over(&is_over);
        let plain = copies.make(3, &copies.keeper.clone().with("WORLD_CUTS", "off"), "1+");
        let whole = copies.make(gate::amount(15, 1000), &copies.keeper, FIRST);
        drop(over);
        (plain, whole)
    });
    eprintln!("copied as any file is: {plain:?}; as a region file: {whole:?}");
    assert_eq!((whole.unseen, plain.unseen), (0, 0), "{whole:?}, {plain:?}, seed {}", gate::seed());
    assert!(whole.written >= whole.made * 40, "nothing happened meanwhile: {whole:?}");
    assert!(plain.broken > 0, "nothing would have broken: {plain:?}");
    // What cannot be brought to where it fits together is rare: a machine with much else to do.
    assert!(whole.doubtful <= 1 + whole.made / 50, "{whole:?}, seed {}", gate::seed());
}

const REGION: &str = "region/r.0.0.mca";

/// The reads that bring the file in; what is read again then lies in memory.
const FIRST: &str = "1..6";

/// A region file, and whoever writes to it.
struct Game {
    file: File,
    played: Mutex<Played>,
}

/// What was written.
struct Played {
    server: Server,
    random: Random,
    /// How many chunks were written in all; each holds its number.
    count: usize,
    /// The number of what each chunk holds.
    holds: Vec<usize>,
}

/// Chunks of the region.
const SLOTS: usize = 600;
/// Of those, the ones near players.
const NEAR: usize = 200;
/// Chunks that are written in a second.
const RATE: f64 = 200.0;

impl Game {
    fn begin(path: &Path) -> Self {
        fs::create_dir_all(path.parent().expect("it lies in a world")).unwrap();
        let file = File::create(path).unwrap();
        let played = Played { server: Server::default(), random: Random::of(0), count: 0, holds: vec![0; SLOTS] };
        let game = Self { file, played: Mutex::new(played) };
        (0..SLOTS).for_each(|slot| game.write(slot));
        game
    }

    /// Writes a chunk where there is room, then the header that tells of it.
    fn write(&self, slot: usize) {
        let mut played = self.played.lock().unwrap();
        let Played { server, random, count, holds } = &mut *played;
        *count += 1;
        holds[slot] = *count;
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        server.write(slot, now_s as u32, 2, &payload(slot, *count, 2000 + random.below(9000)));
        let room = server.room(slot).expect("it was written");
        self.file.write_all_at(&server.file[room.clone()], room.start as u64).unwrap();
        self.file.write_all_at(&server.file[..2 * SECTOR], 0).unwrap();
    }

    /// Writes at that rate until it is over.
    fn play(&self, is_over: &AtomicBool) {
        let (mut next, mut random) = (Instant::now(), Random::of(1));
        loop {
            self.write(random.below(NEAR) * (SLOTS / NEAR));
            next += Duration::from_secs_f64(1.0 / RATE);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // Who came late does not make up for it.
            next = next.max(Instant::now());
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
    }

    /// What each chunk holds, and how many were written in all.
    fn holds(&self) -> (Vec<usize>, usize) {
        let played = self.played.lock().unwrap();
        (played.holds.clone(), played.count)
    }
}

/// Ends the game, also if a check fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a chunk holds: its place, its number, and as much more.
fn payload(slot: usize, number: usize, len: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&[slot.to_le_bytes(), number.to_le_bytes()].concat()).unwrap();
    encoder.write_all(&sha_stream(&number.to_string(), len)).unwrap();
    encoder.finish().unwrap()
}

/// What came of copies.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    made: usize,
    /// Copies of which it was told that they were written to meanwhile, and may not fit together.
    doubtful: usize,
    /// Chunks that are not what they were at some moment of the copy.
    broken: usize,
    /// Those of them in copies of which nothing was told.
    unseen: usize,
    /// Chunks that the game wrote while the copies were made.
    written: usize,
}

struct Copies {
    keeper: Worldkeeper,
    borg: Borg,
    game: Game,
}

impl Copies {
    /// Makes so many, one after the other, and has stock read them.
    fn make(&self, count: usize, keeper: &Worldkeeper, reads: &str) -> Told {
        let mut told = Told { made: count, ..Told::default() };
        for _ in 0..count {
            let (before, count_before) = self.game.holds();
            let is_doubtful = slowly(keeper, reads);
            let (after, count_after) = self.game.holds();
            told.written += count_after - count_before;
            let archive = keeper.archives().pop().expect("there is an archive");
            let target = keeper.folder().join("extracted");
            self.borg.extract(&keeper.repository(), &archive, &target);
            let copy = fs::read(below(&target, &keeper.world().join(REGION))).unwrap();
            fs::remove_dir_all(target).expect("it was made here");
            let is_right = |slot: &usize| {
                number(&copy, *slot).is_some_and(|number| (before[*slot]..=after[*slot]).contains(&number))
            };
            let broken = (0..SLOTS).filter(|slot| !is_right(slot)).count();
            told.doubtful += usize::from(is_doubtful);
            told.broken += broken;
            told.unseen += if is_doubtful { 0 } else { broken };
        }
        told
    }
}

/// The number that a chunk of a region file holds; `None` if it is not whole, or another one.
fn number(region: &[u8], slot: usize) -> Option<usize> {
    let (sector, _) = worlds::location(region, slot);
    let chunk = region.get(sector as usize * SECTOR..)?;
    let (head, rest) = chunk.split_first_chunk::<5>()?;
    let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let mut content = Vec::new();
    ZlibDecoder::new(rest.get(..len.checked_sub(1)?)?).read_to_end(&mut content).ok()?;
    let word = |at: usize| Some(usize::from_le_bytes(content.get(at..at + size_of::<usize>())?.try_into().ok()?));
    (word(0)? == slot).then(|| word(size_of::<usize>()))?
}

/// Makes a backup, with a disk that takes its time for these reads of the region file, so that one reading takes 0.3 s;
/// returns whether it told that the file was written to.
fn slowly(keeper: &Worldkeeper, reads: &str) -> bool {
    let region = keeper.world().join(REGION);
    let log = keeper.folder().join("strace.log");
    let inject = format!("inject=pread64:delay_exit=50000:when={reads}");
    let mut strace =
        vec!["strace", "-f", "--seccomp-bpf", "-qq", "-o", log.to_str().unwrap(), "-e", "trace=pread64", "-e", &inject];
    strace.extend(["-P", region.to_str().expect("a plain name")]);
    let outcome = Outcome::of(&mut keeper.command_under(&strace, ["backup"]));
    let delayed = fs::read_to_string(&log).unwrap().matches("(DELAYED)").count();
    assert!(delayed >= 5, "the disk took its time for {delayed} reads only: {outcome}");
    let is_told = outcome.stderr().contains("changed while it was read");
    let _ = outcome.exits(u8::from(is_told).into());
    is_told
}
