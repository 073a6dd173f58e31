//! What a region file begins with, and what each of its chunks does.
//!
//! | bytes       | field     | encoding        | meaning                                                           |
//! |-------------|-----------|-----------------|-------------------------------------------------------------------|
//! | 0..4096     | locations | 1024 × u24, u8  | BE: sector in which a chunk begins, how many it has; 0 if none    |
//! | 4096..8192  | times     | 1024 × u32      | BE: when that chunk was written last, in seconds since 1970       |
//!
//! A sector has 4096 bytes. A chunk begins, at its sector, with:
//!
//! | bytes | field  | encoding | meaning                                                       |
//! |-------|--------|----------|---------------------------------------------------------------|
//! | 0..4  | length | u32 BE   | of what follows, the kind among it                            |
//! | 4     | kind   | u8       | 1 gzip, 2 zlib, 3 none, 4 LZ4, 127 custom; +128 if in a `.mcc` |
//!
//! Source: <https://minecraft.wiki/w/Region_file_format>.

/// Bytes of a sector.
pub(super) const SECTOR: u64 = 4096;
/// Locations of 1024 chunks, one sector of them, and another one with the times of their last changes.
pub(super) const HEADER_LEN: u64 = 2 * SECTOR;
/// Chunks along one side of a region.
pub(super) const SIDE: usize = 32;
/// What a chunk begins with, in bytes.
pub(super) const HEAD_LEN: usize = 5;
/// As many sectors or more: what is longer than a location can say, Spigot and Paper take from the chunk itself.
pub(super) const UNCOUNTED: u64 = 255;
/// gzip, zlib, none, LZ4, and one that a name says which follows.
pub(super) const KINDS: [u8; 5] = [1, 2, 3, 4, 127];

/// Where a chunk should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// Its place among the locations: 32 rows along X.
    pub(super) slot: usize,
    /// Where it begins.
    pub(super) sector: u64,
    pub(super) sectors: u64,
}

impl Location {
    /// Where it begins, in bytes.
    pub(super) fn start(&self) -> u64 {
        self.sector * SECTOR
    }
}

/// All locations of a header, or of its first sector, that say something.
pub(super) fn locations(header: &[u8]) -> impl Iterator<Item = Location> {
    let said = |(slot, location): (usize, &[u8])| Location {
        slot,
        sector: u64::from(u32::from_be_bytes([0, location[0], location[1], location[2]])),
        sectors: u64::from(location[3]),
    };
    header[..SECTOR as usize].chunks_exact(4).enumerate().map(said).filter(|at| (at.sector, at.sectors) != (0, 0))
}

/// When the chunk with this place in a header was written last.
pub(super) fn time(header: &[u8], slot: usize) -> u32 {
    let at = SECTOR as usize + slot * 4;
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// What a chunk begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Of what follows the length, in bytes.
    pub(super) len: u32,
    /// How it is compressed.
    pub(super) kind: u8,
    /// Whether the content lies in a `.mcc` file beside the region's, and nothing of it here.
    pub(super) is_elsewhere: bool,
}

impl Head {
    pub(super) fn of([len @ .., kind]: [u8; HEAD_LEN]) -> Self {
        Self { len: u32::from_be_bytes(len), kind: kind & !ELSEWHERE, is_elsewhere: kind & ELSEWHERE != 0 }
    }

    /// How many bytes of the file are the chunk's, this head among them.
    pub(super) fn used(self) -> u64 {
        if self.is_elsewhere { HEAD_LEN as u64 } else { 4 + u64::from(self.len) }
    }
}

const ELSEWHERE: u8 = 0x80;
