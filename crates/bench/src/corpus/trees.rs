//! Trees of files that do not change.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::noise::{Noise, Text, write};

/// Files of 64 MiB that no compression makes smaller.
pub(super) fn noise(root: &Path, mebibytes: u64) -> io::Result<()> {
    let mut noise = Noise::new(1);
    large(root, mebibytes, &mut |piece| noise.fill(piece))
}

/// Files of 64 MiB that compress as text does.
pub(super) fn text(root: &Path, mebibytes: u64) -> io::Result<()> {
    let mut text = Text::new(2);
    large(root, mebibytes, &mut |piece| text.fill(piece))
}

fn large(root: &Path, mebibytes: u64, fill: &mut dyn FnMut(&mut [u8])) -> io::Result<()> {
    fs::create_dir(root)?;
    for first in (0..mebibytes).step_by(64) {
        let mut file = File::create(root.join(format!("{first}.bin")))?;
        write(&mut file, (mebibytes - first).min(64) << 20, &mut *fill)?;
    }
    Ok(())
}

/// A modded server's folder: mostly small files, text beside noise. 46,000 of them are some 876 MB.
pub(super) fn mixed(root: &Path, files: u64) -> io::Result<()> {
    let (mut noise, mut text) = (Noise::new(3), Text::new(3));
    each(root, files, |number, mut file| {
        let len = match noise.below(100) {
            0..70 => 300 + noise.below(4_000),
            70..95 => 4_000 + noise.below(28_000),
            _ => 32_000 + noise.below(MIXED_LARGE),
        };
        if number % 3 == 0 {
            write(&mut file, len, |piece| noise.fill(piece))
        } else {
            write(&mut file, len, |piece| text.fill(piece))
        }
    })
}

/// By which the largest files of a mixed tree are larger than the smallest of these, in bytes.
const MIXED_LARGE: u64 = 452_000;

/// What a file of a mixed tree has on the average, in bytes.
pub(super) const MIXED_MEAN: u64 = 19_000;

/// Files of some hundred bytes that differ.
pub(super) fn small(root: &Path, files: u64) -> io::Result<()> {
    let mut noise = Noise::new(4);
    each(root, files, |_, mut file| {
        let mut bytes = [0; SMALL_MOST];
        let len = SMALL_LEAST + noise.below((SMALL_MOST - SMALL_LEAST) as u64) as usize;
        noise.fill(&mut bytes[..len]);
        file.write_all(&bytes[..len])
    })
}

const SMALL_LEAST: usize = 100;
const SMALL_MOST: usize = 500;

/// Files of 10,000 chunks of [`TINY`] bytes each, all of which differ.
pub(super) fn tiny(root: &Path, chunks: u64) -> io::Result<()> {
    let mut noise = Noise::new(5);
    each(root, chunks.div_ceil(TINY_CHUNKS), |number, mut file| {
        let chunks = (chunks - number * TINY_CHUNKS).min(TINY_CHUNKS);
        write(&mut file, chunks * TINY, |piece| noise.fill(piece))
    })
}

/// The least that stock's chunker takes for a block, in bytes.
pub(super) const TINY: u64 = 64;
const TINY_CHUNKS: u64 = 10_000;

/// Makes numbered files, 50 to a folder and 50 folders to one above: no folder is unlike what a server has.
fn each(root: &Path, files: u64, mut fill: impl FnMut(u64, File) -> io::Result<()>) -> io::Result<()> {
    fs::create_dir(root)?;
    for number in 0..files {
        let folder = root.join(format!("{:03}/{:02}", number / 2500, number / 50 % 50));
        if number % 50 == 0 {
            fs::create_dir_all(&folder)?;
        }
        fill(number, File::create(folder.join(format!("file-{number}.dat")))?)?;
    }
    Ok(())
}
