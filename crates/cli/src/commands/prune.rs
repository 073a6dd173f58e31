//! `prune`: deletes what the retention does not keep, and frees its space; or only says what that would be.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::warn;
use worldkeeper_core::Stop;
use worldkeeper_engine::prune::{Decision, plan_series, require_past};
use worldkeeper_engine::{Session, series};

use super::archives::unproven_text;
use super::backup;
use super::beside::DaemonSettings;
use super::output::Output;
use crate::escape::escape;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::{settings, words};

/// Prunes the archives of the series.
pub(super) fn prune(place: &Arc<Place>, dry_run: bool, stop: &Stop) -> anyhow::Result<Done> {
    DaemonSettings::require_same_retention(place)?;
    let purpose = if dry_run { Purpose::Read } else { Purpose::Write };
    let mut session = place.session(purpose, Caller::Hand, stop)?;
    let rules = &place.settings.retention.value;
    let lacking = place.history().lacking(place.series(), &place.location())?;
    let plan = plan_series(&session, place.series(), &lacking, rules, place.clock.now(), &place.zone)?;
    require_past(&session, &plan.decisions)?;
    let is_missing = warn_if_missing(&session, place.series());
    let freed = if dry_run { None } else { Some(delete(place, &mut session)?) };
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
    let (line, warnings) = match freed {
        None => (format!("would delete {going}; the retention is {kept}"), 0),
        Some((freed, warnings)) => {
            (format!("deleted {going}, freed {}; the retention is {kept}", words::bytes(freed)), warnings)
        }
    };
    output.line(&line)?;
    output.finish()?;
    Ok(Done::with(warnings + u64::from(is_missing)))
}

/// Warns, and returns, that there is none of the series where there are archives of others: its name is mistyped, most likely.
fn warn_if_missing(session: &Session, series: &str) -> bool {
    let archives = session.archives();
    let names = archives.iter().filter_map(|archive| archive.name.as_str());
    let others: BTreeSet<_> = names.filter_map(series::of).collect();
    let is_missing = !others.is_empty() && !others.contains(series);
    if is_missing {
        let some: Vec<_> = others.iter().take(MANY).map(|name| escape(name)).collect();
        let more = if others.len() > MANY { ", …" } else { "" };
        warn!("there is no archive of the series {series}; the series that there are: {}{more}", some.join(", "));
    }
    is_missing
}

/// More names than that nobody reads.
const MANY: usize = 5;

/// Deletes what the retention does not keep, and frees its space; returns how many bytes that was, and how many warnings there
/// were.
fn delete(place: &Arc<Place>, session: &mut Session) -> anyhow::Result<(u64, u64)> {
    let reporter = Arc::new(Reporter::new(&place.screen, "pruning"));
    let retained = backup::job(place, Caller::Hand, Arc::clone(&reporter) as _).retain(session)?;
    Ok((retained.compacted.freed_bytes, reporter.warnings()))
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
