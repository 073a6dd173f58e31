//! F05: the repository's disk said that it had written what it had not, and then the power failed.
//!
//! What was acknowledged is gone, and nothing can bring it back. What must hold: nobody takes it for whole, what is
//! read is right, and the counter goes on from where it was, not from where the repository says that it is.

use worldkeeper_core::error_text;
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::Trust;
use worldkeeper_repository::Mode;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::gate;

use crate::house::{House, REPOSITORY};
use crate::operations::{ALL, NOW, Operation};
use crate::survival::{Expected, archives, has_losses, sealed_on};

const MODE: EncryptionMode = EncryptionMode::RepokeyBlake2;

#[test]
fn gate_lying_disk() {
    let mut seen = [0; 3];
    let names = ["first create", "unchanged create", "changed create"];
    for operation in ALL.iter().filter(|operation| names.contains(&operation.name)) {
        let expected = Expected::of(operation, MODE);
        let honest = operation.disk(MODE);
        honest.fail(None);
        (operation.run)(&Operation::house(&honest, MODE)).unwrap();
        for call in 0..honest.calls() {
            for number in 0..gate::amount(1, 40) {
                let seed = gate::seed() ^ ((call as u64) << 32 | number as u64);
                let context = format!("{}: lies from call {call} on, seed {seed}", operation.name);
                let disk = operation.disk(MODE);
                disk.lie_about(REPOSITORY.as_ref(), call);
                (operation.run)(&Operation::house(&disk, MODE)).unwrap();
                let sealed = Counters::default();
                sealed_on(&disk, &sealed, &context);
                seen[found(&disk.after_power_failure(seed), &expected, &sealed, &context) as usize] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "whole, rolled back, unreadable: {seen:?}");
}

enum Found {
    Whole,
    RolledBack,
    Damaged,
}

/// Looks at what is left, and writes to it as far as that is allowed.
fn found(disk: &MemoryDisk, expected: &Expected, sealed: &Counters, context: &str) -> Found {
    let house = House::new(disk, MODE, NOW + 1);
    let trust = house.state().and_then(|state| Ok(house.open(&state, Mode::Shared)?.trust().clone()));
    let found = match (trust, archives(disk, MODE)) {
        // An object is missing or damaged, and the error says which.
        (Err(_), _) | (_, Err(_)) => Found::Damaged,
        (_, Ok(archives)) if has_losses(&archives) => Found::Damaged,
        (Ok(Trust::Suspicious(_)), Ok(archives)) => {
            assert!(archives == expected.before, "{context}: rolled back to {:?}", archives.keys());
            let error = house.create(2).unwrap_err();
            assert!(error_text(&*error).contains("rolled back"), "{context}: {error:?}");
            house.adopt().unwrap_or_else(|error| panic!("{context}: {error:?}"));
            Found::RolledBack
        }
        (Ok(_), Ok(archives)) => {
            assert!(archives == expected.after, "{context}: nobody noticed that these are all: {:?}", archives.keys());
            Found::Whole
        }
    };
    let next = house.create(2);
    if let (Found::Whole | Found::RolledBack, Err(error)) = (&found, &next) {
        // What nobody reads may be damaged, the counter too: that is said, and a repair mends it without a loss.
        let text = error_text(&**error);
        assert!(text.contains("damaged") || text.contains("nonce"), "{context}: {text}");
        let before = archives(disk, MODE).unwrap();
        let _ = house.repair();
        house.adopt().unwrap_or_else(|error| panic!("{context}: adopt: {error:?}"));
        assert!(archives(disk, MODE).unwrap() == before, "{context}: the repair took something away");
        house.create(2).unwrap_or_else(|error| panic!("{context}: after the repair: {error:?}"));
    }
    sealed_on(disk, sealed, context);
    found
}
