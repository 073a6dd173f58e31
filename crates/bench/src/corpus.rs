//! The trees that are backed up, made from a fixed seed.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A tree on the disk and what it amounts to.
pub(crate) struct Corpus {
    root: PathBuf,
    name: &'static str,
    total: Total,
}

/// What a tree amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    files: u64,
    bytes: u64,
}

impl Corpus {
    /// Files of 64 MiB that no compression makes smaller.
    pub(crate) fn incompressible(root: &Path, mebibytes: u64) -> io::Result<Self> {
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        fs::create_dir(root)?;
        for first in (0..mebibytes).step_by(64) {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(root.join(format!("r.{first}.mca")))?);
            noise.write(&mut file, (mebibytes - first).min(64) << 20)?;
            file.flush()?;
        }
        Self::of(root, "incompressible")
    }

    /// A modded server's folder: mostly small files, text beside noise.
    pub(crate) fn mixed(root: &Path, files: u32) -> io::Result<Self> {
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        for number in 0..files {
            let folder = root.join(format!("{:02}/{:02}", number / 2500, number / 50 % 50));
            if number % 50 == 0 {
                fs::create_dir_all(&folder)?;
            }
            let mut file = File::create(folder.join(format!("file-{number}.dat")))?;
            let size = match noise.next() % 100 {
                0..70 => 300 + noise.next() % 4_000,
                70..95 => 4_000 + noise.next() % 28_000,
                _ => 32_000 + noise.next() % 96_000,
            };
            if number % 3 == 0 {
                noise.write(&mut file, size)?;
            } else {
                let line = format!("{{\"id\": \"minecraft:stone_{}\", \"count\": {number}}}\n", noise.next() % 1000);
                let lines = line.repeat(1 + usize::try_from(size).unwrap_or(0) / line.len());
                file.write_all(lines.as_bytes())?;
            }
        }
        Self::of(root, "mixed")
    }

    fn of(root: &Path, name: &'static str) -> io::Result<Self> {
        Ok(Self { root: root.to_owned(), name, total: Total::of(root)? })
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Checks that as many files and bytes lie at `copy`.
    pub(crate) fn expect_in(&self, copy: &Path) -> io::Result<()> {
        let found = Total::of(copy)?;
        if found == self.total {
            return Ok(());
        }
        Err(io::Error::other(format!("{} holds {found:?}, {:?} were expected", copy.display(), self.total)))
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} files, {} MiB", self.name, self.total.files, self.total.bytes >> 20)
    }
}

impl Total {
    fn of(folder: &Path) -> io::Result<Self> {
        let mut total = Self::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let part =
                if metadata.is_dir() { Self::of(&entry.path())? } else { Self { files: 1, bytes: metadata.len() } };
            total = Self { files: total.files + part.files, bytes: total.bytes + part.bytes };
        }
        Ok(total)
    }
}

/// Bytes that look like noise to every compression (xorshift64*).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn write(&mut self, file: &mut impl Write, bytes: u64) -> io::Result<()> {
        let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
        let mut block = [0; 4096];
        while left > 0 {
            for word in block.chunks_exact_mut(8) {
                word.copy_from_slice(&self.next().to_le_bytes());
            }
            let len = left.min(block.len());
            file.write_all(&block[..len])?;
            left -= len;
        }
        Ok(())
    }
}
