//! `prune`: deletes what the retention does not keep, and frees its space; or only says what that would be.

use std::sync::Arc;

use worldkeeper_core::Stop;
use worldkeeper_engine::prune::{Decision, plan_series};

use super::archives::unproven_text;
use super::backup;
use super::output::Output;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::{settings, words};

/// Prunes the archives of the series.
pub(super) fn prune(place: &Arc<Place>, dry_run: bool, stop: &Stop) -> anyhow::Result<Done> {
    let purpose = if dry_run { Purpose::Read } else { Purpose::Write };
    let mut session = place.session(purpose, Caller::Hand, stop)?;
    let rules = &place.settings.retention.value;
    let plan = plan_series(&session, place.series(), rules, place.clock.now(), &place.zone)?;
    let mut output = Output::new();
    for decision in &plan.decisions {
        output.line(&line(decision, dry_run))?;
    }
    for (archive, problem) in &plan.unproven {
        output.line(&format!("leave   {}  ({})", archive.name, unproven_text(problem)))?;
    }
    let archives = words::count(plan.decisions.len() as u64, "archive");
    let going = format!("{} of {archives} in the series {}", plan.going(), place.series());
    let kept = settings::retention_text(rules);
    if dry_run {
        output.line(&format!("would delete {going}; the retention is {kept}"))?;
        output.finish()?;
        return Ok(Done::Well);
    }
    let reporter = Arc::new(Reporter::new(&place.screen, "pruning"));
    let retained = backup::job(place, Caller::Hand, Arc::clone(&reporter) as _).retain(&mut session)?;
    let freed = words::bytes(retained.compacted.freed_bytes);
    output.line(&format!("deleted {going}, freed {freed}; the retention is {kept}"))?;
    output.finish()?;
    Ok(Done::with(reporter.warnings()))
}

/// One archive and what becomes of it.
fn line(decision: &Decision, dry_run: bool) -> String {
    let name = &decision.archive.name;
    match &decision.keep {
        Some(reason) => format!("keep    {name}  ({reason})"),
        None if dry_run => format!("delete  {name}"),
        None => format!("deleted {name}"),
    }
}
