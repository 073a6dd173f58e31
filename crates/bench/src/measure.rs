//! What a command costs: wall time, CPU time, peak memory, bytes written.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde::Serialize;
use wait4::Wait4;
use worldkeeper_core::Stop;

use crate::statistics::median;

/// The cost of one run, or the median of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of CPU, user and system, of the command and all that it waited for.
    pub(crate) cpu: f64,
    /// Peak resident memory in MiB. A child starts with the most that this program has ever had counted, which is a few MiB.
    pub(crate) peak: f64,
    /// MB that it gave to `write` and its like: more than was stored where something is written twice.
    pub(crate) written: f64,
}

impl Usage {
    /// That of a command and of another one behind it.
    pub(crate) fn and(self, then: Self) -> Self {
        Self {
            wall: self.wall + then.wall,
            cpu: self.cpu + then.cpu,
            peak: self.peak.max(then.peak),
            written: self.written + then.written,
        }
    }

    /// The median of each figure by itself.
    pub(crate) fn median(usages: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| median(usages.iter().map(figure)).unwrap_or_default();
        Self {
            wall: middle(|usage| usage.wall),
            cpu: middle(|usage| usage.cpu),
            peak: middle(|usage| usage.peak),
            written: middle(|usage| usage.written),
        }
    }
}

/// The work was stopped, by Ctrl-C as a rule.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped before everything was measured")
    }
}

impl std::error::Error for Stopped {}

/// Ends the work if somebody asked for it.
pub(crate) fn go_on(stop: &Stop) -> Result<(), Stopped> {
    if stop.is_requested() { Err(Stopped) } else { Ok(()) }
}

/// Runs a command, which must succeed. One that is under way when the work is stopped is killed: all it has is below our
/// own folder.
pub(crate) fn run(command: Command, stop: &Stop) -> anyhow::Result<Usage> {
    Ok(run_and_hear(command, stop)?.0)
}

/// As [`run`], and tells how many lines the command said.
pub(crate) fn run_and_hear(mut command: Command, stop: &Stop) -> anyhow::Result<(Usage, u64)> {
    go_on(stop)?;
    // What was written before must not be synced on this command's time.
    rustix::fs::sync();
    let mut said = tempfile::tempfile().context("no temporary file can be made")?;
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said.try_clone()?);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let end = ended(&mut child, stop)?;
    let wall = end.duration_since(start).as_secs_f64();
    let written = written(child.id());
    let used = child.wait4()?;
    go_on(stop)?;
    said.rewind()?;
    if !used.status.success() {
        let mut text = String::new();
        said.read_to_string(&mut text)?;
        bail!("{command:?} ended with {}:\n{text}", used.status);
    }
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    let usage =
        Usage { wall, cpu, peak: used.rusage.maxrss as f64 / f64::from(1 << 20), written: written as f64 / 1e6 };
    let mut lines = 0;
    for line in BufReader::new(said).split(b'\n') {
        line?;
        lines += 1;
    }
    Ok((usage, lines))
}

/// When the child ended; it is left to be waited for. A thread looks on, so that the time is exact.
fn ended(child: &mut Child, stop: &Stop) -> anyhow::Result<Instant> {
    let id = Pid::from_child(child);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let waited = waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _ = sender.send(waited.map(|_| Instant::now()));
        });
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok(end) => return Ok(end?),
                Err(_) if stop.is_requested() => child.kill()?,
                Err(_) => {}
            }
        }
    })
}

/// What a child that has ended, and was not waited for, has given to `write`. 0 where the system does not say.
fn written(id: u32) -> u64 {
    let said = fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
    let count = said.lines().find_map(|line| line.strip_prefix("wchar: "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_command_wrote_is_counted() {
        let usage = run(shell("exec head -c 3000000 /dev/zero"), &Stop::default()).unwrap();
        assert!(usage.wall > 0.0 && usage.peak > 0.1 && (3.0..3.1).contains(&usage.written), "{usage:?}");
    }

    #[test]
    fn a_command_that_fails_is_an_error_with_what_it_said() {
        let error = run(shell("echo nothing here >&2; exit 3"), &Stop::default()).unwrap_err();
        assert!(error.to_string().contains("nothing here"), "{error}");
    }

    #[test]
    fn a_command_under_way_ends_with_the_work() {
        let stop = Stop::default();
        thread::scope(|scope| {
            let running = scope.spawn(|| run(shell("exec sleep 1000"), &stop));
            stop.request();
            assert!(running.join().unwrap().unwrap_err().is::<Stopped>());
        });
    }

    #[test]
    fn a_median_takes_each_figure_by_itself() {
        let usages = [1.0, 5.0, 3.0].map(|wall| Usage { wall, cpu: 10.0 - wall, ..Usage::default() });
        let median = Usage::median(&usages);
        assert_eq!((median.wall, median.cpu), (3.0, 7.0));
    }
}
