//! A game world that lives: region files as a current Minecraft server leaves them behind.
//!
//! What counts for a backup is where bytes move to. A server writes a chunk that changed into the first gap of whole
//! sectors that holds it, then points the header there, and only then is its old place free. So a chunk never stays in
//! place, what was there before stays behind as junk, and holes come and go all over the file. The chunks themselves are
//! noise inside a zlib stream, as compressed data is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::noise::Noise;

/// A world of `regions` files below a folder, and the hours it has lived.
pub(crate) struct World {
    root: PathBuf,
    regions: u64,
    hours: u64,
}

impl World {
    /// Generates the world.
    pub(crate) fn generate(root: &Path, regions: u64) -> io::Result<Self> {
        fs::create_dir_all(root.join("region"))?;
        let world = Self { root: root.to_owned(), regions, hours: 0 };
        for number in 0..regions {
            let mut noise = Noise::new(1000 + number);
            let mut region = Region::open(&world.path(number))?;
            // Explored is a blob, so that some regions are whole and others have a corner of a world.
            let explored = if number % 4 == 3 { SLOTS / 4 } else { SLOTS };
            for slot in 0..explored {
                region.write(slot, &chunk(&mut noise), 0)?;
            }
        }
        Ok(world)
    }

    /// Lets an hour pass: players dirty a share of the chunks of some regions, over and over, and explore a little.
    pub(crate) fn play(&mut self) -> io::Result<()> {
        self.hours += 1;
        for number in 0..self.regions {
            let mut noise = Noise::new((self.hours << 20) + number);
            // Of the regions of a large world, one in five sees somebody in an hour.
            if noise.below(5) > 0 && number != self.hours % self.regions {
                continue;
            }
            let mut region = Region::open(&self.path(number))?;
            // Around where somebody is.
            let (x, z, reach) = (noise.below(32), noise.below(32), 6 + noise.below(6));
            for _save in 0..SAVES {
                for slot in 0..SLOTS {
                    let (dx, dz) = ((slot as u64 % 32).abs_diff(x), (slot as u64 / 32).abs_diff(z));
                    if dx <= reach && dz <= reach && noise.below(100) < DIRTY_PERCENT {
                        region.write(slot, &chunk(&mut noise), self.hours as u32)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, number: u64) -> PathBuf {
        self.root.join(format!("region/r.{}.{}.mca", number % 8, number / 8))
    }
}

/// How often a server saves in an hour.
const SAVES: u32 = 12;
/// How many of the chunks near somebody have changed when it does.
const DIRTY_PERCENT: u64 = 5;

/// What a whole region takes, in bytes.
pub(super) const REGION: u64 = SLOTS as u64 * 7_500;

/// Chunks of a region.
const SLOTS: usize = 1024;
const SECTOR: usize = 4096;
/// Where the server's clock began.
const EPOCH: u32 = 1_760_000_000;

/// What a chunk holds, compressed: 3 to 10 KB, mostly two sectors.
fn chunk(noise: &mut Noise) -> Vec<u8> {
    let len = 2_500 + noise.below(3_800) + noise.below(3_800);
    // Not compressed further: it is noise.
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&noise.bytes(len as usize)).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// A region file, open for writing.
struct Region {
    file: File,
    /// Sector and number of sectors of each chunk, as the header has them.
    places: [(usize, usize); SLOTS],
    /// Which sectors hold something.
    used: Vec<bool>,
}

impl Region {
    /// Opens one, or makes it.
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut header = [0; SLOTS * 4];
        if file.metadata()?.len() == 0 {
            file.set_len(2 * SECTOR as u64)?;
        }
        file.read_exact_at(&mut header, 0)?;
        let mut region = Self { file, places: [(0, 0); SLOTS], used: vec![true; 2] };
        for (place, entry) in region.places.iter_mut().zip(header.chunks_exact(4)) {
            *place =
                (usize::from(entry[0]) << 16 | usize::from(entry[1]) << 8 | usize::from(entry[2]), entry[3].into());
        }
        for (sector, count) in region.places {
            region.mark(sector, count, true);
        }
        Ok(region)
    }

    /// Writes a chunk as the allocator of 1.15 and later does: new sectors, the header, then the old ones are free.
    fn write(&mut self, slot: usize, chunk: &[u8], hour: u32) -> io::Result<()> {
        let mut data = (chunk.len() as u32 + 1).to_be_bytes().to_vec();
        data.push(2); // zlib
        data.extend_from_slice(chunk);
        let count = data.len().div_ceil(SECTOR);
        let sector = self.first_fit(count);
        self.mark(sector, count, true);
        self.file.write_all_at(&data, (sector * SECTOR) as u64)?;
        let end = (self.used.len() * SECTOR) as u64;
        if self.file.metadata()?.len() < end {
            self.file.set_len(end)?;
        }
        let place = ((sector as u32) << 8 | count as u32).to_be_bytes();
        self.file.write_all_at(&place, slot as u64 * 4)?;
        self.file.write_all_at(&(EPOCH + hour * 3600).to_be_bytes(), (SECTOR + slot * 4) as u64)?;
        let (sector, count) = std::mem::replace(&mut self.places[slot], (sector, count));
        self.mark(sector, count, false);
        Ok(())
    }

    /// The first gap of `count` sectors; the file grows where there is none.
    fn first_fit(&self, count: usize) -> usize {
        let mut free = 0;
        for (sector, used) in self.used.iter().enumerate() {
            free = if *used { 0 } else { free + 1 };
            if free == count {
                return sector + 1 - count;
            }
        }
        self.used.len() - free
    }

    fn mark(&mut self, sector: usize, count: usize, used: bool) {
        if self.used.len() < sector + count {
            self.used.resize(sector + count, false);
        }
        self.used[sector..][..count].fill(used);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Every chunk of a region, checked to lie apart from the others and to inflate.
    fn chunks(path: &Path) -> Vec<(usize, Vec<u8>)> {
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len() % SECTOR, 0);
        let mut taken = vec![false; bytes.len() / SECTOR];
        let mut found = Vec::new();
        for (slot, (sector, count)) in Region::open(path).unwrap().places.into_iter().enumerate() {
            if count == 0 {
                continue;
            }
            assert!(sector >= 2);
            for taken in &mut taken[sector..][..count] {
                assert!(!std::mem::replace(taken, true), "two chunks share a sector");
            }
            let len = u32::from_be_bytes(bytes[sector * SECTOR..][..4].try_into().unwrap()) as usize;
            let mut inflated = Vec::new();
            let stream = &bytes[sector * SECTOR + 5..][..len - 1];
            flate2::read::ZlibDecoder::new(stream).read_to_end(&mut inflated).unwrap();
            found.push((slot, inflated));
        }
        found
    }

    #[test]
    fn a_world_that_lives_stays_whole_and_is_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut worlds = ["a", "b"].map(|name| World::generate(&folder.path().join(name), 1).unwrap());
        let before = chunks(&worlds[0].path(0));
        assert_eq!(before.len(), SLOTS);
        for world in &mut worlds {
            world.play().unwrap();
        }
        let [first, second] = [0, 1].map(|at: usize| fs::read(worlds[at].path(0)).unwrap());
        assert!(first == second, "two worlds of one seed differ");

        let after = chunks(&worlds[0].path(0));
        let dirty = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert!((20..SLOTS / 2).contains(&dirty), "{dirty} of {SLOTS} chunks have changed");
        let len = first.len() as u64;
        assert!(REGION * 9 / 10 < len && len < REGION * 3 / 2, "{len}");
    }

    #[test]
    fn a_chunk_that_is_written_again_moves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.0.0.mca");
        let mut region = Region::open(&path).unwrap();
        region.write(0, &[1; 5000], 0).unwrap();
        region.write(1, &[2; 100], 0).unwrap();
        region.write(0, &[3; 5000], 1).unwrap();
        assert_eq!(region.places[..2], [(5, 2), (4, 1)]);
        region.write(2, &[4; 6000], 1).unwrap();
        assert_eq!(region.places[2], (2, 2), "the first gap that holds it");
    }
}
