//! `import-tar`: makes an archive of what is in a tar.

mod decompressed;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_engine::{ImportOptions, import_tar as import};

use super::backup::create_options;
use crate::args::ImportTar;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::words;
use decompressed::decompressed;

/// The tar cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub(crate) struct ImportProblem {
    /// Where it should be.
    pub(crate) path: PathBuf,
    /// What the system says.
    pub(crate) source: io::Error,
}

/// Imports a tar.
pub(super) fn import_tar(place: &Arc<Place>, options: &ImportTar, stop: &Stop) -> anyhow::Result<Done> {
    // Before anything is locked.
    let mut tar = open(&options.file).map_err(|source| ImportProblem { path: options.file.clone(), source })?;
    let mut create = create_options(place);
    create.comment.clone_from(&options.comment);
    let import_options = ImportOptions { name: options.archive.clone(), ignore_zeros: options.ignore_zeros, create };
    let mut session = place.session(Purpose::Write, Caller::Hand, stop)?;
    let reporter = Reporter::new(&place.screen, "importing").listing(options.list);
    let imported = import(&mut session, &mut *tar, &import_options, &reporter);
    reporter.end();
    let created = imported?;
    let stats = &created.stats;
    if stats.files_failed > 0 {
        warn!("{} not imported", words::count(stats.files_failed, "member"));
    }
    let (files, size) = (words::count(stats.files(), "file"), words::bytes(stats.size));
    info!("imported {files}, {size}, as {}: {} stored", created.name, words::bytes(stats.stored_bytes));
    Ok(Done::with(reporter.warnings()))
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let input: Box<dyn Read + Send> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    // Decompressors give little at a time.
    Ok(Box::new(BufReader::with_capacity(BUFFER, decompressed(BufReader::with_capacity(BUFFER, input))?)))
}

const BUFFER: usize = 128 * 1024;
