//! `key`: copies of the repository's key, and its passphrase.

mod page;

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_core::{DiskError, Stop};
use worldkeeper_crypto::{KeyFile, KeyFileError, PaperError, PaperKey, PaperReader};
use worldkeeper_engine::{ImportedKey, export_key, import_key};

use super::output::Output;
use crate::args::{Key, KeyForm};
use crate::key_files;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::report::Done;
use crate::secrets;

/// Why a copy of a key cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyCopyError {
    /// The file that holds it.
    #[error("the copy of the key cannot be read")]
    Disk(#[from] DiskError),
    /// The file that it is to be in.
    #[error("the copy of the key cannot be written to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DiskError,
    },
    /// What is to be replaced is no file.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// Standard input.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// Something else than text.
    #[error("{0} is not text")]
    NotText(String),
    /// No copy of a key.
    #[error("{from} holds no copy of a key")]
    NoKey {
        /// Where it was read.
        from: String,
        /// What is wrong with it.
        #[source]
        source: KeyFileError,
    },
    /// A slip on paper.
    #[error("line {number} of {from} cannot be read")]
    Line {
        /// Where it was read.
        from: String,
        /// Which line, from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        source: PaperError,
    },
    /// Fewer lines than there should be.
    #[error("{from} ends before line {expected} of the key")]
    Incomplete {
        /// Where it was read.
        from: String,
        /// The line that is missing.
        expected: String,
    },
}

/// Does one of the things that can be done with a key.
pub(super) fn key(place: &Arc<Place>, what: &Key, stop: &Stop) -> anyhow::Result<Done> {
    match what {
        Key::Export { path, form } => export(place, file_of(path.as_deref()), *form, stop),
        Key::Confirm { fingerprint } => confirm(place, fingerprint, stop),
        Key::Import { path, paper } => import(place, file_of(path.as_deref()), *paper, stop),
        Key::ChangePassphrase { new_passphrase_file } => change_passphrase(place, new_passphrase_file.as_deref(), stop),
    }
}

/// `-` means standard input or output, as if nothing was said.
fn file_of(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| *path != Path::new("-"))
}

fn export(place: &Place, path: Option<&Path>, form: KeyForm, stop: &Stop) -> anyhow::Result<Done> {
    let repository = place.existing_repository(Purpose::Read, Caller::Hand, stop)?;
    let key_file = export_key(&*repository, &place.key_files)?;
    let text = match form {
        KeyForm { qr_html: true, .. } => page::page(&key_file).context("cannot make a QR code of the key")?,
        KeyForm { paper: true, .. } => PaperKey(&key_file).to_string(),
        _ => key_file.to_string(),
    };
    let mut output = Output::new();
    if let Some(path) = path {
        write(place, path, &text)?;
        output.line(&format!(
            "a copy of the key is in {}; the passphrase that it is under now opens it",
            path.display()
        ))?;
    } else {
        // A line break ends it already.
        output.line(text.trim_end_matches('\n'))?;
    }
    output.finish()?;
    // Not on standard output, which may hold the copy.
    eprintln!("when it is stored on another machine, say so: worldkeeper key confirm {}", key_file.fingerprint());
    Ok(Done::Well)
}

fn confirm(place: &Place, fingerprint: &str, stop: &Stop) -> anyhow::Result<Done> {
    let repository = place.existing_repository(Purpose::Read, Caller::Hand, stop)?;
    let key_file = export_key(&*repository, &place.key_files)?;
    place.state.repository(repository.id()).confirm_key(&key_file, fingerprint)??;
    let mut output = Output::new();
    output.line(&format!(
        "a copy of the key of the repository at {} is stored elsewhere, you say: it is not asked for until the key or its \
         passphrase changes",
        repository.location()
    ))?;
    output.finish()?;
    Ok(Done::Well)
}

/// Writes a file that its owner alone can read.
fn write(place: &Place, path: &Path, text: &str) -> Result<(), KeyCopyError> {
    let failed = |source| KeyCopyError::Write { path: path.to_owned(), source };
    match place.disk.metadata(path) {
        Ok(metadata) if metadata.kind != EntryKind::File => return Err(KeyCopyError::NotRegular(path.to_owned())),
        Err(error) if !error.is_not_found() => return Err(failed(error)),
        _ => {}
    }
    disk::replace(place.disk.as_ref(), path, text.as_bytes()).map_err(failed)
}

