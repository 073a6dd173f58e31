//! The repository's file `nonce` is damaged: torn by a lying disk, flipped, or overwritten with something else.
//!
//! It is never taken for a number. Nothing is sealed until somebody says that it may be; then the counter goes on from
//! what the state directory and the manifest know, after a leap, and nobody uses a value twice.

use std::path::{Path, PathBuf};

use worldkeeper_core::disk;
use worldkeeper_core::{Repository, error_text};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_repository::Mode;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::disk::MemoryDisk;

use crate::house::{House, Outcome, REPOSITORY};
use crate::operations::{Operation, Start};
use crate::survival::{Expected, archives, sealed_on};

const MODE: EncryptionMode = EncryptionMode::RepokeyBlake2;

/// What somebody does about it.
type Cure = fn(&House) -> Outcome;

const CURES: [(&str, Cure); 2] = [("adopt", House::adopt), ("repair", House::repair)];

#[test]
fn a_damaged_nonce_is_refused_and_each_cure_cures() {
    for (number, content) in damaged(b"0000000010000a3b").into_iter().enumerate() {
        // Each of the four is tried many times.
        let (name, cure) = CURES[number % 2];
        let start = if number / 2 % 2 == 0 { Start::Used } else { Start::StateLost };
        let shown = String::from_utf8_lossy(&content[..content.len().min(20)]);
        is_cured(start, &content, cure, &format!("{name}, {start:?}, {shown:?}"));
    }
}

/// A second damage, and one where the manifest is lost as well.
#[test]
fn a_nonce_that_is_damaged_again_and_again() {
    let disk = used(Start::Used).disk(MODE);
    let house = Operation::house(&disk, MODE);
    let mut before = 0;
    for content in damaged(b"0000000000000000").into_iter().step_by(7) {
        write(&disk, &content);
        house.adopt().unwrap();
        let after = free(&house);
        assert!(after - before >= 1 << 48, "{after:#x} after {before:#x}");
        before = after;
    }
}

#[test]
fn a_nonce_that_can_be_read_is_not_replaced() {
    let disk = used(Start::Used).disk(MODE);
    let house = Operation::house(&disk, MODE);
    let before = free(&house);
    house.adopt().unwrap();
    house.repair().unwrap();
    assert_eq!(free(&house), before);
}

/// Where nothing is encrypted nobody asks for it.
#[test]
fn a_repository_without_a_counter_goes_on() {
    let disk = used(Start::Used).disk(EncryptionMode::None);
    write(&disk, b"BORG_SEG");
    let house = Operation::house(&disk, EncryptionMode::None);
    house.create(2).unwrap();
    house.repair().unwrap();
    house.adopt().unwrap();
    assert_eq!(disk::read(&disk, &path(), 100).unwrap(), b"BORG_SEG");
}

#[track_caller]
fn is_cured(start: Start, content: &[u8], cure: Cure, context: &str) {
    let expected = Expected::of(&used(start), MODE);
    let disk = used(start).disk(MODE);
    let sealed = Counters::default();
    sealed_on(&disk, &sealed, context);
    let known = free(&Operation::house(&disk, MODE));
    write(&disk, content);

    let house = Operation::house(&disk, MODE);
    let refused = house.create(2).unwrap_err();
    assert!(error_text(&*refused).contains("the nonce file of the repository is damaged"), "{context}: {refused:?}");
    assert_eq!(disk::read(&disk, &path(), 1 << 20).unwrap(), content, "{context}");
    assert!(archives(&disk, MODE).unwrap() == expected.before, "{context}: reading needs no counter");

    cure(&house).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert!(free(&house) >= known - (1 << 28) + (1 << 48), "{context}: {:#x}, it was {known:#x}", free(&house));
    expected.next_run_succeeds(&disk, MODE, &expected.before, context);
    sealed_on(&disk, &sealed, context);
}

/// Every way to tear the file, every byte of it as none that may be there, and what else a failing disk may put there.
fn damaged(whole: &[u8; 16]) -> Vec<Vec<u8>> {
    let torn = (0..16).map(|len| whole[..len].to_vec());
    let holes = (0..16).map(|from| [&whole[..from], &vec![0; 16 - from]].concat());
    let flipped = (0..16).map(|at| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x40;
        bytes
    });
    let others = [&b"BORG_SEG"[..], b"00000000800005c80", b"-000000000000001"].map(<[u8]>::to_vec);
    torn.chain(holes).chain(flipped).chain(others).chain([b"BORG_SEG".repeat(10_000)]).collect()
}

fn used(start: Start) -> Operation {
    Operation { name: "damaged nonce", start, run: |_| Ok(()), share: 1 }
}

/// The first free value, as the repository says.
fn free(house: &House) -> u64 {
    house.repository(&house.state().unwrap(), Mode::Shared).unwrap().free_nonce().unwrap().unwrap()
}

fn path() -> PathBuf {
    Path::new(REPOSITORY).join("nonce")
}

fn write(disk: &MemoryDisk, content: &[u8]) {
    disk::replace(disk, &path(), content).unwrap();
}
