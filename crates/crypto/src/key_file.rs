//! The text of a key file, which is also what `key export` writes.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use worldkeeper_core::RepositoryId;

use crate::blob::{KeyBlob, KeyBlobError};
use crate::paper::{PaperError, PaperKey, PaperReader};

/// A key blob, and the repository it is for.
///
/// The first line is `BORG_KEY ` and the repository's id in hex, the key blob's text follows.
///
/// Source: borg 1.4 `crypto/key.py`, `KeyfileKey.sanity_check`, `save`; `crypto/keymanager.py`, `store_keyfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The repository that the file says the key is for.
    pub repository_id: RepositoryId,
    /// The key under its passphrase.
    pub blob: KeyBlob,
}

/// Why a text is no key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The first line is not that of a key file.
    #[error("the text does not begin with {ID:?} and a repository id: it is no key file")]
    FirstLine,
    /// The rest is not a key.
    #[error("the key file holds no key")]
    Blob(#[from] KeyBlobError),
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{ID} {}\n{}", self.repository_id, self.blob)
    }
}

impl KeyFile {
    /// The repository that a text is for, by its first line; `None` if that is not one of a key file.
    pub fn repository_id_of(text: &str) -> Option<RepositoryId> {
        let (first, _) = text.split_once('\n')?;
        first.trim_ascii_end().strip_prefix(ID)?.strip_prefix(' ')?.parse().ok()
    }

    /// What a copy is known by to whoever has seen it: the first 64 bits of the SHA-256 of its text, such as
    /// `5c1e-09ab-77d0-f3e2`. Another passphrase makes it another one. It is no secret, and opens nothing.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.to_string());
        let groups = digest.chunks(2).take(4).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]));
        groups.collect::<Vec<_>>().join("-")
    }
}

impl FromStr for KeyFile {
    type Err = KeyFileError;

    fn from_str(text: &str) -> Result<Self, KeyFileError> {
        let repository_id = Self::repository_id_of(text).ok_or(KeyFileError::FirstLine)?;
        let (_, rest) = text.split_once('\n').ok_or(KeyFileError::FirstLine)?;
        Ok(Self { repository_id, blob: rest.parse()? })
    }
}

const ID: &str = "BORG_KEY";

/// Body of a fuzz target: any text gives a key file or an error, and what is read is written and read again alike, on
/// paper too.
pub fn fuzz_key_file(text: &str) {
    let Ok(key_file) = text.parse::<KeyFile>() else { return };
    assert_eq!(key_file.to_string().parse(), Ok(key_file.clone()));
    let mut paper = PaperReader::new(key_file.repository_id);
    let paper = PaperKey(&key_file).to_string().lines().try_fold(None, |found, line| Ok(paper.line(line)?.or(found)));
    // Of a blob that fills more lines than anybody types, there is no paper.
    assert!(paper == Ok(Some(key_file)) || matches!(paper, Err(PaperError::Form { .. })));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncryptionMode, Key};

    #[test]
    fn what_is_no_key_file_is_refused_by_its_first_line() {
        let repository_id = RepositoryId([0xab; 32]);
        let key = Key::generate(EncryptionMode::Keyfile, repository_id, &mut |bytes| bytes.fill(1));
        let key_file = KeyFile { repository_id, blob: KeyBlob::seal(&key, "p", &mut |salt| salt.fill(1)) };
        let text = key_file.to_string();
        assert_eq!(text.parse(), Ok(key_file.clone()));
        assert_eq!(text.replace('\n', "\r\n").parse(), Ok(key_file), "edited on Windows");

        let id = "ab".repeat(32);
        for first in
            ["", "BORG_KEY", "BORG_KEYS x", "BORG PAPER KEY v1", &format!("BORG_KEY  {id}"), &format!("BORG_KEY {id}0")]
        {
            let other = text.replace(&format!("BORG_KEY {id}"), first);
            assert_eq!(other.parse::<KeyFile>(), Err(KeyFileError::FirstLine), "{first}");
        }
        let cut = text.trim_end().strip_suffix('=').unwrap_or(&text[..text.len() - 3]);
        assert_eq!(cut.parse::<KeyFile>(), Err(KeyBlobError::NotBase64.into()));
    }
}
