//! What the disk in memory says of calls that fail, seen from below: the kernel itself returns an error for a system call
//! of the binary. One that was only interrupted is made again, whoever made it; any other is said with the file's name,
//! what was there stays, and the next backup comes by itself.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::strace::{self, Call};

use crate::beginning::Beginning;
use crate::place::Place;
use crate::stopped::{borgs, is_possible, is_well, place};

const ERRORS: [&str; 5] = ["EINTR", "EIO", "ENOSPC", "EDQUOT", "EFBIG"];

/// Those of our calls that a signal may interrupt, if one came: they are made again until they have done all.
const INTERRUPTED: [&str; 4] = ["write", "openat", "fsync", "fdatasync"];

/// A call of a run, and what it returns.
struct Case {
    call: Call,
    error: &'static str,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.error, self.call)
    }
}

#[test]
fn gate_system_calls_fail() {
    if !is_possible() {
        return;
    }
    let args = ["backup".to_owned()];
    let [hit, failed] = [(); 2].map(|()| AtomicUsize::new(0));
    let first = Scene::new(&args);
    let calls = &first.calls;
    let total = calls.len() * ERRORS.len();
    let count = gate::amount(30, total);
    let offset = gate::Random::of(2).below(calls.len());
    let cases = (0..count).map(|index| Case {
        call: calls[(index * calls.len() / count + offset) % calls.len()].clone(),
        error: ERRORS[index % ERRORS.len()],
    });
    let cases: Vec<_> = cases.collect();
    gate::each(
        &cases,
        || Scene::new(&args),
        |scene, case| {
            let (is_hit, is_failed) = scene.fails_at(&args, case);
            hit.fetch_add(usize::from(is_hit), Ordering::Relaxed);
            failed.fetch_add(usize::from(is_failed), Ordering::Relaxed);
        },
    );
    let [hit, failed] = [hit, failed].map(AtomicUsize::into_inner);
    println!("{hit} of {count} calls failed, of {total} that there are; {failed} backups did for it");
    assert!(hit * 10 >= count * 8, "{hit} of {count} calls failed");
    assert!(0 < failed && failed < hit, "{failed} backups of {hit} failed");
}

/// A place to begin from again and again, and what a backup of it does.
struct Scene {
    place: Place,
    beginning: Beginning,
    calls: Vec<Call>,
    borgs: Vec<Borg>,
}

impl Scene {
    fn new(args: &[String]) -> Self {
        let place = place();
        let beginning = Beginning::of(&place);
        let calls = strace::mutating_calls(&place.keeper, args);
        Self { place, beginning, calls, borgs: borgs() }
    }

    /// Returns whether the call was made and failed, and whether the backup failed for it.
    fn fails_at(&mut self, args: &[String], case: &Case) -> (bool, bool) {
        self.beginning.restore();
        self.place.count_anew();
        self.borgs.iter_mut().for_each(Borg::forget);
        let place = &self.place;
        let call = self.calls.iter().find(|call| call.is_same(&case.call)).unwrap_or(&case.call);
        let (outcome, is_hit) = strace::failed_at(&place.keeper, args, call, case.error);
        let is_failed = outcome.code() != Some(0);
        let is_repeated = case.error == "EINTR" && INTERRUPTED.contains(&case.call.name.as_str());
        assert!(!is_failed || (is_hit && !is_repeated), "{outcome}");
        if is_failed {
            let folder = place.folder().to_str().expect("paths of tests are text");
            assert!(matches!(outcome.code(), Some(1 | 2)) && outcome.stderr().contains(folder), "{outcome}");
        }
        // Before the next command takes back what was not committed.
        place.assert_counter_never_reused();
        let found = place.keeper.archives();
        let new = found.len() - place.trees.len();
        assert!(if outcome.code() == Some(2) { new <= 1 } else { new == 1 }, "{found:?}, {outcome}");
        let _ = place.keeper.backup();
        is_well(place, &self.borgs, found.len() + 1);
        (is_hit, is_failed)
    }
}
