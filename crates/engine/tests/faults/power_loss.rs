//! F03, F04: the power fails at any call, and what was not synced is lost in any way that is legal.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::disk::{MemoryDisk, Tail};
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
                    let ([old, new], distinct) = power_fails_during(operation, *mode, wanted);
                    let count = old + new;
                    println!("{} in {mode}: {count} states, {distinct} distinct, {old} old, {new} new", operation.name);
                    tried.fetch_add(old + new, Ordering::Relaxed);
                }
            });
        }
    });
    let tried = tried.into_inner();
    assert!(tried >= states, "{tried} states were tried");
}

/// Tries at least so many states; returns how many were those before, and how many those after, and how many were not the
/// same as any of the others.
fn power_fails_during(operation: &Operation, mode: EncryptionMode, wanted: usize) -> ([usize; 2], usize) {
    let expected = Expected::of(operation, mode);
    let moments = moments(operation, mode);
    let each = wanted.div_ceil(moments.len());
    let (mut outcomes, mut distinct) = ([0; 2], BTreeSet::new());
    for (calls, moment) in moments.iter().enumerate() {
        // The call at which it failed may have been given to the disk in part.
        let sealed = Counters::default();
        if mode.encrypts() {
            sealed_on(&moments[(calls + 1).min(moments.len() - 1)], &sealed, operation.name);
        }
        for number in 0..each {
            let seed = gate::seed() ^ ((calls as u64) << 32 | number as u64);
            let context = format!("{} in {mode}, power failed after call {calls}, seed {seed}", operation.name);
            let disk = moment.after_power_failure(seed);
            // The same bytes are another state where more counter values were used before.
            distinct.insert((calls, disk.fingerprint()));
            let is_after = survives(&disk, mode, &expected, &sealed, &context);
            outcomes[usize::from(is_after)] += 1;
        }
    }
    (outcomes, distinct.len())
}

/// Whatever is being written is cut at a byte of it, and the rest is something else: at night at every byte of the first
/// 64 KiB, with one of the tails in turn.
#[test]
fn gate_torn_writes() {
    let names = ["first create", "changed create", "delete", "compact"];
    let cases: Vec<_> = cases().into_iter().filter(|(_, operation)| names.contains(&operation.name)).collect();
    let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((mode, operation)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (count, total) = writes_are_torn_during(operation, *mode);
                    println!("{} in {mode}: {count} torn writes of {total}", operation.name);
                    tried.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    let tried = tried.into_inner();
    assert!(tried > 300, "{tried} writes were torn");
}

/// Returns how many were, and how many there are.
fn writes_are_torn_during(operation: &Operation, mode: EncryptionMode) -> (usize, usize) {
    const TAILS: [Tail; 4] = [Tail::Zeros, Tail::Random, Tail::Stale, Tail::Pattern];
    let expected = Expected::of(operation, mode);
    let moments = moments(operation, mode);
    let (mut tried, mut total, mut before) = (0, 0, 0);
    for (calls, moment) in moments.iter().enumerate() {
        let sealed = Counters::default();
        if mode.encrypts() {
            sealed_on(moment, &sealed, operation.name);
        }
        // What a call has not added to was torn before.
        let unsynced = moment.unsynced_bytes();
        if std::mem::replace(&mut before, unsynced) == unsynced {
            continue;
        }
        let len = unsynced.min(64 << 10);
        let count = gate::amount(4.min(len), len);
        for number in 0..count {
            let at = (number * len / count + gate::seed() as usize) % len;
            let tail = TAILS[(number + calls + gate::seed() as usize) % TAILS.len()];
            let disk = moment.after_torn_write(at, tail, gate::seed() ^ at as u64);
            let what = format!("{} in {mode}, torn after call {calls}", operation.name);
            let context = format!("{what}, seed {}: {tail:?} from byte {at} on", gate::seed());
            survives(&disk, mode, &expected, &sealed, &context);
        }
        (tried, total) = (tried + count, total + len);
    }
    (tried, total)
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
