//! Which archives prove who made them.
//!
//! The manifest vouches for every archive that it lists, but not for who has put it together: borg 1.2.4 and older list
//! archives that nothing proves, and so might somebody who had the key once. Such an archive is shown and, where it is asked
//! for by name, read; but nothing is decided by it on its own: it is never the newest one, never keeps another one's
//! place when archives are pruned, and goes only when somebody says so.

use std::collections::BTreeSet;

use worldkeeper_archive::ArchiveName;

use super::archive::{ArchiveInfo, ArchiveProblem, OpenArchive};
use super::{Session, SessionError};

/// Archives, told apart by whether they prove that somebody with the key made them. Both kinds are in the order in which
/// they were given.
#[derive(Debug, Default)]
pub struct Proofs {
    /// Those that do, or need not.
    pub proven: Vec<ArchiveInfo>,
    /// Those that do not, and why. What cannot be read proves nothing either.
    pub unproven: Vec<(ArchiveInfo, ArchiveProblem)>,
    /// Of those that do, the ones that say themselves that they hold no file; borg before 1.2 does not say.
    pub without_files: BTreeSet<ArchiveName>,
}

impl Session {
    /// Tells archives apart. Reads the metadata of each. One that cannot be read is unproven, whatever the reason: all
    /// others are told apart as well as ever.
    ///
    /// # Errors
    ///
    /// If a stop was asked for.
    pub fn prove(&self, archives: Vec<ArchiveInfo>) -> Result<Proofs, SessionError> {
        let mut proofs = Proofs::default();
        self.repository().will_read(&mut archives.iter().map(|archive| archive.id.into()));
        for archive in archives {
            self.check_stop()?;
            match self.look_at(&archive)? {
                (opened, None) => {
                    if opened.is_some_and(|opened| opened.metadata.nfiles == Some(0)) {
                        proofs.without_files.insert(archive.name.clone());
                    }
                    proofs.proven.push(archive);
                }
                (_, Some(problem)) => proofs.unproven.push((archive, problem)),
            }
        }
        Ok(proofs)
    }

    /// Returns what keeps an archive from proving that somebody with the key made it, if something does.
    ///
    /// # Errors
    ///
    /// If a stop was asked for.
    pub fn unproven(&self, archive: &ArchiveInfo) -> Result<Option<ArchiveProblem>, SessionError> {
        Ok(self.look_at(archive)?.1)
    }

    /// What an archive says of itself, if it can be read, and what keeps it from proving it.
    fn look_at(&self, archive: &ArchiveInfo) -> Result<(Option<OpenArchive>, Option<ArchiveProblem>), SessionError> {
        match self.read_metadata(archive) {
            Ok((opened, problem)) => Ok((Some(opened), problem)),
            Err(error) if error.is_stopped() => Err(error),
            Err(SessionError::Archive(broken)) => Ok((None, Some(broken.source))),
            Err(SessionError::Object(error)) => Ok((None, Some(error.into()))),
            Err(error) => Err(error),
        }
    }
}
