//! Key files where borg keeps them, so that stock and we find each other's.
//!
//! `BORG_KEY_FILE` names the one file. Else they lie in the directory `BORG_KEYS_DIR`, or `keys` in `BORG_CONFIG_DIR`,
//! or `borg/keys` in the user's configuration, and are told apart by their first lines: a file's name means nothing.
//! Where the environment knows no home, as in a bare container, the state directory has `keys`.
//!
//! Source: borg 1.4 `helpers/fs.py`, `get_keys_dir`; `crypto/key.py`, `KeyfileKey`; `helpers/parseformat.py`,
//! `Location.to_key_filename`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use worldkeeper_core::disk::{self, Disk, EntryKind};
use worldkeeper_core::{DiskError, RepositoryId};
use worldkeeper_crypto::{KeyFile, KeyFileError};
use worldkeeper_engine::{KeyStore, KeyStoreError};

use crate::settings::Environment;

/// No key file is longer, in bytes; stock's have less than a thousand.
pub(crate) const LIMIT: u64 = 64 * 1024;

/// Stock limits names to so many characters, before it adds a number.
const NAME_LIMIT: usize = 100;

/// The key files of a user.
#[derive(Clone)]
pub(crate) struct KeyFiles {
    disk: Arc<dyn Disk>,
    /// Where they are, unless the one file is named.
    directory: PathBuf,
    /// The one file.
    file: Option<PathBuf>,
}

impl KeyFiles {
    /// Finds out where they are; `state_dir` serves where the environment says nothing.
    pub(crate) fn new(disk: Arc<dyn Disk>, environment: &Environment, state_dir: &Path) -> Self {
        let absolute = |path: &OsStr| std::path::absolute(path).unwrap_or_else(|_| path.into());
        Self {
            disk,
            directory: absolute(directory(environment, state_dir).as_os_str()),
            file: environment.value("BORG_KEY_FILE").map(absolute),
        }
    }

    /// Where the key files are, for people.
    pub(crate) fn place(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.directory)
    }

    /// The file that holds the key of a repository, if there is one.
    pub(crate) fn path_of(&self, id: RepositoryId) -> Result<Option<PathBuf>, KeyStoreError> {
        Ok(self.look_up(id)?.map(|(path, _)| path))
    }

    /// The path and the content of a repository's key file.
    fn look_up(&self, id: RepositoryId) -> Result<Option<(PathBuf, KeyFile)>, KeyStoreError> {
        if let Some(path) = &self.file {
            let Some(text) = self.read(path)? else { return Ok(None) };
            let found = parse(path, &text, id)?.ok_or_else(|| KeyStoreError::NotTheKey { path: path.clone(), id })?;
            return Ok(Some((path.clone(), found)));
        }
        let mut damaged = None;
        for path in self.candidates()? {
            let Some(text) = self.read(&path)? else { continue };
            match parse(&path, &text, id) {
                Ok(None) => {}
                Ok(Some(key_file)) => return Ok(Some((path, key_file))),
                // There may be a whole one beside it.
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    /// The files of the directory, in order.
    fn candidates(&self) -> Result<Vec<PathBuf>, DiskError> {
        let entries = match self.disk.list(&self.directory) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.into_iter().filter(|(_, kind)| *kind != EntryKind::Directory);
        let mut paths: Vec<_> = paths.map(|(name, _)| self.directory.join(name)).collect();
        // One that was being written when the power went is none.
        paths.retain(|path| path.extension() != Some(OsStr::new("tmp")));
        paths.sort();
        Ok(paths)
    }

    /// The text of a file; `None` if it is not there, or can be no key file.
    fn read(&self, path: &Path) -> Result<Option<String>, DiskError> {
        let is_file = match self.disk.metadata(path) {
            Err(error) if error.is_not_found() => return Ok(None),
            metadata => metadata.map(|metadata| metadata.kind == EntryKind::File && metadata.len <= LIMIT)?,
        };
        // What is there under the very name that was given has to be looked at, whatever it is.
        if !is_file && self.file.is_none() {
            return Ok(None);
        }
        Ok(disk::read_if_there(self.disk.as_ref(), path, LIMIT)?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Where a new key file goes: under a name that nobody has.
    fn new_path(&self, location: &str) -> Result<PathBuf, DiskError> {
        let name = name_of(location);
        let mut path = self.directory.join(&name);
        let mut number = 1_u64;
        loop {
            match self.disk.metadata(&path) {
                Err(error) if error.is_not_found() => return Ok(path),
                taken => taken?,
            };
            number += 1;
            path = self.directory.join(format!("{name}.{number}"));
        }
    }

    /// Replaces a key file. Stock takes every file of the directory that begins like a key for one, whatever its name is,
    /// and a directory in it is an error to stock; so what will be the new one grows above it, where that is possible.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        if self.file.is_none()
            && let Some(name) = path.file_name()
        {
            let mut temporary = OsStr::new("key-").to_owned();
            temporary.push(name);
            temporary.push(".tmp");
            let temporary = disk::parent(&self.directory).join(temporary);
            if disk::replace_through(self.disk.as_ref(), path, &temporary, |file| file.append(bytes)).is_ok() {
                return Ok(());
            }
        }
        disk::replace(self.disk.as_ref(), path, bytes)
    }
}

impl KeyStore for KeyFiles {
    fn find(&self, id: RepositoryId) -> Result<Option<KeyFile>, KeyStoreError> {
        Ok(self.look_up(id)?.map(|(_, key_file)| key_file))
    }

    fn save(&self, key_file: &KeyFile, location: &str) -> Result<(), KeyStoreError> {
        let path = match self.look_up(key_file.repository_id) {
            Ok(None) => self.file.clone().map_or_else(|| self.new_path(location), Ok)?,
            Ok(Some((path, _))) | Err(KeyStoreError::Damaged { path, .. }) => path,
            Err(error) => return Err(error),
        };
        disk::create_dir_all(self.disk.as_ref(), disk::parent(&path))?;
        Ok(self.replace(&path, key_file.to_string().as_bytes())?)
    }
}

/// Reads a key file; `None` if it is not one of this repository's.
fn parse(path: &Path, text: &str, id: RepositoryId) -> Result<Option<KeyFile>, KeyStoreError> {
    if KeyFile::repository_id_of(text) != Some(id) {
        return Ok(None);
    }
    let damaged = |source: KeyFileError| KeyStoreError::Damaged { path: path.to_owned(), source };
    text.parse().map(Some).map_err(damaged)
}

fn directory(environment: &Environment, state_dir: &Path) -> PathBuf {
    let value = |name| environment.value(name).map(PathBuf::from);
    if let Some(directory) = value("BORG_KEYS_DIR") {
        return directory;
    }
    let of_user = || match value("BORG_BASE_DIR") {
        Some(base) => Some(base.join(".config")),
        None => value("XDG_CONFIG_HOME").or_else(|| Some(value("HOME")?.join(".config"))),
    };
    let configuration = value("BORG_CONFIG_DIR").or_else(|| Some(of_user()?.join("borg")));
    configuration.unwrap_or_else(|| state_dir.to_owned()).join("keys")
}

/// What stock calls the key file of the repository at a path.
fn name_of(location: &str) -> String {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let name: String = location.chars().map(|character| if is_word(character) { character } else { '_' }).collect();
    name.trim_matches('_').chars().take(NAME_LIMIT).collect()
}

#[cfg(test)]
mod tests;
