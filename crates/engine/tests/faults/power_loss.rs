//! F03, F04: the power fails at any call, and what was not synced is lost in any way that is legal.

use std::sync::atomic::{AtomicUsize, Ordering};

use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::gate;

use crate::operations::{Operation, cases};
use crate::survival::{Expected, sealed_on, survives};

#[test]
fn gate_power_loss() {
    let states = gate::amount(5000, 100_000);
    let cases = cases();
    let shares: usize = cases.iter().map(|(_, operation)| operation.share).sum();
    let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((mode, operation)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wanted = (states * operation.share).div_ceil(shares);
                    let (old, new) = power_fails_during(operation, *mode, wanted);
                    println!("{} in {mode}: {} states, {old} old, {new} new", operation.name, old + new);
                    tried.fetch_add(old + new, Ordering::Relaxed);
                }
            });
        }
    });
    let tried = tried.into_inner();
    assert!(tried >= states, "{tried} states were tried");
}

/// Tries at least so many states; returns how many were those before, and how many those after.
fn power_fails_during(operation: &Operation, mode: EncryptionMode, wanted: usize) -> (usize, usize) {
    let expected = Expected::of(operation, mode);
    let moments = moments(operation, mode);
    let each = wanted.div_ceil(moments.len());
    let mut outcomes = [0; 2];
    for (calls, moment) in moments.iter().enumerate() {
        // The call at which it failed may have been given to the disk in part.
        let sealed = Counters::default();
        if mode.encrypts() {
            sealed_on(&moments[(calls + 1).min(moments.len() - 1)], &sealed, operation.name);
        }
        for number in 0..each {
            let seed = gate::seed() ^ ((calls as u64) << 32 | number as u64);
            let context = format!("{} in {mode}, power failed after call {calls}, seed {seed}", operation.name);
            let is_after = survives(&moment.after_power_failure(seed), mode, &expected, &sealed, &context);
            outcomes[usize::from(is_after)] += 1;
        }
    }
    (outcomes[0], outcomes[1])
}

/// The disk after each call of an operation that changed something.
pub(crate) fn moments(operation: &Operation, mode: EncryptionMode) -> Vec<MemoryDisk> {
    let disk = operation.disk(mode);
    disk.record();
    (operation.run)(&Operation::house(&disk, mode)).unwrap();
    let moments = disk.recorded();
    assert!(moments.len() > 5, "{} is no story", operation.name);
    moments
}
