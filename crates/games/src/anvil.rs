//! Minecraft's region files (Anvil, and MCRegion before it): a header that says where each chunk lies, and chunks.
//!
//! Judged is what the game needs to find its chunks and to begin reading them: it is told of each one that it could not
//! load, would load the wrong bytes of, or would silently generate anew. What is inside a chunk is not looked at: of a
//! file of any length the header and the five bytes that each chunk begins with are all that is touched.

use worldkeeper_core::{Defects, FileFormat, Judge};

use crate::blank::Blank;
use crate::path::name;

/// Region files, `r.X.Z.mca` and `r.X.Z.mcr`.
#[derive(Clone, Copy, Debug)]
pub struct Anvil;

impl FileFormat for Anvil {
    fn judge(&self, path: &[u8], _: &[u8]) -> Option<Box<dyn Judge>> {
        let region = Region {
            place: place(name(path))?,
            position: 0,
            header: Vec::new(),
            chunks: Vec::new(),
            next: 0,
            head: [0; HEAD_LEN],
            blank: Blank::new(),
            defects: Defects::default(),
        };
        Some(Box::new(region))
    }
}

/// The coordinates in a region's name: plugins leave files with other names and the same ending.
fn place(name: &[u8]) -> Option<(i64, i64)> {
    let mut parts = std::str::from_utf8(name).ok()?.split('.');
    let (start, x, z, extension) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_region = start == "r" && matches!(extension, "mca" | "mcr") && parts.next().is_none();
    let coordinate = |text: &str| text.parse::<i32>().ok().map(i64::from);
    is_region.then_some((coordinate(x)?, coordinate(z)?))
}

const SECTOR: u64 = 4096;
/// Locations of 1024 chunks, one sector of them, and another one with the times of their last changes.
const HEADER_LEN: u64 = 2 * SECTOR;
/// Chunks along one side of a region.
const SIDE: usize = 32;
/// What a chunk begins with: its length in bytes, in which this kind of compression is counted; u32 BE, and u8.
const HEAD_LEN: usize = 5;

/// What is known of a region file so far.
struct Region {
    /// The region's coordinates.
    place: (i64, i64),
    /// How much has been seen.
    position: u64,
    /// The locations, until all are there.
    header: Vec<u8>,
    /// Those that have a place of their own, in the order of the file.
    chunks: Vec<Chunk>,
    /// The first chunk whose head is not complete, and what is known of it.
    next: usize,
    head: [u8; HEAD_LEN],
    /// Whether anything was ever written to it.
    blank: Blank,
    defects: Defects,
}

/// A chunk, as its location tells.
#[derive(Clone, Copy)]
struct Chunk {
    /// Its place among the locations: 32 rows along X.
    slot: usize,
    /// Where it begins.
    sector: u64,
    sectors: u64,
    /// Where its content ends, once that is known.
    end: Option<u64>,
}

impl Chunk {
    fn start(&self) -> u64 {
        self.sector * SECTOR
    }
}

impl Judge for Region {
    fn look(&mut self, bytes: &[u8]) {
        if self.chunks.is_empty() {
            self.blank.see(bytes);
        }
        if self.header.len() < SECTOR as usize {
            let room = SECTOR as usize - self.header.len();
            self.header.extend_from_slice(&bytes[..room.min(bytes.len())]);
            if self.header.len() == SECTOR as usize {
                self.read_locations();
            }
        }
        let end = self.position + bytes.len() as u64;
        while let Some(chunk) = self.chunks.get(self.next).copied().filter(|chunk| chunk.start() < end) {
            // Those of the head that are among these.
            let from = self.position.max(chunk.start());
            let to = end.min(chunk.start() + HEAD_LEN as u64);
            for at in from..to {
                self.head[(at - chunk.start()) as usize] = bytes[(at - self.position) as usize];
            }
            if to < chunk.start() + HEAD_LEN as u64 {
                break;
            }
            self.chunks[self.next].end = self.read_head(&chunk);
            self.next += 1;
        }
        self.position = end;
    }

