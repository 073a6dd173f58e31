//! Finds the archives again where the manifest is lost.
//!
//! Archives are objects like all others, so all of them are read. What looks like an archive may be the content of a
//! file that somebody had backed up to that end; only what the TAM proves is taken for one.
//!
//! Source: borg 1.4 `archive.py`, `ArchiveChecker.rebuild_manifest`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use worldkeeper_archive::{ArchiveEntry, ArchiveError, ArchiveMetadata, ArchiveName, Manifest};
use worldkeeper_core::{ChunkId, error_text};
use worldkeeper_crypto::tam::Tam;

use super::finding::Finding;
use super::reading::Reading;
use super::{Checker, Unproven};
use crate::session::{ManifestLoss, Session, SessionError};

/// An archive that was found: when it was begun, its name, and its object.
type Archive = (Timestamp, ArchiveName, ChunkId);

/// What an object turned out to be.
pub(super) enum Candidate {
    /// An archive.
    Archive(Box<ArchiveMetadata>),
    /// It says that it is an archive, and nothing proves it.
    Unproven(Box<ArchiveMetadata>, String),
}

/// Looks at the content of an object; `None` if it is not that of an archive.
pub(super) fn candidate(session: &Session, content: &[u8]) -> Option<Candidate> {
    // A map, and what every archive has. Most objects are told apart here.
    let is_map = content.first().is_some_and(|byte| byte & 0xf0 == 0x80 || *byte == 0xde);
    if !is_map {
        return None;
    }
    match ArchiveMetadata::decode(session.key(), content) {
        Ok((metadata, Tam::Missing)) if session.requires_tam() => {
            Some(Candidate::Unproven(metadata.into(), "it has no TAM".to_owned()))
        }
        Ok((metadata, _)) => Some(Candidate::Archive(metadata.into())),
        Err(ArchiveError::Tam(error)) => {
            let metadata = ArchiveMetadata::decode_unverified(content).ok()?;
            Some(Candidate::Unproven(metadata.into(), error_text(&error)))
        }
        Err(_) => None,
    }
}

impl Checker<'_> {
    /// Makes a manifest of the archives that are found.
    ///
    /// # Errors
    ///
    /// [`SessionError::ShorterList`] if a repair would leave archives out that nothing proves, and no others are found, or a
    /// manifest lists them: it may be right, and whoever repairs next could delete what is listed no more.
    pub(super) fn rebuild_manifest(&mut self, ids: &[ChunkId], loss: &ManifestLoss) -> Result<(), SessionError> {
        let mut reading = Reading::new(self.session, self.options.repair);
        let mut archives: Vec<Archive> = Vec::new();
        for id in ids.iter().filter(|id| **id != ChunkId::MANIFEST) {
            self.session.check_stop()?;
            if !self.objects.contains(id) {
                continue;
            }
            let content = match reading.content(id)? {
                Ok(content) => content,
                // Where all objects were read before, this one was named.
                Err(_) if self.options.verify_data => continue,
                Err(problem) => {
                    let what = format!("could be an archive, but cannot be read: {}", error_text(&problem.source));
                    self.found(&Finding::problem(what).of(*id));
                    continue;
                }
            };
            self.progress(0, content.len() as u64);
            match candidate(self.session, &content) {
                Some(Candidate::Archive(metadata)) => archives.push((metadata.time, metadata.name, *id)),
                Some(Candidate::Unproven(metadata, why)) => {
                    self.found_unproven(&Unproven { id: *id, items: metadata.items }, &metadata.name, &why);
                }
                None => {}
            }
        }
        self.require_whole_list(&archives, loss)?;
        // Whatever order they came in, the same archives get the same names.
        archives.sort();
        self.manifest.archives.clear();
        for (time, name, id) in archives {
            let listed = free_name(&self.manifest, &name);
            let what =
                if listed == name { "is found again".to_owned() } else { format!("is found again, as {listed}") };
            self.found(&Finding::note(what).in_archive(&name).of(id));
            self.manifest.archives.insert(listed, ArchiveEntry { id, time });
        }
        self.is_changed = true;
        if self.manifest.archives.is_empty() {
            // That every archive is lost and nothing else is too unlikely to clear away the rest for it.
            self.knows_all_references = false;
        }
        Ok(())
    }

    /// Requires that nothing of a list that may be right would be lost, and that there would be one.
    fn require_whole_list(&mut self, found: &[Archive], loss: &ManifestLoss) -> Result<(), SessionError> {
        let (count, is_listed) = match loss {
            ManifestLoss::Unproven { listed, .. } => {
                let found: BTreeSet<_> = found.iter().map(|(_, _, id)| id).collect();
                (listed.iter().filter(|id| self.objects.contains(id) && !found.contains(id)).count(), true)
            }
            _ => (0, false),
        };
        let error = match count {
            0 if !found.is_empty() || self.unproven.is_empty() => return Ok(()),
            0 => SessionError::ShorterList { count: self.unproven.len(), is_listed: false },
            count => SessionError::ShorterList { count, is_listed },
        };
        if self.options.repair {
            return Err(error);
        }
        let cure = if is_listed {
            "; if a borg before 1.0.9 wrote the manifest, `borg upgrade --tam --force` of a later one proves it"
        } else {
            ""
        };
        self.found(&Finding::problem(format!("--repair would end with: {}{cure}", error_text(&error))));
        Ok(())
    }

    /// Names something that says it is an archive, and keeps all it refers to.
    pub(super) fn found_unproven(&mut self, unproven: &Unproven, name: &ArchiveName, why: &str) {
        let what = format!(
            "somebody without the key may have made it: {why}. It is not listed again, and nothing of it is deleted"
        );
        self.found(&Finding::problem(what).in_archive(name).of(unproven.id));
        self.unproven.push(unproven.clone());
    }
}

/// The name, or another one if it is taken: `name.1`, as stock makes it.
fn free_name(manifest: &Manifest, name: &ArchiveName) -> ArchiveName {
    let numbered = |number| ArchiveName::from_bytes([name.as_bytes(), format!(".{number}").as_bytes()].concat());
    let mut free = name.clone();
    let mut number = 0u64;
    while manifest.archives.contains_key(&free) {
        number += 1;
        free = numbered(number);
    }
    free
}
