//! What is done to a repository.

use std::path::Path;
use std::sync::OnceLock;

use worldkeeper_core::Disk;
use worldkeeper_core::disk::EntryKind;
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::disk::MemoryDisk;

use crate::house::{House, Outcome, STATE};

/// One operation, and what it starts from.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) start: Start,
    pub(crate) run: fn(&House) -> Outcome,
    /// How often it is tried, among all; what stretches a passphrase takes longer than all the rest.
    pub(crate) share: usize,
}

/// Every operation. A new verb is a new line.
pub(crate) const ALL: &[Operation] = &[
    Operation { name: "init", start: Start::Nothing, run: House::initialize, share: 1 },
    Operation { name: "init and create", start: Start::Nothing, run: |house| house.create(0).map(drop), share: 1 },
    Operation { name: "first create", start: Start::Empty, run: |house| house.create(0).map(drop), share: 8 },
    Operation { name: "unchanged create", start: Start::Used, run: |house| house.create(2).map(drop), share: 6 },
    Operation { name: "changed create", start: Start::Used, run: |house| house.create(3).map(drop), share: 8 },
    Operation {
        name: "create with checkpoints",
        start: Start::Used,
        run: |house| house.create_slowly(3).map(drop),
        share: 8,
    },
    Operation { name: "delete", start: Start::Used, run: |house| house.delete(1), share: 6 },
    Operation { name: "prune", start: Start::Used, run: |house| house.delete(2), share: 6 },
    Operation { name: "compact", start: Start::Used, run: |house| house.compact().map(drop), share: 8 },
    Operation { name: "undelete", start: Start::Used, run: House::undelete, share: 6 },
    Operation { name: "rename", start: Start::Used, run: House::rename, share: 4 },
    Operation { name: "recreate", start: Start::Used, run: House::recreate, share: 6 },
    Operation { name: "comment", start: Start::Used, run: House::comment, share: 2 },
    Operation { name: "repair", start: Start::Damaged, run: House::repair, share: 8 },
    Operation { name: "adopt", start: Start::StateLost, run: House::adopt, share: 4 },
    Operation { name: "key change", start: Start::Used, run: House::change_passphrase, share: 1 },
    Operation { name: "key import", start: Start::Used, run: House::import_key, share: 2 },
];

/// The operations in the modes that differ in what lies on the disk: encrypted, and as it is. In the latter a segment
/// that is backed up lies in the repository byte by byte, and must not be taken for one.
pub(crate) fn cases() -> Vec<(EncryptionMode, &'static Operation)> {
    let in_mode = |mode| ALL.iter().map(move |operation| (mode, operation));
    // Nothing proves a repository of mode none: one that the state directory does not know waits for a person.
    let is_case =
        |(mode, operation): &(EncryptionMode, &Operation)| mode.encrypts() || operation.start != Start::StateLost;
    in_mode(EncryptionMode::RepokeyBlake2).chain(in_mode(EncryptionMode::None)).filter(is_case).collect()
}

/// What an operation finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// An empty disk.
    Nothing,
    /// A repository without archives.
    Empty,
    /// Three archives, and the remains of a deleted one.
    Used,
    /// The same, and an empty state directory.
    StateLost,
    /// As used, but an object is damaged.
    Damaged,
}

/// The hour of the operation; the runs before it had smaller numbers.
pub(crate) const NOW: u32 = 10;

impl Operation {
    /// A copy of what it starts from, all durable.
    pub(crate) fn disk(&self, mode: EncryptionMode) -> MemoryDisk {
        start(self.start, mode)
    }

    /// Whoever runs it.
    pub(crate) fn house(disk: &MemoryDisk, mode: EncryptionMode) -> House {
        House::new(disk, mode, NOW)
    }
}

/// A copy of a starting point, all durable. Each is made once.
fn start(start: Start, mode: EncryptionMode) -> MemoryDisk {
    static MADE: [OnceLock<[MemoryDisk; 5]>; 2] = [const { OnceLock::new() }; 2];
    let made = MADE[usize::from(mode == EncryptionMode::None)].get_or_init(|| {
        let nothing = MemoryDisk::new();
        let empty = nothing.after_kill();
        let house = |hour| House::new(&empty, mode, hour);
        house(0).initialize().unwrap();
        house(0).weaken_key();
        house(0).make_segments_small();
        let used = empty.after_kill();
        let house = |hour| House::new(&used, mode, hour);
        for (hour, version) in [(1, 3), (2, 0), (3, 1), (4, 2)] {
            house(hour).create(version).unwrap();
        }
        house(5).delete(1).unwrap();
        let state_lost = used.after_kill();
        remove_all(&state_lost, Path::new(STATE));
        let damaged = used.after_kill();
        House::new(&damaged, mode, 6).damage();
        [nothing, empty, used, state_lost, damaged]
    });
    made[start as usize].after_power_failure(0)
}

fn remove_all(disk: &MemoryDisk, directory: &Path) {
    for (name, kind) in disk.list(directory).unwrap() {
        let path = directory.join(name);
        match kind {
            EntryKind::Directory => {
                remove_all(disk, &path);
                disk.remove_dir(&path).unwrap();
            }
            _ => disk.remove_file(&path).unwrap(),
        }
    }
    disk.sync_dir(directory).unwrap();
}
