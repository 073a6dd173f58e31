//! Whether what is lost is in the repository still, as it was before it was deleted or something else put in its place.
//!
//! Only `undelete` brings it back, and only until a compaction, so it is said whenever something is wrong. That takes reading
//! all of the repository once more.

use std::collections::HashSet;

use worldkeeper_archive::{Manifest, TamPolicy};
use worldkeeper_core::{ChunkId, RepositoryError, error_text};

use super::Checker;
use super::finding::Finding;
use crate::session::SessionError;

/// Of so many objects it is looked up, and told. Where more are lost, these are enough to say that something can be done.
pub(super) const MOST: usize = 1000;

impl Checker<'_> {
    /// Says of which lost objects there are earlier versions that are what they should be. That it cannot be known takes nothing from
    /// what was found before.
    pub(super) fn earlier(&mut self, is_manifest_lost: bool) -> Result<(), SessionError> {
        match self.look_for_earlier(is_manifest_lost) {
            Err(error) if !error.is_stopped() => {
                let why = error_text(&error);
                self.found(&Finding::note(format!("earlier versions of what is lost could not be looked for: {why}")));
                Ok(())
            }
            looked => looked,
        }
    }

    fn look_for_earlier(&mut self, is_manifest_lost: bool) -> Result<(), SessionError> {
        let lost = std::mem::take(&mut self.lost);
        if lost.is_empty() && !is_manifest_lost {
            return Ok(());
        }
        let (session, repository) = (self.session, self.session.repository());
        let earlier: HashSet<_> = match repository.earlier_ids() {
            Ok(ids) => ids.into_iter().filter(|id| lost.contains(id) || *id == ChunkId::MANIFEST).collect(),
            // One that cannot tell is looked at where it lies.
            Err(RepositoryError::Unsupported(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut reader = session.reader();
        if is_manifest_lost && earlier.contains(&ChunkId::MANIFEST) {
            let found = repository.find_earlier(&ChunkId::MANIFEST, &mut |object| {
                let packed = reader.open_content(object.clone());
                packed.is_ok_and(|packed| Manifest::decode(session.key(), &packed, TamPolicy::Required).is_ok())
            })?;
            if found.is_some() {
                self.found_earlier(&Finding::note(format!("an earlier manifest is whole, and {STILL_THERE}")));
            }
        }
        for id in lost.iter().filter(|id| earlier.contains(id)) {
            session.check_stop()?;
            if reader.read(id, None).is_ok() {
                // It is something else that is the matter with it.
                continue;
            }
            let found = repository.find_earlier(id, &mut |object| reader.open_as(id, object.clone()).is_ok())?;
            if found.is_some() {
                let what = format!("an earlier version of it is whole, and {STILL_THERE}");
                self.found_earlier(&Finding::note(what).of(*id));
            }
        }
        Ok(())
    }

    fn found_earlier(&mut self, finding: &Finding) {
        self.report.earlier_objects += 1;
        self.found(finding);
    }
}

const STILL_THERE: &str = "still in the repository until that is compacted: `worldkeeper undelete` brings it back";
