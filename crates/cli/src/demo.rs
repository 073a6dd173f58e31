//! A small sample world, so that the first command of the README needs no game server.
//!
//! It looks like a Minecraft world folder and is the same every time. Nothing in it can be loaded by a game.

use std::fs;
use std::io;
use std::path::Path;

/// What one region holds, in sectors of 4 KiB: the header's two and those of its chunks.
const REGION_SECTORS: usize = 256;

/// When all chunks of the sample were saved: 2023-11-14T22:13:20Z.
const SAVED_AT: u32 = 1_700_000_000;

/// The player of the sample.
const PLAYER: &str = "069a79f4-44e9-4726-a5be-fca90e38aaf5";

/// Makes the sample world at `folder`, which does not exist yet. What is there under its name is complete.
pub(crate) fn make_world(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".making");
    let unfinished = folder.with_file_name(name);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    for directory in ["region", "DIM-1/region", "playerdata", "stats"] {
        fs::create_dir_all(unfinished.join(directory))?;
    }
    let mut random = Random(0x0057_6f72_6c64);
    fs::write(unfinished.join("level.dat"), noise(&mut random, 1_800))?;
    fs::write(unfinished.join("session.lock"), "☃")?;
    fs::write(unfinished.join("playerdata").join(PLAYER).with_extension("dat"), noise(&mut random, 6_000))?;
    fs::write(unfinished.join("stats").join(PLAYER).with_extension("json"), STATS)?;
    for region in ["region/r.0.0.mca", "region/r.-1.0.mca", "region/r.0.-1.mca", "DIM-1/region/r.0.0.mca"] {
        fs::write(unfinished.join(region), self::region(&mut random))?;
    }
    fs::rename(unfinished, folder)
}

const STATS: &str = r#"{"stats":{"minecraft:custom":{"minecraft:play_time":72000,"minecraft:jump":1337,"minecraft:deaths":3}},"DataVersion":3465}
"#;

/// A region file: 1024 locations, 1024 times, then chunks in sectors, each with its length and kind of compression.
fn region(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; REGION_SECTORS * SECTOR];
    let (mut sector, mut slot) = (2, 0);
    while sector < REGION_SECTORS {
        let sectors = (1 + random.below(4)).min(REGION_SECTORS - sector);
        // Most of the sectors are full, the last one is not.
        let len = sectors * SECTOR - random.below(SECTOR / 2) - 1;
        let location = u32::try_from(sector << 8 | sectors).expect("a region has few sectors");
        bytes[slot * 4..][..4].copy_from_slice(&location.to_be_bytes());
        bytes[SECTOR + slot * 4..][..4].copy_from_slice(&SAVED_AT.to_be_bytes());
        let chunk = &mut bytes[sector * SECTOR..][..len];
        chunk[..4].copy_from_slice(&u32::try_from(len - 4).expect("a chunk is small").to_be_bytes());
        chunk[4] = ZLIB;
        chunk[5..].copy_from_slice(&noise(random, len - 5));
        sector += sectors;
        slot += 1 + random.below(3);
    }
    bytes
}

/// Bytes as compressed data has them.
fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(len).collect()
}

/// Numbers without a pattern, the same every time: Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

const SECTOR: usize = 4096;
/// The kind of compression that games write.
const ZLIB: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_every_time_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("deep/one"), folder.path().join("two"));
        make_world(&one).unwrap();
        make_world(&two).unwrap();
        for file in ["level.dat", "region/r.0.0.mca", "DIM-1/region/r.0.0.mca"] {
            assert_eq!(fs::read(one.join(file)).unwrap(), fs::read(two.join(file)).unwrap(), "{file}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_in_it_is_found_broken() {
        let folder = tempfile::tempdir().unwrap();
        make_world(&folder.path().join("world")).unwrap();
        for file in ["level.dat", "region/r.-1.0.mca", "DIM-1/region/r.0.0.mca"] {
            let content = fs::read(folder.path().join("world").join(file)).unwrap();
            let judge = worldkeeper_games::FORMATS.iter().find_map(|format| format.judge(file.as_bytes(), &content));
            let defects = judge.map(|mut judge| {
                judge.look(&content);
                judge.finish()
            });
            assert!(defects.is_none_or(|defects| defects.is_empty()), "{file}");
        }
    }

    #[test]
    fn chunks_lie_where_the_header_says() {
        let region = region(&mut Random(1));
        let word = |at: usize| u32::from_be_bytes(region[at..at + 4].try_into().unwrap()) as usize;
        let mut next = 2;
        for slot in 0..1024 {
            let (sector, sectors) = (word(slot * 4) >> 8, word(slot * 4) & 0xff);
            if sectors > 0 {
                assert_eq!(sector, next);
                assert!(word(sector * SECTOR) + 4 <= sectors * SECTOR);
                assert_eq!(region[sector * SECTOR + 4], ZLIB);
                next += sectors;
            }
        }
        assert_eq!(next, REGION_SECTORS);
    }
}
