//! F06, F07, F08: any call fails, once or from then on, in any way; the error says where, and nothing is lost.

use std::io::ErrorKind;

use worldkeeper_core::error_text;
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::disk::{Fault, MemoryDisk, ReadFault};
use worldkeeper_testkit::gate;

use crate::house::{Outcome, REPOSITORY, STATE};
use crate::operations::{ALL, Operation};
use crate::survival::{Expected, archives, sealed_on, survives, whole};

const MODE: EncryptionMode = EncryptionMode::RepokeyBlake2;

const KINDS: [ErrorKind; 4] =
    [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];

#[test]
fn gate_failing_calls() {
    let [mut failed, mut bore] = [0; 2];
    for operation in ALL {
        let expected = Expected::of(operation, MODE);
        let disk = operation.disk(MODE);
        disk.fail(None);
        (operation.run)(&Operation::house(&disk, MODE)).unwrap();
        for_sample(disk.calls() * KINDS.len() * 2, 60, |case| {
            let kind = KINDS[case / 2 % KINDS.len()];
            let fault = Fault { call: case / 2 / KINDS.len() + 1, kind, for_ever: case % 2 == 1 };
            let context = format!("{}: {fault:?}", operation.name);
            let disk = operation.disk(MODE);
            disk.fail(Some(fault));
            let result = (operation.run)(&Operation::house(&disk, MODE));
            disk.fail(None);
            *if result.is_err() { &mut failed } else { &mut bore } += 1;
            assert_is_over(&disk, &result, &expected, &context);
        });
    }
    assert!(failed > 100 && bore > 10, "{failed} operations failed, {bore} did not mind");
}

#[test]
fn gate_failing_reads() {
    let [mut failed, mut bore] = [0; 2];
    for operation in ALL {
        let expected = Expected::of(operation, MODE);
        let disk = operation.disk(MODE);
        disk.fail_reads(None);
        (operation.run)(&Operation::house(&disk, MODE)).unwrap();
        for_sample(disk.reads() * 4, 30, |case| {
            let below = [REPOSITORY, STATE][case / 2 % 2].into();
            let fault = ReadFault { call: case / 4 + 1, below, kind: ErrorKind::Other, for_ever: case % 2 == 1 };
            let context = format!("{}: {fault:?}", operation.name);
            let disk = operation.disk(MODE);
            disk.fail_reads(Some(fault));
            let result = (operation.run)(&Operation::house(&disk, MODE));
            disk.fail_reads(None);
            *if result.is_err() { &mut failed } else { &mut bore } += 1;
            assert_is_over(&disk, &result, &expected, &context);
        });
    }
    assert!(failed > 50 && bore > 10, "{failed} operations failed, {bore} did not mind");
}

/// Calls `try_case` with each number below `cases` at night, else with about `sample` of them.
fn for_sample(cases: usize, sample: usize, mut try_case: impl FnMut(usize)) {
    let step = if gate::is_nightly() { 1 } else { (cases / sample).max(1) };
    // An odd step meets every kind of fault.
    let step = if step.is_multiple_of(2) { step + 1 } else { step };
    (gate::seed() as usize % step..cases).step_by(step).for_each(&mut try_case);
}

/// Requires that what failed says where, that what did not fail is done, and that the next run goes on by itself; and
/// that all this outlasts a power failure, for a file whose sync failed once is not to be trusted.
fn assert_is_over(disk: &MemoryDisk, result: &Outcome, expected: &Expected, context: &str) {
    if let Err(error) = result {
        let text = error_text(&**error);
        // Without a look at the state directory nobody can tell that whoever holds the lock is dead.
        let names_holder = text.contains("is locked by") && context.contains(STATE);
        assert!(text.contains(" /") || names_holder, "{context}: the error names no file: {text}");
    }
    let sealed = Counters::default();
    sealed_on(disk, &sealed, context);
    let is_after = survives(disk, MODE, expected, &sealed, context);
    assert!(is_after || result.is_err(), "{context}: it was said to be done, and is not");
    let now = archives(disk, MODE).unwrap();
    let left = disk.after_power_failure(gate::seed());
    let kept = whole(&left, MODE).unwrap_or_else(|error| panic!("{context}, then the power: {error:?}"));
    assert!(kept == now, "{context}, then the power: {:?} is left", kept.keys());
}
