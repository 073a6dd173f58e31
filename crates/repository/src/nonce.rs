//! The file `nonce`: the first counter value that no client has reserved, as 16 hex digits.

use std::io::ErrorKind;
use std::path::Path;

use worldkeeper_core::disk;
use worldkeeper_core::{Disk, RepositoryError, error_text};

const NAME: &str = "nonce";

/// More than the file has; what is longer is damaged.
const MAX_NONCE_BYTES: u64 = 4096;

/// Reads the file; `None` if it is missing: nothing was reserved yet.
pub(crate) fn load(disk: &dyn Disk, repository: &Path) -> Result<Option<u64>, RepositoryError> {
    let bytes = match disk::read_if_there(disk, &repository.join(NAME), MAX_NONCE_BYTES) {
        // Too long.
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(RepositoryError::NonceDamaged(error_text(&error)));
        }
        read => read?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let text = bytes.trim_ascii();
    let mut number = [0; 8];
    if hex::decode_to_slice(text, &mut number).is_err() {
        let shown = String::from_utf8_lossy(&text[..text.len().min(32)]).into_owned();
        return Err(RepositoryError::NonceDamaged(format!("it holds {shown:?}, expected 16 hex digits")));
    }
    Ok(Some(u64::from_be_bytes(number)))
}

/// Replaces the file, durably, if it still says `current`.
pub(crate) fn reserve(
    disk: &dyn Disk,
    repository: &Path,
    next: u64,
    current: Option<u64>,
) -> Result<(), RepositoryError> {
    let found = load(disk, repository)?;
    if found != current {
        return Err(RepositoryError::NonceConflict { expected: current, found });
    }
    store(disk, repository, next)
}

/// Replaces the file, durably, if nobody can read it.
pub(crate) fn replace_damaged(disk: &dyn Disk, repository: &Path, next: u64) -> Result<(), RepositoryError> {
    match load(disk, repository) {
        Err(RepositoryError::NonceDamaged(_)) => store(disk, repository, next),
        Ok(found) => Err(RepositoryError::NonceConflict { expected: None, found }),
        Err(error) => Err(error),
    }
}

fn store(disk: &dyn Disk, repository: &Path, next: u64) -> Result<(), RepositoryError> {
    Ok(disk::replace(disk, &repository.join(NAME), format!("{next:016x}").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsDisk;

    #[test]
    fn a_reservation_needs_the_value_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(load(&OsDisk, path).unwrap(), None);
        let conflict = reserve(&OsDisk, path, 9, Some(0)).unwrap_err();
        assert!(matches!(conflict, RepositoryError::NonceConflict { expected: Some(0), found: None }));
        reserve(&OsDisk, path, 0x8000_05c8, None).unwrap();
        assert_eq!(std::fs::read(path.join("nonce")).unwrap(), b"00000000800005c8");
        let conflict = reserve(&OsDisk, path, 9, None).unwrap_err();
        assert!(matches!(conflict, RepositoryError::NonceConflict { expected: None, found: Some(0x8000_05c8) }));
        reserve(&OsDisk, path, u64::MAX, Some(0x8000_05c8)).unwrap();
        assert_eq!(load(&OsDisk, path).unwrap(), Some(u64::MAX));
    }

    #[test]
    fn anything_but_16_hex_digits_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let segment = "BORG_SEG".repeat(1000);
        for content in
            ["", "0", "00000000800005c", "00000000800005c80", "BORG_SEG00000000", "000000008000 5c8", &segment]
        {
            std::fs::write(directory.path().join(NAME), content).unwrap();
            let error = load(&OsDisk, directory.path()).unwrap_err();
            assert!(matches!(error, RepositoryError::NonceDamaged(_)), "{content:?}");
            assert!(matches!(reserve(&OsDisk, directory.path(), 9, None), Err(RepositoryError::NonceDamaged(_))));
            replace_damaged(&OsDisk, directory.path(), 0x800).unwrap();
            assert_eq!(load(&OsDisk, directory.path()).unwrap(), Some(0x800));
        }
        let refused = replace_damaged(&OsDisk, directory.path(), 0x900).unwrap_err();
        assert!(matches!(refused, RepositoryError::NonceConflict { found: Some(0x800), .. }), "it is in order now");
        std::fs::write(directory.path().join(NAME), "00000000800005C8\n").unwrap();
        assert_eq!(load(&OsDisk, directory.path()).unwrap(), Some(0x8000_05c8));
    }
}
