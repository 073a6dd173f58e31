//! Checking a repository, and mending it.
//!
//! First everything is looked at and nothing is changed: how far the log goes ([`extent`]), whether its entries are
//! what was written ([`survey`]), whether index and hints say what the entries say ([`compare`]). What is found is
//! told as it is found. A repair then acts on what the look has gathered ([`mend`]).
//!
//! None of this asks what the repository contains in the way a reader does, for that may be what is broken; a
//! repository that no reader can use is opened with [`Mode::Exclusive`](crate::Mode::Exclusive) and checked all the same.

mod compare;
mod entries;
mod extent;
mod mend;
mod parts;
mod pieces;
mod stray;
mod survey;

use std::sync::atomic::Ordering;

use worldkeeper_core::RepositoryError;
use worldkeeper_core::repository::{CheckEvent, CheckOptions, Finding, RepositoryCheck, Severity};

use crate::LocalRepository;

/// Tells what is found, and counts it.
pub(crate) struct Report<'a> {
    on_event: &'a mut dyn FnMut(CheckEvent<'_>),
    outcome: RepositoryCheck,
    /// Problems that no repair can mend.
    beyond_repair: u64,
}

impl Report<'_> {
    fn found(&mut self, finding: &Finding) {
        self.outcome.problems += u64::from(finding.severity == Severity::Problem);
        (self.on_event)(CheckEvent::Found(finding));
    }

    /// Something that a repair leaves as it is.
    fn found_beyond_repair(&mut self, finding: &Finding) {
        self.beyond_repair += u64::from(finding.severity == Severity::Problem);
        self.found(finding);
    }

    fn progress(&mut self, done: usize, total: usize) {
        (self.on_event)(CheckEvent::Progress { done: done as u64, total: total as u64 });
    }

    fn finish(mut self, repaired: bool) -> RepositoryCheck {
        self.outcome.remaining = if repaired { self.beyond_repair } else { self.outcome.problems };
        self.outcome
    }
}

impl LocalRepository {
    /// Checks the repository; see [`Repository::check`](worldkeeper_core::Repository::check).
    pub(crate) fn run_check(
        &self,
        options: &CheckOptions,
        on_event: &mut dyn FnMut(CheckEvent<'_>),
    ) -> Result<RepositoryCheck, RepositoryError> {
        if options.repair && options.max_duration.is_some() {
            return Err(RepositoryError::NotWritable("a repair cannot be limited in time".into()));
        }
        if options.repair {
            self.require_no_append_only("a repair")?;
        }
        if options.repair || options.max_duration.is_some() {
            self.require_exclusive()?;
        }
        let report = Report { on_event, outcome: RepositoryCheck::default(), beyond_repair: 0 };
        if !options.repair {
            return self.check_with(options, report);
        }
        if self.in_transaction.swap(true, Ordering::SeqCst) {
            return Err(RepositoryError::NotWritable("a transaction is open".into()));
        }
        let result = self.check_with(options, report);
        self.in_transaction.store(false, Ordering::SeqCst);
        result
    }

    fn check_with(&self, options: &CheckOptions, mut report: Report<'_>) -> Result<RepositoryCheck, RepositoryError> {
        self.look_for_strays(&mut report)?;
        let Some(extent) = self.find_extent(&mut report)? else { return Ok(report.finish(false)) };
        if let Some(limit) = options.max_duration {
            self.check_entries(&extent, limit, &mut report)?;
            return Ok(report.finish(false));
        }
        let mut survey = self.survey(&extent, &mut report)?;
        if survey.unreadable.is_none() {
            // Otherwise what is only not to be read now would be called missing.
            self.compare(&extent, &mut survey, &mut report)?;
        }
        if options.repair {
            self.mend(&extent, survey, &mut report)?;
        }
        Ok(report.finish(options.repair))
    }
}
