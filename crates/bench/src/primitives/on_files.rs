//! Reading what lies in the page cache, writing what will.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context as _;

use super::{Part, Rounds};
use crate::corpus::Noise;

/// Both, with their names.
pub(super) fn read_and_write(rounds: &Rounds<'_>, folder: &Path) -> anyhow::Result<Vec<Part>> {
    let (read, write) = both(rounds, folder)?;
    Ok(vec![Part::new("files", "read into a buffer", read), Part::new("files", "write a new file", write)])
}

/// What each byte costs that is read, and that is written.
pub(super) fn both(rounds: &Rounds<'_>, folder: &Path) -> anyhow::Result<(f64, f64)> {
    let path = folder.join("primitive");
    let both = measure(rounds, &path).with_context(|| format!("cannot write and read {}", path.display()));
    // What is not there cannot be removed.
    let _ = fs::remove_file(&path);
    both
}

fn measure(rounds: &Rounds<'_>, path: &Path) -> anyhow::Result<(f64, f64)> {
    let bytes = Noise::new(6).bytes(rounds.chunk());
    let count = rounds.working_set / bytes.len();
    let total = count * bytes.len();
    // It may not be there.
    let remove = || _ = fs::remove_file(path);
    let write = rounds.best_after(total, remove, || {
        let mut file = File::create(path)?;
        for _ in 0..count {
            file.write_all(&bytes)?;
        }
        Ok(())
    })?;
    let mut buffer = vec![0; bytes.len()];
    let read = rounds.best(total, || {
        let mut file = File::open(path)?;
        for _ in 0..count {
            file.read_exact(&mut buffer)?;
        }
        Ok(())
    })?;
    Ok((read, write))
}
