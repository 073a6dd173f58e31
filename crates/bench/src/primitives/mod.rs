//! What the parts of a backup can do on one core, and what a pipeline would need that never stands still.
//!
//! The parts are those that the product is made of, called as it calls them: chunks of borg's average size, digests side
//! by side. The best of many short rounds counts, since whoever else uses the machine can only make it slower.

mod ideal;
mod in_memory;
mod on_files;

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use worldkeeper_core::Stop;

use crate::args::{Measuring, Primitives};
use crate::measure::go_on;
use crate::report::{Bar, Plot, Report, Table};
use crate::room::Room;

pub(crate) use ideal::Ideal;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Rates {
    parts: Vec<Part>,
    ideal: Ideal,
}

/// One part, done in one way.
#[derive(Serialize)]
struct Part {
    /// Such as `cut`.
    name: &'static str,
    way: String,
    ns_per_byte: f64,
}

impl Part {
    fn new(name: &'static str, way: impl Into<String>, ns_per_byte: f64) -> Self {
        Self { name, way: way.into(), ns_per_byte }
    }

    /// Nanoseconds per byte are the inverse of this.
    fn gb_per_second(&self) -> f64 {
        1.0 / self.ns_per_byte
    }
}

/// How rounds are counted.
struct Rounds<'a> {
    /// Bytes in memory.
    working_set: usize,
    count: u32,
    stop: &'a Stop,
}

impl<'a> Rounds<'a> {
    fn new(measuring: Measuring, stop: &'a Stop) -> Self {
        Self { working_set: (measuring.working_set << 20) as usize, count: measuring.rounds, stop }
    }

    /// What each of so many bytes costs in the best round, in ns.
    fn best(&self, bytes: usize, round: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
        self.best_after(bytes, || (), round)
    }

    /// As [`best`](Self::best), with something to be done before each round that does not count.
    fn best_after(
        &self,
        bytes: usize,
        mut before: impl FnMut(),
        mut round: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let mut best = Duration::MAX;
        for _ in 0..self.count {
            go_on(self.stop)?;
            before();
            let start = cpu_time();
            round()?;
            best = best.min(cpu_time().saturating_sub(start));
        }
        Ok(best.as_secs_f64() * 1e9 / bytes as f64)
    }

    /// The length of chunks: borg's average, unless that would leave no eight of them.
    fn chunk(&self) -> usize {
        (self.working_set / 8).min(2 << 20)
    }
}

/// How long this thread has had a core. What others had in between does not count: a machine that is busy makes no part look
/// slow, but for the caches that all share.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Measures all parts in all ways.
pub(crate) fn measure(options: &Primitives, stop: &Stop) -> anyhow::Result<Rates> {
    let rounds = Rounds::new(options.measuring, stop);
    let room = Room::make(options.common.dir.as_deref(), rounds.working_set as u64 * 4)?;
    let mut parts = Vec::new();
    if !options.ideal {
        parts.extend(in_memory::cut(&rounds)?);
        parts.extend(in_memory::digest(&rounds)?);
        parts.extend(in_memory::seal(&rounds)?);
        parts.extend(in_memory::compress(&rounds)?);
        parts.extend(in_memory::crc(&rounds)?);
        parts.extend(on_files::read_and_write(&rounds, room.path())?);
    }
    Ok(Rates { parts, ideal: ideal::measure(&rounds, room.path())? })
}

/// Measures what a perfect pipeline would do, in a process of its own: a child begins with as much memory counted as its parent
/// has ever had, and this takes some.
pub(crate) fn ideal_apart(bench: &[OsString], room: &Room, quick: bool, stop: &Stop) -> anyhow::Result<Ideal> {
    go_on(stop)?;
    let (program, words) = bench.split_first().context("nobody says how this program is called")?;
    let (working_set, rounds) = if quick { ("8", "2") } else { ("64", "7") };
    let mut command = Command::new(program);
    command.args(words).args(["primitives", "--ideal", "--json", "--working-set", working_set, "--rounds", rounds]);
    command.arg("--dir").arg(room.path());
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    go_on(stop)?;
    ensure!(output.status.success(), "{command:?} ended with {}:\n{}", output.status, output.stderr.escape_ascii());
    Told::read(&output.stdout).with_context(|| format!("{command:?} says something else"))
}

/// What [`ideal_apart`] reads of what it is told.
#[derive(Deserialize)]
struct Told {
    results: ToldResults,
}

#[derive(Deserialize)]
struct ToldResults {
    ideal: Ideal,
}

impl Told {
    fn read(json: &[u8]) -> serde_json::Result<Ideal> {
        serde_json::from_slice(json).map(|told: Self| told.results.ideal)
    }
}

impl Report for Rates {
    fn text(&self) -> String {
        if self.parts.is_empty() {
            return self.ideal.to_string();
        }
        let mut table = Table::new(["one core", "GB/s", "ns per byte"]);
        let mut last = "";
        for part in &self.parts {
            if part.name != last {
                last = part.name;
                table.row([format!("**{last}**")]);
            }
            table.row([part.way.clone(), format!("{:.2}", part.gb_per_second()), format!("{:.3}", part.ns_per_byte)]);
        }
        format!("{table}\n{}", self.ideal)
    }

    fn plot(&self) -> Plot {
        let bar =
            |part: &Part| Bar { group: part.name.to_owned(), label: part.way.clone(), value: part.gb_per_second() };
        Plot::Bars { title: "GB/s on one core".to_owned(), bars: self.parts.iter().map(bar).collect() }
    }
}
