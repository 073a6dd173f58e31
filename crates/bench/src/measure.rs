//! What a command costs: wall time, CPU time, peak memory.

use std::error::Error;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;
use wait4::Wait4;

/// The cost of one run, or the median of several.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Usage {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of CPU, user and system.
    pub(crate) cpu: f64,
    /// Peak resident memory in MiB. A child starts with the memory of this program counted, which is a few MiB.
    pub(crate) peak: f64,
}

impl Usage {
    /// The median of each figure by itself.
    pub(crate) fn median(usages: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| {
            let mut figures = usages.iter().map(figure).collect::<Vec<_>>();
            figures.sort_by(f64::total_cmp);
            // Of an even number, the mean of the two in the middle.
            let half = figures.len() / 2;
            f64::midpoint(figures[half], figures[(figures.len() - 1) / 2])
        };
        Self { wall: middle(|usage| usage.wall), cpu: middle(|usage| usage.cpu), peak: middle(|usage| usage.peak) }
    }
}

/// Runs a command, which must succeed.
pub(crate) fn run(mut command: Command) -> Result<Usage, Box<dyn Error>> {
    // What was written before must not be synced on this command's time.
    rustix::fs::sync();
    let mut said = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said.try_clone()?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let used = child.wait4()?;
    let wall = start.elapsed().as_secs_f64();
    if !used.status.success() {
        let mut text = String::new();
        said.rewind()?;
        said.read_to_string(&mut text)?;
        return Err(format!("{command:?} ended with {}:\n{text}", used.status).into());
    }
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Ok(Usage { wall, cpu, peak: used.rusage.maxrss as f64 / f64::from(1 << 20) })
}
