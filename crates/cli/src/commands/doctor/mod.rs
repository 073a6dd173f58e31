//! `doctor`: whether backups can be made, step by step, and what to do where they cannot.
//!
//! Nothing is made or changed by it, but for one object of random bytes that is stored and rolled back. What hangs on a
//! step that failed is not tried; what there is no way to tell is said to be unknown.

mod local;
mod machine;
mod remote;
mod repository;
mod verdict;

use std::sync::Arc;

use serde::Serialize;
use worldkeeper_core::Stop;

use super::output::Output;
use crate::escape::escape;
use crate::json::document;
use crate::place::Place;
use crate::report::Done;
use crate::settings::Location;
use verdict::{Check, Verdict};

/// Something keeps backups from being made; what is said already.
#[derive(Debug, thiserror::Error)]
#[error("{} failed: {}", crate::words::count(failed.len() as u64, "check"), failed.join(", "))]
pub(crate) struct ChecksFailed {
    failed: Vec<String>,
}

/// All that was looked at.
#[derive(Serialize)]
struct Report {
    /// What every backup needs.
    checks: Vec<Check>,
    repositories: Vec<Examined>,
}

/// One of the repositories.
#[derive(Serialize)]
struct Examined {
    /// Its label, else its location.
    #[serde(skip)]
    name: String,
    label: Option<String>,
    location: String,
    checks: Vec<Check>,
}

/// Looks at everything that a backup needs. Exit code 1 if somebody should look.
///
/// # Errors
///
/// [`ChecksFailed`] if no backup can be made like this.
pub(super) fn doctor(place: &Place, json: bool, stop: &Stop) -> anyhow::Result<Done> {
    let examine = |place: Arc<Place>| Examined {
        name: place.name(),
        label: place.label().map(str::to_owned),
        location: place.location(),
        checks: match &place.settings.repository.value {
            Location::Local(directory) => local::checks(&place, directory, stop),
            Location::Remote(location) => remote::checks(&place, location, stop),
        },
    };
    let report =
        Report { checks: machine::checks(place, stop)?, repositories: place.each().into_iter().map(examine).collect() };
    let mut output = Output::new();
    if json {
        output.line(&document(&report))?;
    } else {
        report.print(&mut output)?;
    }
    output.finish()?;
    report.end()
}

impl Report {
    fn print(&self, output: &mut Output) -> anyhow::Result<()> {
        print(&self.checks, output)?;
        for Examined { name, location, checks, .. } in &self.repositories {
            let label = if name == location { String::new() } else { format!("{name}: ") };
            output.line(&format!("\nrepository {}", escape(&format!("{label}{location}"))))?;
            print(checks, output)?;
        }
        Ok(())
    }

    /// The checks with this verdict, and of which repository they are where there are several.
    fn with(&self, verdict: Verdict) -> Vec<String> {
        let names = |of: &str, checks: &[Check]| -> Vec<String> {
            checks.iter().filter(|check| check.verdict == verdict).map(|check| format!("{of}{}", check.name)).collect()
        };
        let mut found = names("", &self.checks);
        for Examined { name, checks, .. } in &self.repositories {
            let of = if self.repositories.len() == 1 { String::new() } else { format!("{name}: ") };
            found.extend(names(&of, checks));
        }
        found
    }

    /// The worst of them all.
    fn end(&self) -> anyhow::Result<Done> {
        let failed = self.with(Verdict::Failed);
        if !failed.is_empty() {
            return Err(ChecksFailed { failed }.into());
        }
        Ok(Done::with(self.with(Verdict::Warning).len() as u64))
    }
}

fn print(checks: &[Check], output: &mut Output) -> anyhow::Result<()> {
    for Check { name, verdict, found, remedy } in checks {
        output.line(&format!("{name:<13}{:<11}{}", verdict.word(), escape(found)))?;
        for line in remedy.iter().flat_map(|remedy| remedy.lines()) {
            output.line(&format!("{:24}{}", "", escape(line)))?;
        }
    }
    Ok(())
}
