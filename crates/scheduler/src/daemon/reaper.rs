//! The duty of process 1: orphans become its children, and when they die somebody must collect them.
//!
//! Only processes of other process groups are collected. A child that Worldkeeper itself starts shares our group, or is
//! known to whoever is asked, and belongs to whoever started it and waits for its exit code; taking it away would make that
//! wait fail. What `docker exec` starts has a group of its own.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tracing::debug;

/// Collects orphans from now on, if this is process 1: those that are not `is_ours`. Needs a runtime.
pub(super) fn start(is_ours: fn(u32) -> bool) {
    if !getpid().is_init() {
        return;
    }
    // A system that refuses this leaves zombies behind, which is no reason to make no backups.
    let Ok(mut died) = signal(SignalKind::child()) else { return };
    tokio::spawn(async move {
        while died.recv().await.is_some() {
            for orphan in dead_orphans(Path::new("/proc"), getpid(), is_ours) {
                if let Ok(Some(_)) = waitpid(Some(orphan), WaitOptions::NOHANG) {
                    debug!("collected the orphaned process {orphan}");
                }
            }
        }
    });
}

/// The dead children of `parent` that are not in its process group, and not of those that `is_ours`.
fn dead_orphans(proc: &Path, parent: Pid, is_ours: fn(u32) -> bool) -> Vec<Pid> {
    // Not `getpgrp`: where the group began outside our namespace its id is 0, which rustix takes for impossible.
    let Some(own) = Stat::read(&proc.join(parent.to_string())) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            // A process may be gone before its file is read.
            let stat = Stat::read(&entry.path())?;
            let is_orphan = stat.is_dead && stat.parent == parent.as_raw_pid() && stat.group != own.group;
            (is_orphan && !is_ours(pid.as_raw_pid().cast_unsigned())).then_some(pid)
        })
        .collect()
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Dead, and not collected.
    is_dead: bool,
    parent: i32,
    group: i32,
}

impl Stat {
    fn read(process: &Path) -> Option<Self> {
        Self::parse(&fs::read(process.join("stat")).ok()?)
    }

    /// The second field is the program's name in parentheses and may hold anything, parentheses and blanks too: what
    /// counts stands after the last `)`.
    fn parse(stat: &[u8]) -> Option<Self> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
        Some(Self {
            is_dead: fields.next()? == "Z",
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dead_children_of_other_groups_are_orphans() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, stat) in [
            ("1", "1 (worldkeeper) S 0 1 1 0"),
            ("7", "7 (sh) Z 1 7 7 0"),
            ("8", "8 (pass command) Z 1 1 1 0"), // ours: its owner waits for it
            ("9", "9 (sleep) S 1 9 9 0"),        // alive
            ("10", "10 (evil) Z 0 ) Z 1 10 10 0"),
            ("11", "11 (other) Z 5 11 11 0"), // somebody else's child
            ("14", "14 (ssh) Z 1 14 14 0"),   // ours, too, though it leads a group
            ("12", "12 (cut) Z"),
            ("self", "7 (sh) Z 1 7 7 0"),
        ] {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("stat"), stat).unwrap();
        }
        fs::create_dir(proc.path().join("13")).unwrap();
        let one = Pid::from_raw(1).unwrap();
        let mut orphans = dead_orphans(proc.path(), one, |process| process == 14);
        orphans.sort_by_key(|pid| pid.as_raw_nonzero());
        assert_eq!(orphans, [Pid::from_raw(7).unwrap(), Pid::from_raw(10).unwrap()]);
    }
}
