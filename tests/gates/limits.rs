//! The system says no in the middle of a backup: the quota is reached, the repository becomes read-only, memory ends,
//! files may not be as large. What was there stays, and once the system says yes again the next backup comes by itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::{gate, strace};
use worldkeeper_tests::locks;

use crate::place::Place;
use crate::stopped::{Point, Stopped, borgs, is_possible, is_well, place, points};

/// After a backup that ended like this: what was there is there, another one comes, and stock has nothing to say.
#[track_caller]
fn is_well_after(outcome: &Outcome, place: &Place, borgs: &[Borg]) {
    // Before the next command takes back what was not committed.
    place.assert_counter_never_reused();
    let found = place.keeper.archives();
    let new = found.len() - place.trees.len();
    // Whoever is told of a success has an archive; who is told of a failure may have one that nobody could report.
    assert!(if outcome.code() == Some(0) { new == 1 } else { new <= 1 }, "{found:?}, {outcome}");
    let _ = place.keeper.backup();
    is_well(place, borgs, found.len() + 1);
}

/// Sets what the repository may take, in bytes; none means as much as there is.
fn set_quota(place: &Place, bytes: u64) {
    let config = place.keeper.repository().join("config");
    let text = fs::read_to_string(&config).expect("the config can be read");
    let lines = text.lines().map(|line| {
        if line.starts_with("storage_quota") { format!("storage_quota = {bytes}\n") } else { format!("{line}\n") }
    });
    fs::write(config, lines.collect::<String>()).expect("the config can be written");
}

/// How many bytes the segments have.
fn stored(repository: &Path) -> u64 {
    let folders = fs::read_dir(repository.join("data")).expect("there are segments").map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn gate_quota_is_reached() {
    if Borg::all().is_empty() {
        return;
    }
    let before = place();
    let used = stored(&before.keeper.repository());
    let _ = before.keeper.backup();
    let added = stored(&before.keeper.repository()) - used;
    // Beyond what is needed too, so that some succeed.
    let count = gate::amount(6, 200) as u64;
    let quotas: Vec<_> = (0..count).map(|step| used * 9 / 10 + (added + used / 5) * step / (count - 1)).collect();
    let refused = AtomicUsize::new(0);
    gate::each(&quotas, borgs, |borgs, quota| {
        borgs.iter_mut().for_each(Borg::forget);
        let mut place = place();
        set_quota(&place, *quota);
        let outcome = place.keeper.try_run(["backup"]);
        if outcome.code() == Some(0) {
            set_quota(&place, 0);
            return is_well_after(&outcome, &place, borgs);
        }
        refused.fetch_add(1, Ordering::Relaxed);
        let outcome = outcome.exits(2).says(&["quota"]);
        // What is full can still be made less.
        let oldest = place.trees.keys().next().expect("there are two").clone();
        let _ = place.keeper.run(["delete", &oldest]);
        let _ = place.keeper.run(["compact"]);
        place.trees.remove(&oldest);
        set_quota(&place, 0);
        is_well_after(&outcome, &place, borgs);
    });
    let refused = refused.into_inner();
    assert!(0 < refused && refused < quotas.len(), "{refused} of {} were refused", quotas.len());
}

/// Takes the right to write from everything in a folder, or gives it back.
fn set_writable(folder: &Path, is_writable: bool) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            set_writable(&path, is_writable);
        } else {
            fs::set_permissions(path, Permissions::from_mode(if is_writable { 0o600 } else { 0o400 })).unwrap();
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(if is_writable { 0o700 } else { 0o500 })).unwrap();
}

#[test]
fn gate_the_repository_becomes_read_only() {
    if !is_possible() {
        return;
    }
    let (points, met, failed): (Vec<Point>, _, _) = (points(4), AtomicUsize::new(0), AtomicUsize::new(0));
    gate::each(&points, borgs, |borgs, point| {
        borgs.iter_mut().for_each(Borg::forget);
        let place = place();
        // Permissions are nothing to a root that has its capabilities.
        let all = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
        let wrapper = if rustix::process::geteuid().is_root() { &all[..] } else { &[] };
        let Some(stopped) = Stopped::at(&point.0, &place.keeper, wrapper, &["backup"]) else { return };
        met.fetch_add(1, Ordering::Relaxed);
        let repository = place.keeper.repository();
        set_writable(&repository, false);
        let outcome = stopped.goes_on();
        set_writable(&repository, true);
        // What is stopped at its last write may have written all.
        failed.fetch_add(usize::from(outcome.code() == Some(2)), Ordering::Relaxed);
        is_well_after(&outcome.says(&["ermission denied"]), &place, borgs);
    });
    assert!(met.into_inner() * 2 >= points.len(), "few points were met");
    assert!(failed.into_inner() > 0, "none failed");
}

#[test]
fn gate_memory_ends() {
    if Borg::all().is_empty() || !strace::is_there() {
        return;
    }
    let count = gate::amount(8, 200);
    let limits: Vec<_> = (1..=count).map(|step| (320 << 20) * step / count).collect();
    let failed = AtomicUsize::new(0);
    gate::each(&limits, borgs, |borgs, limit| {
        borgs.iter_mut().for_each(Borg::forget);
        let place = place();
        let mut command = place.keeper.command_under(&["prlimit", &format!("--as={limit}")], ["backup"]);
        let output = command.output().expect("prlimit can be started");
        failed.fetch_add(usize::from(!output.status.success()), Ordering::Relaxed);
        is_well_after(&Outcome::from_output(&command, output), &place, borgs);
    });
    let failed = failed.into_inner();
    assert!(0 < failed && failed < limits.len(), "{failed} of {} failed", limits.len());
}

/// The signal that comes with a write beyond the limit kills whoever does not handle it: then nobody learns which limit
/// it was, and the locks stay.
#[test]
fn gate_file_size_limit() {
    if Borg::all().is_empty() {
        return;
    }
    // From less than a segment begins with to more than any file of it needs; below that, what costs little is left out.
    let count = gate::amount(6, 100);
    let limits: Vec<_> = (0..count).map(|step| 7 + LARGEST_FILE * step / (count - 1)).collect();
    let refused = AtomicUsize::new(0);
    gate::each(&limits, borgs, |borgs, limit| {
        borgs.iter_mut().for_each(Borg::forget);
        let place = place();
        let mut command = place.keeper.command_under(&["prlimit", &format!("--fsize={limit}")], ["backup"]);
        let mut outcome = Outcome::of(&mut command);
        assert!(locks(&place.keeper.repository()).is_empty(), "a lock is left: {outcome}");
        if outcome.code() != Some(0) {
            refused.fetch_add(1, Ordering::Relaxed);
            let folder = place.folder().to_str().expect("paths of tests are text");
            outcome = outcome.exits(2).says(&["File too large", folder, "ulimit -f"]);
        }
        is_well_after(&outcome, &place, borgs);
    });
    let refused = refused.into_inner();
    assert!(0 < refused && refused < limits.len(), "{refused} of {} were refused", limits.len());
}

/// More than any file that a backup needs, in bytes.
const LARGEST_FILE: usize = 60_000;
