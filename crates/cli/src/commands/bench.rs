//! `bench`: measures this very program, as a process of its own.

use worldkeeper_bench::{Bench, Programs, run};
use worldkeeper_core::Stop;

use crate::report::Done;

/// This program cannot be found, so that it cannot be measured.
#[derive(Debug, thiserror::Error)]
#[error("the program that is running cannot be found")]
struct NoProgram(#[source] std::io::Error);

/// Measures what was asked for.
pub(super) fn bench(options: &Bench, stop: &Stop) -> anyhow::Result<Done> {
    let program = std::env::current_exe().map_err(NoProgram)?;
    let programs = Programs { bench: vec![program.clone().into(), "bench".into()], ours: program };
    run(options, &programs, stop).map(|()| Done::Well)
}
