//! F09: a disk with any amount of space left. A backup that does not fit leaves everything as it was; and whoever looks,
//! restores or makes room is helped by the reserve.

use std::path::Path;

use worldkeeper_core::{Disk, error_text};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_engine::series;
use worldkeeper_testkit::gate;

use crate::house::{House, REPOSITORY};
use crate::operations::{ALL, NOW, Operation, Start};
use crate::survival::{Archives, Expected, archives, whole};

const MODE: EncryptionMode = EncryptionMode::RepokeyBlake2;

/// What is swept, from nothing to more than any operation needs.
const AMPLE: u64 = 2 << 20;

#[test]
fn gate_full_disk() {
    let step = gate::amount(64, 4) as u64 * 1024;
    let mut refused = 0;
    for operation in ALL {
        let expected = Expected::of(operation, MODE);
        for room in (0..AMPLE).step_by(step as usize) {
            let context = format!("{} with {room} bytes free", operation.name);
            let disk = operation.disk(MODE);
            let used = disk.used_bytes();
            disk.set_capacity(Some(used + room));
            let result = (operation.run)(&Operation::house(&disk, MODE));
            // Whoever comes next finds the disk as full as it is now, and can read all; but nothing was reserved in a
            // state directory that is only just being made.
            let had_state = matches!(operation.start, Start::Empty | Start::Used | Start::Damaged);
            if !had_state {
                disk.set_capacity(None);
            }
            let found = archives(&disk, MODE).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            let is_after = expected.assert_either(&found, &context);
            match result {
                Ok(()) => assert!(is_after, "{context}: it was said to be done, and is not"),
                Err(error) => {
                    refused += 1;
                    assert!(!makes_room(operation), "{context}: {error:?}");
                    assert_says_so(&error_text(&*error), &context);
                    // A checkpoint is worth its space: the next run has less to do.
                    let has_more = found.keys().any(|name| series::is_checkpoint(name));
                    let is_given_back = disk.used_bytes() <= used || has_more || !had_state;
                    assert!(is_given_back, "{context}: it did not give back its space");
                    assert!(
                        !had_state || disk.metadata(&large_reserve()).is_ok(),
                        "{context}: it has eaten the reserve"
                    );
                }
            }
            disk.set_capacity(None);
            expected.next_run_succeeds(&disk, MODE, &found, &context);
            assert!(disk.metadata(&large_reserve()).is_ok(), "{context}: there is no new reserve");
        }
    }
    assert!(refused > 10, "{refused} did not fit");
}

/// Nothing is left, and stays so: whatever is freed is taken by somebody else.
#[test]
fn at_zero_free_everything_works_but_a_backup() {
    let disk = ALL.iter().find(|operation| operation.start == Start::Used).unwrap().disk(MODE);
    let before = archives(&disk, MODE).unwrap();
    let fill = || disk.set_capacity(Some(disk.used_bytes()));
    fill();
    for _ in 0..3 {
        assert_eq!(archives(&disk, MODE).unwrap(), before, "it is listed and restored, again and again");
        let error = House::new(&disk, MODE, NOW).create(3).unwrap_err();
        assert_says_so(&error_text(&*error), "a backup");
        fill();
    }
    House::new(&disk, MODE, NOW).delete(2).unwrap();
    let after: Archives = before.clone().into_iter().skip(2).collect();
    assert_eq!(whole(&disk, MODE).unwrap(), after);
    let freed = House::new(&disk, MODE, NOW).compact().unwrap();
    assert!(freed > 100_000, "{freed} bytes are freed");
    assert_eq!(whole(&disk, MODE).unwrap(), after);
    House::new(&disk, MODE, NOW + 1).create(3).unwrap();
}

/// Another one writes into all space there is, all the time, and the segments that can be compacted are larger than the
/// reserve: what needs no room is freed first.
#[test]
fn a_compaction_frees_what_it_can_with_the_room_there_is() {
    let disk = ALL.iter().find(|operation| operation.start == Start::Used).unwrap().disk(MODE);
    House::new(&disk, MODE, NOW).delete(1).unwrap();
    disk.remove_file(&large_reserve()).unwrap();
    let ample = disk.after_kill();
    let all = House::new(&ample, MODE, NOW).compact().unwrap();
    let now = archives(&disk, MODE).unwrap();
    let mut last = 0;
    for room in (0..512u64 << 10).step_by(16 << 10) {
        let disk = disk.after_kill();
        disk.set_capacity(Some(disk.used_bytes() + room));
        let context = format!("{room} bytes free");
        match House::new(&disk, MODE, NOW).compact() {
            Ok(freed) => {
                assert!(freed <= all + 8192, "{context}: {freed} of {all} bytes are freed");
                last = freed;
            }
            Err(error) => assert_says_so(&error_text(&*error), &context),
        }
        disk.set_capacity(None);
        assert_eq!(whole(&disk, MODE).unwrap(), now, "{context}");
    }
    assert!(last > all / 2, "{last} of {all}");
}

fn makes_room(operation: &Operation) -> bool {
    ["delete", "prune", "compact"].contains(&operation.name)
}

fn assert_says_so(text: &str, context: &str) {
    let words = ["no storage space", "is full", "bytes of free space"];
    assert!(words.iter().any(|word| text.contains(word)), "{context}: it does not say that the disk is full: {text}");
}

fn large_reserve() -> std::path::PathBuf {
    Path::new(REPOSITORY).join("worldkeeper.reserve")
}
