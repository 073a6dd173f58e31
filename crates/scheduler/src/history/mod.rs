//! How the runs of a series went, for the schedule to count from and for people to look at.
//!
//! The state directory holds one small JSON file per series and repository, with the last [`MAX_RUNS`] runs, and those
//! before them whose archives are lacking. Nothing depends on it that cannot do without: a damaged file is set aside with a
//! warning and a new one begun.

mod damage;
mod file;
#[cfg(test)]
mod memory_disk;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;
use worldkeeper_core::{Clock, Disk, DiskError, disk};

pub use damage::{Checked, Damage, Verdict};
use file::ReadError;
pub use file::Records;
pub use run::{Files, Gone, Kind, Run, RunOutcome};

/// Runs that are kept per series and repository; older ones are forgotten, the last good backup excepted.
pub const MAX_RUNS: usize = 100;

/// Runs that are kept besides, because their archives are [lacking](Run::is_lacking): as many as weeks of hourly ones make.
pub const MAX_LACKING: usize = 1000;

/// How long to wait for another process that is writing.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How often to look whether it is done.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Why a run could not be recorded, or the records not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A file operation failed.
    #[error("the run history cannot be kept")]
    Disk(#[from] DiskError),
    /// Another process went on holding the lock.
    #[error("the run history is being written by another process")]
    Busy,
}

/// What to do with a damaged file: only who holds the lock may move it.
#[derive(Clone, Copy)]
enum Damaged {
    Leave,
    SetAside,
}

/// The run history in a state directory. Several processes may use it at a time.
pub struct History {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    directory: PathBuf,
}

