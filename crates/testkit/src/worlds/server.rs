//! A server that writes a region file as games of today do: each chunk to the first sectors that are free, then the header,
//! and only then are the chunk's old sectors free.

use std::ops::Range;

use super::{SECTOR, locate, location};

/// The server, and the region file that it has.
pub struct Server {
    /// What is in the file.
    pub file: Vec<u8>,
    /// Whether a sector is taken.
    taken: Vec<bool>,
}

impl Default for Server {
    /// A file without chunks.
    fn default() -> Self {
        Self { file: vec![0; 2 * SECTOR], taken: vec![true; 2] }
    }
}

impl Server {
    /// Writes a chunk: what it begins with, and its payload. Behind it stays what was there; the file's last sector is not
    /// filled up.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn write(&mut self, slot: usize, now_s: u32, kind: u8, payload: &[u8]) {
        let bytes = [&(payload.len() as u32 + 1).to_be_bytes()[..], &[kind], payload].concat();
        let count = bytes.len().div_ceil(SECTOR);
        let is_free = |from: usize| self.taken.iter().skip(from).take(count).all(|taken| !taken);
        let sector = (2..=self.taken.len()).find(|sector| is_free(*sector)).expect("behind the end all are free");
        let at = sector * SECTOR;
        self.file.resize(self.file.len().max(at + bytes.len()), 0);
        self.file[at..at + bytes.len()].copy_from_slice(&bytes);

        let (old, old_count) = location(&self.file, slot);
        locate(&mut self.file, slot, sector as u32, count as u8);
        self.file[SECTOR + slot * 4..][..4].copy_from_slice(&now_s.to_be_bytes());
        self.taken.resize(self.taken.len().max(sector + count), false);
        self.taken[sector..sector + count].fill(true);
        self.taken[old as usize..old as usize + usize::from(old_count)].fill(false);
    }

    /// Fills the last sector up, as a server does that ends.
    pub fn close(&mut self) {
        self.file.resize(self.file.len().next_multiple_of(SECTOR), 0);
    }

    /// Where a chunk lies, in bytes: all of its sectors; `None` if there is no such chunk.
    pub fn room(&self, slot: usize) -> Option<Range<usize>> {
        let (sector, count) = location(&self.file, slot);
        let start = sector as usize * SECTOR;
        (count > 0).then(|| start..(start + usize::from(count) * SECTOR).min(self.file.len()))
    }
}
