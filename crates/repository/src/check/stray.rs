//! What lies in the directory of a repository beside its segments and state files.
//!
//! Everybody passes over names that are none of theirs, so none of this does harm, and a repair touches none of it but
//! what another repair has left: a file that nobody knows may be dear to somebody.

use std::ffi::OsStr;
use std::path::Path;

use worldkeeper_core::RepositoryError;
use worldkeeper_core::disk::EntryKind;
use worldkeeper_core::repository::Finding;

use super::Report;
use crate::segment::{is_beside, parse_number};
use crate::{LocalRepository, nonce};

impl LocalRepository {
    /// Tells what does not belong into the repository, and whether its small files can be read.
    pub(super) fn look_for_strays(&self, report: &mut Report<'_>) -> Result<(), RepositoryError> {
        if let Err(error) = nonce::load(&*self.disk, &self.path) {
            match error {
                // How far the counter must go on only the key's owner can say, and no object is worse for it.
                RepositoryError::NonceDamaged(_) => {
                    report.found(&Finding::note(format!("{error}; that is up to the check of the archives")));
                }
                error => return Err(error),
            }
        }
        let data = self.path.join("data");
        let directories = match self.disk.list(&data) {
            // The search for segments will say so.
            Err(error) if error.is_not_found() => return Ok(()),
            result => result?,
        };
        for (name, kind) in directories {
            match (number(&name), kind) {
                (Some(_), EntryKind::Directory) => self.look_for_strays_in(&data.join(&name), report)?,
                // Perhaps a symlink to a directory, which is followed.
                (Some(_), EntryKind::Other) => {}
                _ => report.found(&stray(&Path::new("data").join(name))),
            }
        }
        Ok(())
    }

    fn look_for_strays_in(&self, directory: &Path, report: &mut Report<'_>) -> Result<(), RepositoryError> {
        for (name, kind) in self.disk.list(directory)? {
            if number(&name).is_none() || kind == EntryKind::Directory {
                let path = directory.join(name);
                report.found(&stray(path.strip_prefix(&self.path).unwrap_or(&path)));
            }
        }
        Ok(())
    }
}

fn number(name: &OsStr) -> Option<u32> {
    name.to_str().and_then(parse_number)
}

fn stray(path: &Path) -> Finding {
    let name = path.file_name().unwrap_or_default();
    let what = if is_beside(name) {
        "was left by a repair that was interrupted; the next one removes it"
    } else if name.as_encoded_bytes().starts_with(b".nfs") {
        "does not belong into a repository: it was removed while somebody had it open over NFS"
    } else {
        "does not belong into a repository, and is passed over"
    };
    Finding::note(format!("{} {what}", path.display()))
}
