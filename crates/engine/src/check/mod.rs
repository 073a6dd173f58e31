//! Checks archives and what they are made of, and mends what can be mended.
//!
//! This is borg's second phase; the [first](worldkeeper_core::Repository::check) has looked after the stored bytes. Here
//! the question is what they mean: is there a manifest, does each archive have its list of items, each file its content,
//! and does each object belong to something?
//!
//! ```text
//! every object (only if asked) ─ manifest, or all archives that can be found ─ each archive ─ what is left over ─ COMMIT
//! ```
//!
//! A check without repair writes nothing at all. A repair is one transaction: it is committed at the end, or nothing has
//! happened, and the next one finds what this one found. What verifies and is referred to is never dropped.
//!
//! Source: borg 1.4 `archive.py`, `ArchiveChecker`.

mod ahead;
mod archive;
mod earlier;
mod file;
mod finding;
mod items;
mod manifest;
mod objects;
mod orphans;
mod reading;
mod repack;
mod stored;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use worldkeeper_archive::{ChunkRef, Manifest, Operation};
use worldkeeper_core::repository::Severity;
use worldkeeper_core::{ChunkId, error_text};

use crate::monitor::{Monitor, Notice, Progress};
use crate::pipeline::default_workers;
use crate::session::{ArchiveInfo, Change, ManifestLoss, Session, SessionError};
pub(crate) use archive::is_name_of;
pub use finding::Finding;
use objects::Objects;
use repack::Store;
pub use stored::check_stored;
use verify::Verified;

/// What to check, and whether to mend it.
#[derive(Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Mend what can be mended.
    pub repair: bool,
    /// Read every object, not only those that lists are made of.
    pub verify_data: bool,
    /// Chooses the archives that are checked, of all, oldest first. With `None`, all are, and orphans are looked for.
    pub choose: Option<&'a dyn Fn(Vec<ArchiveInfo>) -> Vec<ArchiveInfo>>,
    /// Threads that read objects; at least one. With one, lists of items are not read ahead either.
    pub workers: usize,
}

impl Default for CheckOptions<'_> {
    /// All archives, on all processors, without repair.
    fn default() -> Self {
        Self { repair: false, verify_data: false, choose: None, workers: default_workers() }
    }
}

/// How a check of the archives ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchivesCheck {
    /// Objects in the repository.
    pub objects: u64,
    /// Objects whose content was read and compared with their ids, all of them or none.
    pub verified_objects: u64,
    /// Their stored size in bytes.
    pub verified_bytes: u64,
    /// Archives that were checked.
    pub archives: u64,
    /// Files of any kind in them.
    pub items: u64,
    /// Files of which a part is lost.
    pub damaged_files: u64,
    /// Findings that are problems.
    pub problems: u64,
    /// The problems that are still there: all of them without a repair.
    pub remaining: u64,
    /// Of those, that nothing proves who made an archive: no damage, and nothing that a repair mends.
    pub unproven: u64,
    /// Archives that a repair has written anew.
    pub rewritten_archives: u64,
    /// Objects that a repair has deleted.
    pub deleted_objects: u64,
    /// A repair has changed something.
    pub is_changed: bool,
    /// Lost objects of which there are earlier versions that are whole, as far as was looked: [`undelete`](crate::undelete())
    /// may bring back what needs them.
    pub earlier_objects: u64,
}

impl ArchivesCheck {
    /// Returns whether all is in order now.
    pub fn is_sound(&self) -> bool {
        self.remaining == 0
    }
}

