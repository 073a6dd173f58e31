//! Files of games' worlds that are whole, made without a game; and the places in them where a test breaks one.

mod server;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

pub use server::Server;

use crate::fixtures::sha_stream;
use crate::random::Random;

/// Bytes of a sector.
pub const SECTOR: usize = 4096;

/// A region file of exactly `len` bytes: chunks of a few sectors one behind the other, the last of them not padded. What
/// the chunks hold is noise, as compressed data is.
///
/// # Panics
///
/// If there is no room for a header and a chunk.
pub fn region(seed: &str, len: usize) -> Vec<u8> {
    let mut file = sha_stream(seed, len);
    file[..2 * SECTOR].fill(0);
    let sectors = len.div_ceil(SECTOR);
    let mut random = Random::new(len as u64);
    let (mut slot, mut sector) = (0, 2);
    while sector < sectors {
        // However long the file is, its chunks are no more than there is room for in the header.
        let count = (1 + sectors / SLOTS + random.below(3)).min(sectors - sector);
        let end = ((sector + count) * SECTOR).min(len);
        let used = (end - sector * SECTOR).saturating_sub(random.below(SECTOR / 2)).max(5);
        // The last one ends with the file.
        let used = if end == len { end - sector * SECTOR } else { used };
        locate(&mut file, slot, sector as u32, count as u8);
        file[SECTOR + slot * 4..][..4].copy_from_slice(&1_700_000_000_u32.to_be_bytes());
        file[sector * SECTOR..][..4].copy_from_slice(&(used as u32 - 4).to_be_bytes());
        file[sector * SECTOR + 4] = 2;
        sector += count;
        slot += 1;
    }
    file
}

/// Chunks of a region.
const SLOTS: usize = 1024;

/// Writes into a region's header where a chunk lies, and in how many sectors.
pub fn locate(region: &mut [u8], slot: usize, sector: u32, sectors: u8) {
    region[slot * 4..][..4].copy_from_slice(&(sector << 8 | u32::from(sectors)).to_be_bytes());
}

/// Where a region's header says that a chunk lies: the first sector, and how many.
pub fn location(region: &[u8], slot: usize) -> (u32, u8) {
    let location = u32::from_be_bytes(region[slot * 4..][..4].try_into().expect("a location has 4 bytes"));
    (location >> 8, location as u8)
}

/// The header of a SQLite database with a rollback journal, and pages of nothing behind it. 65,536 is a page size, too.
pub fn sqlite(page_size: u32, pages: u32) -> Vec<u8> {
    let mut file = vec![0; (page_size * pages) as usize];
    file[..16].copy_from_slice(b"SQLite format 3\0");
    file[16..18].copy_from_slice(&if page_size == 65_536 { 1 } else { page_size as u16 }.to_be_bytes());
    file[18..20].copy_from_slice(&[1, 1]);
    file[24..28].copy_from_slice(&7_u32.to_be_bytes());
    file[28..32].copy_from_slice(&pages.to_be_bytes());
    file[92..96].copy_from_slice(&7_u32.to_be_bytes());
    file
}

/// What a game writes of NBT: `content`, compressed with gzip.
///
/// # Panics
///
/// Never.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}