    fn finish(mut self: Box<Self>) -> Defects {
        let len = self.position;
        if (1..HEADER_LEN).contains(&len) {
            self.defects.add(format_args!("it ends within its header, after {len} bytes"));
        }
        if len > HEADER_LEN && self.chunks.is_empty() {
            self.blank.tell(&mut self.defects);
        }
        for (number, chunk) in std::mem::take(&mut self.chunks).into_iter().enumerate() {
            let has_head = number < self.next;
            if chunk.start() >= len {
                self.tell(chunk.slot, format_args!("lies behind the end of the file"));
            } else if !has_head || chunk.end.is_some_and(|end| end > len) {
                self.tell(chunk.slot, format_args!("is cut off by the end of the file"));
            }
        }
        self.defects
    }
}

impl Region {
    /// Learns from the locations where chunks should be.
    ///
    /// A location is a sector, u24 BE, and a number of sectors, u8; all zero if there is no such chunk.
    fn read_locations(&mut self) {
        let mut chunks = Vec::new();
        for (slot, location) in self.header.clone().chunks_exact(4).enumerate() {
            let sector = u32::from_be_bytes([0, location[0], location[1], location[2]]);
            let chunk = Chunk { slot, sector: u64::from(sector), sectors: u64::from(location[3]), end: None };
            match (chunk.sector, chunk.sectors) {
                (0, 0) => {}
                (0..2, _) => self.tell(slot, format_args!("lies within the header")),
                (_, 0) => self.tell(slot, format_args!("has no room in the file")),
                _ => chunks.push(chunk),
            }
        }
        chunks.sort_by_key(|chunk| (chunk.sector, chunk.slot));
        let (mut taken, mut by) = (0, 0);
        for chunk in chunks {
            if chunk.sector < taken {
                let (x, z) = self.coordinates(by);
                self.tell(chunk.slot, format_args!("lies where chunk [{x}, {z}] is"));
            } else {
                self.chunks.push(chunk);
            }
            if chunk.sector + chunk.sectors > taken {
                (taken, by) = (chunk.sector + chunk.sectors, chunk.slot);
            }
        }
    }

    /// Makes sense of a chunk's head; returns where its content ends, if there is any.
    fn read_head(&mut self, chunk: &Chunk) -> Option<u64> {
        let [len @ .., kind] = self.head;
        let (len, kind, is_elsewhere) = (u32::from_be_bytes(len), kind & !ELSEWHERE, kind & ELSEWHERE != 0);
        let used = if is_elsewhere { HEAD_LEN as u64 } else { 4 + u64::from(len) };
        if len == 0 {
            self.tell(chunk.slot, format_args!("has a place and no content"));
        } else if !KINDS.contains(&kind) {
            self.tell(chunk.slot, format_args!("is compressed in no known way, {kind}"));
        } else if used > chunk.sectors * SECTOR && chunk.sectors != UNCOUNTED {
            self.tell(chunk.slot, format_args!("has {used} bytes, more than its sectors, {}", chunk.sectors));
        } else {
            return Some(chunk.start() + used);
        }
        None
    }

    fn tell(&mut self, slot: usize, what: std::fmt::Arguments<'_>) {
        let (x, z) = self.coordinates(slot);
        self.defects.add(format_args!("chunk [{x}, {z}] {what}"));
    }

    /// A chunk's coordinates in its dimension, as the game's own log has them.
    fn coordinates(&self, slot: usize) -> (i64, i64) {
        let (x, z) = self.place;
        (x * SIDE as i64 + (slot % SIDE) as i64, z * SIDE as i64 + (slot / SIDE) as i64)
    }
}

/// gzip, zlib, none, LZ4, and one that a name says which follows.
const KINDS: [u8; 5] = [1, 2, 3, 4, 127];
/// In the kind: the content lies in a `.mcc` file beside the region's, and nothing of it here.
const ELSEWHERE: u8 = 0x80;
/// As many sectors or more: what is longer than a location can say, Spigot and Paper take from the chunk itself.
const UNCOUNTED: u64 = 255;
