//! Whether a region file is whole: whether the game can find its chunks, and begin to read them.
//!
//! It is told of each chunk that the game could not load, would load the wrong bytes of, or would silently generate anew.
//! What is inside a chunk is not looked at: of a file of any length the locations and the five bytes that each chunk
//! begins with are all that is touched.

use worldkeeper_core::{Defects, Judge};

use super::header::{HEAD_LEN, HEADER_LEN, Head, KINDS, Location, SECTOR, SIDE, UNCOUNTED, locations};
use crate::blank::Blank;

/// What is known of a region file so far.
pub(super) struct Judged {
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

/// A chunk that has a place of its own.
#[derive(Clone, Copy)]
struct Chunk {
    at: Location,
    /// Where its content ends, once that is known.
    end: Option<u64>,
}

impl Judged {
    pub(super) fn new(place: (i64, i64)) -> Self {
        Self {
            place,
            position: 0,
            header: Vec::new(),
            chunks: Vec::new(),
            next: 0,
            head: [0; HEAD_LEN],
            blank: Blank::new(),
            defects: Defects::default(),
        }
    }
}

impl Judge for Judged {
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
        while let Some(chunk) = self.chunks.get(self.next).copied().filter(|chunk| chunk.at.start() < end) {
            // Those of the head that are among these.
            let from = self.position.max(chunk.at.start());
            let to = end.min(chunk.at.start() + HEAD_LEN as u64);
            for at in from..to {
                self.head[(at - chunk.at.start()) as usize] = bytes[(at - self.position) as usize];
            }
            if to < chunk.at.start() + HEAD_LEN as u64 {
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
            if chunk.at.start() >= len {
                self.tell(chunk.at.slot, format_args!("lies behind the end of the file"));
            } else if !has_head || chunk.end.is_some_and(|end| end > len) {
                self.tell(chunk.at.slot, format_args!("is cut off by the end of the file"));
            }
        }
        self.defects
    }
}

impl Judged {
    /// Learns from the locations where chunks should be.
    fn read_locations(&mut self) {
        let mut chunks = Vec::new();
        for location in locations(&self.header.clone()) {
            match (location.sector, location.sectors) {
                (0..2, _) => self.tell(location.slot, format_args!("lies within the header")),
                (_, 0) => self.tell(location.slot, format_args!("has no room in the file")),
                _ => chunks.push(location),
            }
        }
        chunks.sort_by_key(|location| (location.sector, location.slot));
        let (mut taken, mut by) = (0, 0);
        for at in chunks {
            if at.sector < taken {
                let (x, z) = self.coordinates(by);
                self.tell(at.slot, format_args!("lies where chunk [{x}, {z}] is"));
            } else {
                self.chunks.push(Chunk { at, end: None });
            }
            if at.sector + at.sectors > taken {
                (taken, by) = (at.sector + at.sectors, at.slot);
            }
        }
    }

    /// Makes sense of a chunk's head; returns where its content ends, if there is any.
    fn read_head(&mut self, chunk: &Chunk) -> Option<u64> {
        let head = Head::of(self.head);
        let used = head.used();
        if head.len == 0 {
            self.tell(chunk.at.slot, format_args!("has a place and no content"));
        } else if !KINDS.contains(&head.kind) {
            self.tell(chunk.at.slot, format_args!("is compressed in no known way, {}", head.kind));
        } else if used > chunk.at.sectors * SECTOR && chunk.at.sectors != UNCOUNTED {
            self.tell(chunk.at.slot, format_args!("has {used} bytes, more than its sectors, {}", chunk.at.sectors));
        } else {
            return Some(chunk.at.start() + used);
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
