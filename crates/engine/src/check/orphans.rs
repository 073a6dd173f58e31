//! Objects that nothing refers to.
//!
//! They take space and nothing else, so a repair clears them away, once everything that could refer to them was read.
//! One that says that it is an archive, and of which nothing proves who made it, is no rubbish: whether it is kept is for
//! a person to decide.

use worldkeeper_core::ChunkId;

use super::finding::Finding;
use super::items::{ItemWalk, Step};
use super::manifest::{Candidate, candidate};
use super::reading::Reading;
use super::{Checker, Unproven};
use crate::session::SessionError;

impl Checker<'_> {
    /// Looks for orphans, and clears away what a repair has superseded.
    pub(super) fn orphans(&mut self) -> Result<(), SessionError> {
        for unproven in std::mem::take(&mut self.unproven) {
            self.keep(&unproven)?;
        }
        let (_, orphaned) = self.objects.unused();
        if self.options.repair && self.knows_all_references {
            self.keep_unproven_orphans(&orphaned)?;
        }
        let (superseded, orphaned) = self.objects.unused();
        if !orphaned.is_empty() {
            let (count, deletes) = (orphaned.len(), self.options.repair && self.knows_all_references);
            let what = match (self.knows_all_references, self.options.repair) {
                (true, true) => "they are deleted",
                (true, false) => "--repair deletes them",
                (false, _) => "they are kept, for not everything that may refer to them could be read",
            };
            self.found(&Finding::problem(format!("nothing refers to {count} of the objects; {what}")).mended(deletes));
        }
        if !self.knows_all_references {
            return Ok(());
        }
        let Some(repair) = &mut self.repair else { return Ok(()) };
        for id in superseded.into_iter().chain(orphaned) {
            self.session.check_stop()?;
            repair.change.delete(id)?;
            self.objects.remove(&id);
            self.report.deleted_objects += 1;
            self.is_changed = true;
        }
        Ok(())
    }

    fn keep_unproven_orphans(&mut self, orphaned: &[ChunkId]) -> Result<(), SessionError> {
        let mut reading = Reading::new(self.session, true);
        for id in orphaned {
            self.session.check_stop()?;
            let Ok(content) = reading.content(id)? else { continue };
            if let Some(Candidate::Unproven(metadata, why)) = candidate(self.session, &content) {
                let unproven = Unproven { id: *id, items: metadata.items };
                self.found_unproven(&unproven, &metadata.name, &why);
            }
        }
        for unproven in std::mem::take(&mut self.unproven) {
            self.keep(&unproven)?;
        }
        Ok(())
    }

    /// Counts an archive of which nothing is proven among those that refer to objects.
    fn keep(&mut self, unproven: &Unproven) -> Result<(), SessionError> {
        let item_keys = self.manifest.item_keys.clone();
        let reading = Reading::new(self.session, self.options.repair);
        let mut walk = ItemWalk::new(reading, &unproven.items, &item_keys, &self.objects);
        while let Some(step) = walk.next()? {
            match step {
                Step::Item(item) => {
                    item.chunks().into_iter().flatten().for_each(|chunk| self.objects.refer_to(&chunk.id));
                }
                // It cannot be told from a forgery, and a forgery must not keep anybody from clearing up.
                Step::Problem { .. } | Step::TooLong { .. } => {}
            }
        }
        unproven.items.iter().chain([&unproven.id]).for_each(|id| self.objects.refer_to(id));
        Ok(())
    }
}
