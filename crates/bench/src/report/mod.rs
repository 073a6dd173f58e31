//! Results as people read them: a table, JSON, a picture.

mod machine;
mod svg;
mod table;

use std::fs;
use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use serde::Serialize;

use crate::args::Common;

pub(crate) use machine::Machine;
pub(crate) use svg::{Bar, Line, Plot};
pub(crate) use table::Table;

/// What was measured.
pub(crate) trait Report: Serialize {
    /// For people: tables, and what there is to say about them.
    fn text(&self) -> String;
    /// A picture of it.
    fn plot(&self) -> Plot;
}

/// Everything that JSON tells: the results, and what somebody needs to know who wants the same.
#[derive(Serialize)]
struct Whole<'a, R> {
    command: Vec<String>,
    version: &'static str,
    machine: &'a Machine,
    results: &'a R,
}

/// Tells somebody who looks on how far it is.
pub(crate) fn progress(what: &str) {
    let mut screen = io::stderr();
    if screen.is_terminal() {
        // Where nobody can be told, it goes on all the same.
        let _ = writeln!(screen, "{what}");
    }
}

/// Shows results as it was asked for.
pub(crate) fn show<R: Report>(results: &R, machine: &Machine, common: &Common) -> anyhow::Result<()> {
    let text = if common.json {
        let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let whole = Whole { command, version: env!("CARGO_PKG_VERSION"), machine, results };
        serde_json::to_string_pretty(&whole)? + "\n"
    } else {
        format!("{machine}\n\n{}", results.text())
    };
    io::stdout().write_all(text.as_bytes()).context("cannot write the results")?;
    // What took an hour is not lost with a picture of it.
    if let Some(path) = &common.svg {
        let svg = results.plot().to_string();
        fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
