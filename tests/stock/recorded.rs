//! Repositories recorded from stock: listed, restored and extended.

use std::path::Path;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures;
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{Worldkeeper, below};

use crate::for_mode;

/// What the recordings of an encrypted repository were sealed with.
const RECORDED_PASSPHRASE: &str = "test passphrase ☃";

#[test]
fn none_1_2_4() {
    we_go_on_with("none-borg1.2.4");
}

#[test]
fn none_1_4_5() {
    we_go_on_with("none-borg1.4.5");
}

#[test]
fn repokey_blake2_1_2_4() {
    we_go_on_with("repokey-blake2-borg1.2.4");
}

#[test]
fn repokey_blake2_1_4_5() {
    we_go_on_with("repokey-blake2-borg1.4.5");
}

#[track_caller]
fn we_go_on_with(recording: &str) {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(RECORDED_PASSPHRASE);
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path()).with("BORG_PASSPHRASE", RECORDED_PASSPHRASE);
    let mode = recording.rsplit_once('-').expect("a recording is named after mode and borg").0;
    let mut keeper = for_mode(keeper, mode);
    unpack(recording, folder.path());
    std::fs::rename(folder.path().join("repo"), keeper.repository()).unwrap();

    let recorded = borg.archives(&keeper.repository());
    assert!(!recorded.is_empty());
    assert_eq!(keeper.archives(), recorded);
    for archive in &recorded {
        let (theirs, ours) =
            (folder.path().join(format!("theirs-{archive}")), folder.path().join(format!("ours-{archive}")));
        borg.extract(&keeper.repository(), archive, &theirs);
        let _ = keeper.restore(archive, &ours);
        // The times of the target itself are nobody's.
        for entry in std::fs::read_dir(&theirs).unwrap().map(Result::unwrap) {
            assert_same(&entry.path(), &ours.join(entry.file_name()));
        }
    }

    tree::sample(&keeper.world(), "added to a recording");
    keeper = keeper.with("BORG_COMPRESSION", "zstd");
    let added = keeper.backup();
    borg.check(&keeper.repository());
    assert_eq!(borg.archives(&keeper.repository()), [recorded, vec![added.clone()]].concat());
    let target = folder.path().join("extracted");
    borg.extract(&keeper.repository(), &added, &target);
    assert_same(&keeper.world(), &below(&target, &keeper.world()));
}

fn unpack(recording: &str, target: &Path) {
    let tar = fixtures::path(&format!("vectors/repos/{recording}.tar"));
    let unpacked = Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(target).status().unwrap();
    assert!(unpacked.success());
}
