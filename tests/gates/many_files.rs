//! Very many small files: what they need of memory stays within bounds, and time grows no faster than they do.
//!
//! No two files are alike, so that there are as many chunks: both caches and the repository's index are at their largest.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wait4::Wait4 as _;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::{gate, tree};

/// The most memory that a command may take, in bytes: 300 MB for a million files, and for fewer so much less that a
/// sample shows what a million will need.
fn limit_bytes(files: usize) -> u64 {
    80_000_000 + 220 * files as u64
}

#[test]
fn gate_many_files() {
    let files = gate::amount(100_000, 1_000_000);
    let few = backups(gate::folder().path(), files / 10);
    let folder = gate::folder();
    let many = backups(folder.path(), files);
    for (many, few) in many.iter().zip(&few) {
        // Figures to be looked at, not asserted: the machine may have other work.
        let (wall, cpu) = (many.wall / few.wall, many.cpu / few.cpu);
        eprintln!("{files} files: {many}; {wall:.1} times the time of a tenth of them, {cpu:.1} times the CPU");
    }

    let keeper = Worldkeeper::at(folder.path());
    let part = keeper.world().join("00007");
    let (ours, stocks) = (folder.path().join("ours"), folder.path().join("stocks"));
    let list = Cost::of("list", keeper.command(["list", "latest"]));
    let mut restore = keeper.command(["restore", "latest", "--to"]);
    restore.arg(&ours).arg(&part);
    let restore = Cost::of("restore", restore);
    eprintln!("{files} files: {list}; {restore}");
    for cost in many.iter().chain([&list, &restore]) {
        assert!(cost.peak_bytes < limit_bytes(files), "of {files} files: {cost}");
    }
    tree::assert_same(&part, &below(&ours, &part));

    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let archives = borg.archives(&keeper.repository());
    let archive = location(&keeper.repository(), archives.last().expect("there are two"));
    let listed = borg.run(["list", "--short", &archive]).lines().iter().filter(|path| path.contains("/chunk.")).count();
    assert_eq!((archives.len(), listed), (2, files));
    fs::create_dir(&stocks).expect("the target can be made");
    let mut extract = borg.command();
    extract.current_dir(&stocks).arg("extract").arg(&archive).arg(part.strip_prefix("/").expect("it is absolute"));
    let _ = borg.outcome(&mut extract).exits(0);
    tree::assert_same(&part, &below(&stocks, &part));
    // Makes the index anew and compares it with ours.
    let repository = keeper.repository();
    let _ = borg.run(["check".as_ref(), "--repository-only".as_ref(), repository.as_os_str()]);
}

/// Makes as many files below `folder` and two archives of them; returns what each cost.
fn backups(folder: &Path, files: usize) -> [Cost; 2] {
    let keeper = Worldkeeper::at(folder);
    tree::small_files(&keeper.world(), files);
    ["backup", "unchanged backup"].map(|what| Cost::of(what, keeper.command(["backup"])))
}

/// What a command took.
struct Cost {
    what: &'static str,
    /// Seconds from start to end.
    wall: f64,
    /// Seconds of CPU, user and system.
    cpu: f64,
    peak_bytes: u64,
}

impl Cost {
    /// Runs a command, which must succeed.
    fn of(what: &'static str, mut command: Command) -> Self {
        let start = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let used = command.spawn().and_then(|mut child| child.wait4()).expect("it can be run");
        assert!(used.status.success(), "{what}: {command:?} ended with {}", used.status);
        let cpu = used.rusage.utime + used.rusage.stime;
        Self { what, wall: start.elapsed().as_secs_f64(), cpu: cpu.as_secs_f64(), peak_bytes: used.rusage.maxrss }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, wall, cpu, peak_bytes } = self;
        write!(f, "{what} took {wall:.1} s, {cpu:.1} s of CPU and {} MB", peak_bytes / 1_000_000)
    }
}
