//! Stock judges a sample of what power failures leave, by its own check, before our next run and after it.

use std::ffi::OsStr;
use std::path::Path;

use worldkeeper_core::Disk;
use worldkeeper_core::disk::{self, EntryKind};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::gate;

use crate::house::{PASSPHRASE, REPOSITORY};
use crate::operations::{ALL, Operation, Start};
use crate::power_loss::moments;
use crate::survival::{Expected, archives};

const MODE: EncryptionMode = EncryptionMode::RepokeyBlake2;

#[test]
fn gate_stock_checks_what_power_failures_leave() {
    let Some(borg) = Borg::newest() else { return };
    let mut borg = borg.with_passphrase(PASSPHRASE).warmed();
    // Stock is given one passphrase.
    let is_asked = |operation: &&Operation| operation.start == Start::Used && !operation.name.starts_with("key");
    let operations: Vec<_> = ALL.iter().filter(is_asked).collect();
    let each = gate::amount(50, 1000).div_ceil(operations.len());
    for operation in operations {
        let expected = Expected::of(operation, MODE);
        let moments = moments(operation, MODE);
        for number in 0..each {
            let calls = (number * moments.len()).div_ceil(each);
            let seed = gate::seed() ^ number as u64;
            let context = format!("{}, power failed after call {calls}, seed {seed}", operation.name);
            let disk = moments[calls].after_power_failure(seed);
            let found = archives(&disk, MODE).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            expected.assert_either(&found, &context);
            let mut names: Vec<_> = found.keys().cloned().collect();
            if number % 2 == 1 {
                expected.next_run_succeeds(&disk, MODE, &found, &context);
                names = archives(&disk, MODE).unwrap().into_keys().collect();
            }
            let folder = tempfile::tempdir().unwrap();
            let repository = folder.path().join("repository");
            write_out(&disk, Path::new(REPOSITORY), &repository);
            borg.forget();
            let check = ["check", "--verify-data", "--verbose"].iter().map(OsStr::new);
            let checked = borg.try_run(check.chain([repository.as_os_str()]));
            assert_eq!(checked.code(), Some(0), "{context}: {checked}");
            let said = checked.stderr();
            let listed = said.lines().filter_map(|line| line.strip_prefix("Analyzing archive ")?.split(' ').next());
            let mut listed: Vec<_> = listed.collect();
            listed.sort_unstable();
            assert_eq!(listed, names, "{context}");
        }
    }
}

/// Writes a directory of the disk in memory to a real one, without the locks: whoever held them is dead, and stock
/// would have to be told.
pub(crate) fn write_out(disk: &MemoryDisk, from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (name, kind) in disk.list(from).unwrap() {
        let path = from.join(&name);
        match kind {
            _ if name.to_string_lossy().starts_with("lock.") => {}
            EntryKind::Directory => write_out(disk, &path, &to.join(name)),
            _ => std::fs::write(to.join(name), disk::read(disk, &path, u64::MAX).unwrap()).unwrap(),
        }
    }
}