fn import(place: &Place, path: Option<&Path>, paper: bool, stop: &Stop) -> anyhow::Result<Done> {
    let repository = place.existing_repository(Purpose::Write, Caller::Hand, stop)?;
    let from = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let key_file = if paper && path.is_none() && io::stdin().is_terminal() {
        type_in(PaperReader::new(repository.id()))?
    } else {
        let text = read(place, path, &from)?;
        if paper {
            read_paper(PaperReader::new(repository.id()), &text, from)?
        } else {
            text.parse().map_err(|source| KeyCopyError::NoKey { from, source })?
        }
    };
    let (passphrase, origin) = place.known_passphrase()?;
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    let imported = import_key(&*repository, &place.key_files, &key_file, passphrase)?;
    let mut output = Output::new();
    output.line(&format!("the key of the repository at {} is put back", repository.location()))?;
    if imported == ImportedKey::OtherPassphrase {
        output.line(&format!("the passphrase {origin} does not open it: give the one that the copy was made under"))?;
    }
    output.finish()?;
    Ok(Done::with(u64::from(imported == ImportedKey::OtherPassphrase)))
}

fn read(place: &Place, path: Option<&Path>, from: &str) -> Result<String, KeyCopyError> {
    let bytes = if let Some(path) = path {
        disk::read(place.disk.as_ref(), path, key_files::LIMIT)?
    } else {
        let mut bytes = Vec::new();
        io::stdin().take(key_files::LIMIT).read_to_end(&mut bytes).map_err(KeyCopyError::Input)?;
        bytes
    };
    String::from_utf8(bytes).map_err(|_| KeyCopyError::NotText(from.to_owned()))
}

fn read_paper(mut reader: PaperReader, text: &str, from: String) -> Result<KeyFile, KeyCopyError> {
    for (index, line) in text.lines().enumerate() {
        match reader.line(line) {
            Ok(None) => {}
            Ok(Some(key_file)) => return Ok(key_file),
            Err(source) => return Err(KeyCopyError::Line { from, number: index + 1, source }),
        }
    }
    Err(KeyCopyError::Incomplete { from, expected: reader.expects() })
}

/// Lets somebody type the lines, and each of them again until it is right.
fn type_in(mut reader: PaperReader) -> Result<KeyFile, KeyCopyError> {
    let mut input = io::stdin().lock();
    loop {
        eprint!("{:>2}: ", reader.expects());
        io::stderr().flush().map_err(KeyCopyError::Input)?;
        let mut line = String::new();
        if input.read_line(&mut line).map_err(KeyCopyError::Input)? == 0 {
            return Err(KeyCopyError::Incomplete { from: "standard input".to_owned(), expected: reader.expects() });
        }
        match reader.line(&line) {
            Ok(None) => {}
            Ok(Some(key_file)) => return Ok(key_file),
            Err(error) => eprintln!("{error}; type line {} again", reader.expects()),
        }
    }
}

fn change_passphrase(place: &Place, new_passphrase_file: Option<&Path>, stop: &Stop) -> anyhow::Result<Done> {
    let new = secrets::new(new_passphrase_file, &place.settings, &place.environment)?;
    let mut session = place.session(Purpose::Write, Caller::Hand, stop)?;
    session.change_passphrase(new.text(), &place.key_files)?;
    place.keep_copies(&session, Purpose::Write);
    let (_, old_origin) = place.known_passphrase()?;
    let mut output = Output::new();
    output.line(&format!(
        "the passphrase of the repository at {} is the one from {} now; give it to the next run in place of the one \
         {old_origin}",
        session.location(),
        new.origin()
    ))?;
    output.line(
        "copies of the key that were made before still open with the old one: export new ones, destroy the old, \
         and confirm again that one is stored elsewhere",
    )?;
    output.finish()?;
    Ok(Done::Well)
}