/// Checks the archives of a repository. `loss` is what [`Session::open_for_check`] said of the manifest.
///
/// # Errors
///
/// That something is wrong is no error but an [`ArchivesCheck`] that counts it. After an error nothing is changed.
pub fn check(
    session: &mut Session,
    loss: Option<&ManifestLoss>,
    options: &CheckOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<ArchivesCheck, SessionError> {
    session.require_feature(Operation::Check)?;
    let (report, committed) = {
        let ids = session.object_ids()?;
        let mut checker = Checker::new(session, &ids, options, monitor)?;
        let objects = ids.iter().filter(|id| **id != ChunkId::MANIFEST).count();
        checker.report.objects = objects as u64;
        checker.counter()?;
        if let Some(loss) = loss {
            checker.manifest_lost(loss)?;
        }
        checker.run(&ids, loss)?;
        checker.finish()?
    };
    if report.problems > 0 {
        // What it says is there may be lost. Made anew, it lets the next backup store that again.
        session.forget_index()?;
    }
    if let Some(committed) = committed {
        session.committed_without_index(committed)?;
    }
    Ok(report)
}

/// A check that is under way.
struct Checker<'a> {
    session: &'a Session,
    options: &'a CheckOptions<'a>,
    monitor: &'a dyn Monitor,
    objects: Objects,
    /// The manifest as it is, or as it is to be.
    manifest: Manifest,
    repair: Option<Repair<'a>>,
    /// What says that it is an archive, is not listed, and is kept.
    unproven: Vec<Unproven>,
    /// Objects that something is the matter with; not all of them where they are many.
    lost: BTreeSet<ChunkId>,
    /// Everything that may refer to an object is known, so what nothing refers to is rubbish.
    knows_all_references: bool,
    is_changed: bool,
    progress: Progress,
    report: ArchivesCheck,
}

/// What a repair needs.
struct Repair<'a> {
    change: Change<'a>,
    store: Store<'a>,
    /// Chunks of zeros, by their size.
    zeros: BTreeMap<u32, ChunkRef>,
}

/// An archive that nothing proves, and that no manifest lists.
#[derive(Clone)]
struct Unproven {
    id: ChunkId,
    items: Vec<ChunkId>,
}

impl<'a> Checker<'a> {
    fn new(
        session: &'a Session,
        ids: &[ChunkId],
        options: &'a CheckOptions<'a>,
        monitor: &'a dyn Monitor,
    ) -> Result<Self, SessionError> {
        let repair = if options.repair {
            Some(Repair { change: session.begin()?, store: Store::new(session), zeros: BTreeMap::new() })
        } else {
            None
        };
        Ok(Self {
            session,
            options,
            monitor,
            objects: Objects::new(ids.iter().copied()),
            manifest: session.manifest().clone(),
            repair,
            unproven: Vec::new(),
            lost: BTreeSet::new(),
            knows_all_references: true,
            is_changed: false,
            progress: Progress::default(),
            report: ArchivesCheck::default(),
        })
    }

    fn run(&mut self, ids: &[ChunkId], loss: Option<&ManifestLoss>) -> Result<(), SessionError> {
        if self.options.verify_data {
            self.monitor.notice(Notice::Begun("verifying data"));
            self.verify(ids)?;
        }
        if let Some(loss) = loss {
            self.monitor.notice(Notice::Begun("looking for archives"));
            self.rebuild_manifest(ids, loss)?;
        }
        self.monitor.notice(Notice::Begun("checking archives"));
        let all = self.archives();
        let chosen = match self.options.choose {
            Some(choose) => choose(all),
            None => all,
        };
        for info in &chosen {
            self.archive(info)?;
        }
        // What the archives refer to that were not looked at is not known.
        if self.options.choose.is_none() {
            self.orphans()?;
        }
        self.earlier(loss.is_some())
    }

    fn archives(&self) -> Vec<ArchiveInfo> {
        let listed = self.manifest.archives.iter();
        let mut archives: Vec<_> =
            listed.map(|(name, entry)| ArchiveInfo { name: name.clone(), id: entry.id, time: entry.time }).collect();
        archives.sort_by_key(|archive| archive.time);
        archives
    }