impl History {
    /// The history under `state_directory`; nothing is read or made yet.
    pub fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, state_directory: impl Into<PathBuf>) -> Self {
        Self { disk, clock, directory: state_directory.into().join("history") }
    }

    /// Adds a run, durably. `repository` is what the user calls it by: its label, or its location.
    pub fn record(&self, series: &str, repository: &str, run: Run) -> Result<(), HistoryError> {
        self.update(series, repository, |records| records.push(run))
    }

    /// Notes, durably, that the daemon begins a backup. There is one daemon, so nobody else may. If it has not ended the one
    /// before, that is recorded as failed: of [its predecessor's](Self::cut_off) it was told when it began.
    pub fn begin(&self, series: &str, repository: &str, start: Timestamp) -> Result<(), HistoryError> {
        self.update(series, repository, |records| {
            if let Some(before) = records.begun.replace(start) {
                records.push(Run::broken_off(before, start));
            }
        })
    }

    /// When the daemon began a backup that has not ended.
    pub fn begun(&self, series: &str, repository: &str) -> Result<Option<Timestamp>, HistoryError> {
        let path = self.directory.join(file::name(series, repository));
        Ok(self.read(&path, Damaged::Leave)?.and_then(|records| records.begun))
    }

    /// Adds the run that the daemon has begun, and that has ended.
    pub fn end(&self, series: &str, repository: &str, run: Run) -> Result<(), HistoryError> {
        self.update(series, repository, |records| {
            records.begun = None;
            records.push(run);
        })
    }

    /// What the daemon asks when it begins: a backup that its predecessor has begun and not ended was cut off with it, and
    /// is recorded as failed. Returns that, and how many in a row were cut off, the last ones.
    pub fn cut_off(&self, series: &str, repository: &str) -> Result<(Option<Run>, u32), HistoryError> {
        let path = self.directory.join(file::name(series, repository));
        let Some(records) = self.read(&path, Damaged::Leave)? else { return Ok((None, 0)) };
        let found = records.begun.map(|start| Run::cut_off(start, self.clock.now()));
        if let Some(run) = &found {
            self.end(series, repository, run.clone())?;
        }
        let backups = records.runs.iter().rev().filter(|run| run.kind == Kind::Backup);
        let before = backups.take_while(|run| run.is_cut_off).count();
        Ok((found.clone(), before as u32 + u32::from(found.is_some())))
    }

    fn update(&self, series: &str, repository: &str, change: impl FnOnce(&mut Records)) -> Result<(), HistoryError> {
        disk::create_dir_all(&*self.disk, &self.directory)?;
        let _lock = self.lock()?;
        let path = self.directory.join(file::name(series, repository));
        let mut records = self
            .read(&path, Damaged::SetAside)?
            .unwrap_or_else(|| Records::new(series.to_owned(), repository.to_owned()));
        change(&mut records);
        Ok(disk::replace(&*self.disk, &path, &file::encode(&records))?)
    }

    /// Notes that we have deleted archives from a repository: none of them is the last good one any more.
    pub fn deleted(&self, repository: &str, archives: &[String]) -> Result<(), HistoryError> {
        self.change(repository, archives, |run, _| (run.is_deleted, run.gone) = (true, None))
    }

    /// Notes that archives are gone that we have not deleted.
    pub fn gone(&self, repository: &str, archives: &[String]) -> Result<(), HistoryError> {
        let found = self.clock.now();
        self.change(repository, archives, |run, is_found_by_backup| {
            if !run.is_deleted {
                (run.is_deleted, run.gone) = (true, Some(Gone { found, is_found_by_backup }));
            }
        })
    }

    /// Notes that deleted archives are back.
    pub fn undeleted(&self, repository: &str, archives: &[String]) -> Result<(), HistoryError> {
        self.change(repository, archives, |run, _| (run.is_deleted, run.gone) = (false, None))
    }

    /// Notes that an archive has another name.
    pub fn renamed(&self, repository: &str, archive: String, name: &str) -> Result<(), HistoryError> {
        self.change(repository, &[archive], |run, _| run.archive = Some(name.to_owned()))
    }

    /// Changes what is known of the runs that made these archives. `change` is told whether the daemon makes another one now.
    fn change(
        &self,
        repository: &str,
        archives: &[String],
        change: impl Fn(&mut Run, bool),
    ) -> Result<(), HistoryError> {
        let made = |run: &Run| run.archive.as_ref().is_some_and(|name| archives.contains(name));
        let is_meant = |records: &Records| records.repository == repository && records.runs.iter().any(made);
        if !self.all()?.iter().any(is_meant) {
            return Ok(());
        }
        let _lock = self.lock()?;
        for mut records in self.all()?.into_iter().filter(is_meant) {
            let is_backed_up = records.begun.is_some();
            records.runs.iter_mut().filter(|run| made(run)).for_each(|run| change(run, is_backed_up));
            let path = self.directory.join(file::name(&records.series, repository));
            disk::replace(&*self.disk, &path, &file::encode(&records))?;
        }
        Ok(())
    }

    /// Notes how a check has left a repository, or a restore has found it, for this series and for all others that are known to be in it.
    pub fn checked(&self, series: &str, repository: &str, verdict: &Verdict) -> Result<(), HistoryError> {
        let of_repository = |records: &Records| records.repository == repository;
        let is_news = |records: &Records| verdict.apply(records.damage.clone()) != records.damage;
        let fresh = || Records::new(series.to_owned(), repository.to_owned());
        let known = self.all()?.into_iter().filter(of_repository).collect::<Vec<_>>();
        if !known.iter().any(is_news) && !is_news(&fresh()) {
            return Ok(());
        }
        disk::create_dir_all(&*self.disk, &self.directory)?;
        let _lock = self.lock()?;
        self.read(&self.directory.join(file::name(series, repository)), Damaged::SetAside)?;
        let mut all: Vec<_> = self.all()?.into_iter().filter(of_repository).collect();
        if !all.iter().any(|records| records.series == series) {
            all.push(fresh());
        }
        for mut records in all.into_iter().filter(is_news) {
            records.damage = verdict.apply(records.damage.take());
            let path = self.directory.join(file::name(&records.series, repository));
            disk::replace(&*self.disk, &path, &file::encode(&records))?;
        }
        Ok(())
    }

    /// What was found damaged in a repository, and not found mended since.
    pub fn damage(&self, series: &str, repository: &str) -> Result<Option<Damage>, HistoryError> {
        let path = self.directory.join(file::name(series, repository));
        Ok(self.read(&path, Damaged::Leave)?.and_then(|records| records.damage))
    }

    /// The runs of a series on a repository, oldest first.
    pub fn runs(&self, series: &str, repository: &str) -> Result<Vec<Run>, HistoryError> {
        let path = self.directory.join(file::name(series, repository));
        Ok(self.read(&path, Damaged::Leave)?.map(|records| records.runs).unwrap_or_default())
    }

    /// The run that made the last good archive of a series on a repository: of those recorded, the one recorded last, even
    /// if a clock that was wrong dated another one later.
    pub fn last_good(&self, series: &str, repository: &str) -> Result<Option<Run>, HistoryError> {
        Ok(self.runs(series, repository)?.into_iter().rev().find(Run::is_good_backup))
    }

    /// The sources of a series that are known to have had files.
    pub fn sources(&self, series: &str, repository: &str) -> Result<Vec<String>, HistoryError> {
        let runs = self.runs(series, repository)?;
        Ok(runs.into_iter().rfind(|run| run.archive.is_some()).map(|run| run.sources).unwrap_or_default())
    }

    /// The archives of a series on a repository that are known to be [lacking](Run::is_lacking).
    pub fn lacking(&self, series: &str, repository: &str) -> Result<BTreeSet<String>, HistoryError> {
        let lacking = self.runs(series, repository)?.into_iter().filter(Run::is_lacking);
        Ok(lacking.filter_map(|run| run.archive).collect())
    }

    /// Everything recorded, by series and repository.
    pub fn all(&self) -> Result<Vec<Records>, HistoryError> {
        let names = match self.disk.list(&self.directory) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            names => names?,
        };
        let mut all = Vec::new();
        for (name, _) in names.iter().filter(|(name, _)| file::is_name(name)) {
            all.extend(self.read(&self.directory.join(name), Damaged::Leave)?);
        }
        all.sort_by(|a, b| (&a.series, &a.repository).cmp(&(&b.series, &b.repository)));
        Ok(all)
    }

    /// Reads a file; a damaged one counts as none.
    fn read(&self, path: &Path, damaged: Damaged) -> Result<Option<Records>, DiskError> {
        match file::read(&*self.disk, path) {
            Ok(records) => Ok(records),
            Err(ReadError::Disk(error)) => Err(error),
            Err(ReadError::Damaged(reason)) => {
                warn!("the run history {} is damaged and not counted: {reason}", path.display());
                match damaged {
                    Damaged::Leave => {}
                    Damaged::SetAside => file::set_aside(&*self.disk, path)?,
                }
                Ok(None)
            }
        }
    }

    /// Keeps other processes from writing between our reading and our writing.
    fn lock(&self) -> Result<Box<dyn disk::FileLock>, HistoryError> {
        let path = self.directory.join("lock");
        let deadline = self.clock.monotonic() + LOCK_WAIT;
        loop {
            if let Some(lock) = self.disk.try_lock(&path)? {
                return Ok(lock);
            }
            if self.clock.monotonic() >= deadline {
                return Err(HistoryError::Busy);
            }
            self.clock.sleep(LOCK_POLL);
        }
    }
}
