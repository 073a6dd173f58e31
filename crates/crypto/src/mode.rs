//! The seven ways in which a repository can be keyed.

use std::fmt;
use std::str::FromStr;

/// What protects a repository's objects; chosen at its creation and never changed.
///
/// | mode                   | type byte | key blob    | id hash             | object                    |
/// |------------------------|-----------|-------------|---------------------|---------------------------|
/// | `none`                 | 0x02      | -           | SHA-256(data)       | type ‖ payload            |
/// | `keyfile`              | 0x00      | key file    | HMAC-SHA-256        | encrypted, HMAC-SHA-256   |
/// | `repokey`              | 0x03      | repository  | HMAC-SHA-256        | encrypted, HMAC-SHA-256   |
/// | `authenticated`        | 0x07      | repository  | HMAC-SHA-256        | type ‖ payload            |
/// | `keyfile-blake2`       | 0x04      | key file    | BLAKE2b(key ‖ data) | encrypted, BLAKE2b        |
/// | `repokey-blake2`       | 0x05      | repository  | BLAKE2b(key ‖ data) | encrypted, BLAKE2b        |
/// | `authenticated-blake2` | 0x06      | repository  | BLAKE2b(key ‖ data) | type ‖ payload            |
///
/// Source: borg 1.4 `crypto/key.py`, `AVAILABLE_KEY_TYPES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncryptionMode {
    /// No key at all; ids are plain hashes.
    None,
    /// Encrypted; the key blob lies in a file on the client.
    Keyfile,
    /// Encrypted; the key blob lies in the repository's `config`.
    Repokey,
    /// Not encrypted; ids and TAMs are keyed.
    Authenticated,
    /// As `Keyfile`, with BLAKE2b.
    KeyfileBlake2,
    /// As `Repokey`, with BLAKE2b.
    RepokeyBlake2,
    /// As `Authenticated`, with BLAKE2b.
    AuthenticatedBlake2,
}

/// Where a mode keeps its key blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStorage {
    /// There is no key.
    Nowhere,
    /// In a key file beside the client's configuration.
    KeyFile,
    /// Under `key` in the repository's `config`.
    Repository,
}

/// The text names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no encryption mode of borg 1.x")]
pub struct UnknownMode(pub String);

/// The first byte of an object, if there is one, belongs to no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTypeByte {
    /// There is no byte at all.
    #[error("the object is empty")]
    Empty,
    /// A byte that borg 1.x does not use.
    #[error("type byte {0:#04x} is not known to borg 1.x")]
    Unknown(u8),
}

impl EncryptionMode {
    /// All modes, in the order borg lists them.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Keyfile,
        Self::Repokey,
        Self::Authenticated,
        Self::KeyfileBlake2,
        Self::RepokeyBlake2,
        Self::AuthenticatedBlake2,
    ];

    /// The first byte of every object.
    pub fn type_byte(self) -> u8 {
        match self {
            Self::Keyfile => 0x00,
            Self::None => 0x02,
            Self::Repokey => 0x03,
            Self::KeyfileBlake2 => 0x04,
            Self::RepokeyBlake2 => 0x05,
            Self::AuthenticatedBlake2 => 0x06,
            Self::Authenticated => 0x07,
        }
    }

    /// Tells the mode of the repository that `object` is from.
    ///
    /// The type byte 0x01 of the passphrase mode, dead since borg 1.0, counts as `repokey`, as in stock.
    pub fn of_object(object: &[u8]) -> Result<Self, UnknownTypeByte> {
        match *object.first().ok_or(UnknownTypeByte::Empty)? {
            PASSPHRASE_TYPE_BYTE => Ok(Self::Repokey),
            byte => Self::ALL.into_iter().find(|mode| mode.type_byte() == byte).ok_or(UnknownTypeByte::Unknown(byte)),
        }
    }

    /// The word for `--encryption`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Keyfile => "keyfile",
            Self::Repokey => "repokey",
            Self::Authenticated => "authenticated",
            Self::KeyfileBlake2 => "keyfile-blake2",
            Self::RepokeyBlake2 => "repokey-blake2",
            Self::AuthenticatedBlake2 => "authenticated-blake2",
        }
    }

    /// Where the key blob is kept.
    pub fn key_storage(self) -> KeyStorage {
        match self {
            Self::None => KeyStorage::Nowhere,
            Self::Keyfile | Self::KeyfileBlake2 => KeyStorage::KeyFile,
            Self::Repokey | Self::RepokeyBlake2 | Self::Authenticated | Self::AuthenticatedBlake2 => {
                KeyStorage::Repository
            }
        }
    }

    /// Returns whether objects are encrypted, so that counter values are used up.
    pub fn encrypts(self) -> bool {
        matches!(self, Self::Keyfile | Self::Repokey | Self::KeyfileBlake2 | Self::RepokeyBlake2)
    }

    /// Returns whether ids and MACs are BLAKE2b.
    pub fn uses_blake2(self) -> bool {
        matches!(self, Self::KeyfileBlake2 | Self::RepokeyBlake2 | Self::AuthenticatedBlake2)
    }
}

impl fmt::Display for EncryptionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for EncryptionMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| UnknownMode(text.into()))
    }
}

/// Borg's passphrase mode; new objects of such a repository are written as `repokey`.
pub(crate) const PASSPHRASE_TYPE_BYTE: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_type_bytes_lead_back_to_the_mode() {
        for mode in EncryptionMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(EncryptionMode::of_object(&[mode.type_byte(), 1, 2]), Ok(mode));
        }
    }

    #[test]
    fn what_borg_1_does_not_know_is_named() {
        assert_eq!(EncryptionMode::of_object(&[]), Err(UnknownTypeByte::Empty));
        // 0x10 and 0x20 are borg 2's first ones.
        for byte in (0x08..=0xff).rev() {
            assert_eq!(EncryptionMode::of_object(&[byte]), Err(UnknownTypeByte::Unknown(byte)));
        }
        assert_eq!("repokey-aes-ocb".parse::<EncryptionMode>(), Err(UnknownMode("repokey-aes-ocb".into())));
        assert!("Repokey".parse::<EncryptionMode>().is_err());
    }

    #[test]
    fn the_dead_passphrase_mode_counts_as_repokey() {
        assert_eq!(EncryptionMode::of_object(&[0x01]), Ok(EncryptionMode::Repokey));
    }
}