    /// Looks whether the counter that the repository keeps can be read. It is no part of the transaction, which may be
    /// sealed with it; a leap that nothing follows does no harm.
    fn counter(&mut self) -> Result<(), SessionError> {
        let Some(damage) = self.session.counter_damage()? else { return Ok(()) };
        let cure = if self.options.repair {
            self.session.leap()?;
            "it is made anew, and the counter goes on far beyond what was used"
        } else {
            "nothing can be sealed, only read; --repair makes it anew"
        };
        self.found(&Finding::problem(format!("{damage}; {cure}")).mended(self.options.repair));
        Ok(())
    }

    fn manifest_lost(&mut self, loss: &ManifestLoss) -> Result<(), SessionError> {
        if self.options.repair {
            // How far the counter has come, the manifest would have told.
            self.session.leap()?;
        }
        let cure = if self.options.repair {
            "it is made anew of all archives that are found"
        } else {
            "--repair makes it anew of these archives"
        };
        self.found(&Finding::problem(format!("{}; {cure}", error_text(loss))).mended(self.options.repair));
        Ok(())
    }

    /// Reads every object, and drops those that are damaged, so that what follows finds them missing.
    fn verify(&mut self, ids: &[ChunkId]) -> Result<(), SessionError> {
        let ids: Vec<_> = ids.iter().filter(|id| **id != ChunkId::MANIFEST).copied().collect();
        let mut defect = BTreeSet::new();
        let (session, options) = (self.session, self.options);
        verify::verify(session, &ids, options.repair, options.workers, &mut |id, verified| {
            self.report.verified_objects += 1;
            let (size, csize) = match verified {
                Verified::Whole { size, csize } => (size, csize),
                Verified::Unsteady { size, csize, problem } => {
                    let what = format!(
                        "it was read only when it was tried again, so it is kept; memory, cables or the disk are not to be \
                         trusted: {}",
                        error_text(&problem.source)
                    );
                    self.found(&Finding::problem(what).of(id));
                    (size, csize)
                }
                Verified::Defect(problem) => {
                    let what = error_text(&problem.source);
                    let cure = if options.repair { "it is deleted" } else { "--repair deletes it" };
                    self.found(&Finding::problem(format!("{what}; {cure}")).of(id).mended(options.repair));
                    defect.insert(id);
                    return Ok(());
                }
            };
            // What was just read knows it best.
            let _ = self.objects.size(&id, size);
            self.report.verified_bytes += u64::from(csize);
            self.progress(0, csize.into());
            Ok(())
        })?;
        for id in defect {
            let Some(repair) = &mut self.repair else { break };
            repair.change.delete(id)?;
            self.objects.remove(&id);
            self.report.deleted_objects += 1;
            self.is_changed = true;
        }
        Ok(())
    }

    /// The id of so many zeros, which need not be there.
    fn zeros_id(&self, size: u32) -> ChunkId {
        match self.repair.as_ref().and_then(|repair| repair.zeros.get(&size)) {
            Some(zeros) => zeros.id,
            None => self.session.key().id_hash(&vec![0; size as usize]),
        }
    }

    fn found(&mut self, finding: &Finding) {
        if finding.severity == Severity::Problem {
            self.report.problems += 1;
            self.report.remaining += u64::from(!finding.is_mended);
            self.lost.extend(finding.chunk.filter(|_| self.lost.len() < earlier::MOST));
        }
        self.monitor.notice(Notice::Found(finding));
    }

    fn progress(&mut self, files: u64, bytes: u64) {
        self.progress.files += files;
        self.progress.bytes += bytes;
        self.monitor.progress(self.progress);
    }

    fn finish(mut self) -> Result<(ArchivesCheck, Option<crate::session::Committed>), SessionError> {
        let Some(mut repair) = self.repair.take().filter(|_| self.is_changed) else { return Ok((self.report, None)) };
        repair.change.manifest = self.manifest;
        let committed = repair.change.commit(self.session)?;
        self.report.is_changed = true;
        Ok((self.report, Some(committed)))
    }
}
