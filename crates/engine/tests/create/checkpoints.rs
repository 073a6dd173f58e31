//! A run may end anywhere, and nothing is lost, left over or counted wrongly.

use std::fs;

use worldkeeper_chunker::ChunkerParams;
use worldkeeper_engine::{Silent, series};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::{gate, tree};

use crate::{House, UNREADABLE};

#[test]
fn checkpoints_leave_no_trace_in_the_archive() {
    let (plain, saved) = (House::new(), House::new());
    let expected = plain.backup(0).unwrap();
    let created = saved.backup(1).unwrap();
    assert_eq!(saved.names(), [created.name.to_string()]);
    assert_eq!((created.stats.size, created.stats.files()), (expected.stats.size, expected.stats.files()));
    assert!(created.stats.stored_objects > expected.stats.stored_objects + 20, "there were checkpoints");
    let session = saved.open();
    let archive = session.open_archive(&session.archives()[0]).unwrap();
    assert!(session.items(&archive).all(|item| item.unwrap().part.is_none()));
    saved.assert_nothing_missing_or_left_over("after the archive");
    saved.assert_restores(&created);
    // The next run knows all: it reads no file, and saves nothing on the way.
    let again = saved.backup(1).unwrap();
    assert_eq!((again.stats.files_unchanged, again.stats.read_bytes), (again.stats.files(), 0));
    saved.assert_all_can_go("after two archives");
}

#[test]
fn what_a_cut_off_run_and_the_one_before_it_knew_of_files_is_still_known() {
    let house = House::new();
    let _ = house.backup(0).unwrap();
    // Which of these comes first, the file system decides. With all the checkpoints each takes about 200 changes.
    let new = sha_stream("new", 1_500_000);
    let changed = sha_stream("changed", 1_600_000);
    tree::write(&house.world().join("new"), &new);
    tree::write(&house.world().join("region/long"), &changed);
    house.repository.store().restart_counting();
    house.repository.store().fail_after = Some(300);
    house.backup(1).unwrap_err();
    house.repository.store().fail_after = None;
    assert_eq!(house.names().len(), 2, "there is a checkpoint");

    let stats = house.backup(0).unwrap().stats;
    // The file that it had finished is not read again, nor is what it had not come to.
    let read = (stats.files_new, stats.files_changed, stats.read_bytes);
    assert!([(1, 0, new.len() as u64), (0, 1, changed.len() as u64)].contains(&read), "{read:?}");
}

/// Of a volume that was lost since, the checkpoint may hold all that is left.
#[test]
fn an_archive_without_files_or_that_lacks_some_takes_no_checkpoint_away() {
    let house = House::new();
    house.repository.store().restart_counting();
    house.repository.store().fail_after = Some(60);
    house.backup(3).unwrap_err();
    house.repository.store().fail_after = None;
    let [checkpoint] = &house.names()[..] else { panic!("there is a checkpoint") };
    let is_there = || house.names().contains(checkpoint);

    let aside = house.folder.path().join("aside");
    fs::rename(house.world(), &aside).unwrap();
    fs::create_dir(house.world()).unwrap();
    assert_eq!(house.backup(3).unwrap().stats.files(), 0);
    assert!(is_there(), "nothing is in its place");
    tree::write(&house.world().join("level.dat"), b"a new world");
    let sources = vec![house.world(), UNREADABLE.into()];
    assert_eq!(house.backup_of(sources, 3, &Silent).unwrap().stats.roots_failed, 1);
    assert!(is_there(), "a source is not in the archive");
    let empty = house.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(house.backup_of(vec![house.world(), empty], 3, &Silent).unwrap().stats.roots_failed, 0);
    assert!(is_there(), "a source may not be mounted");
    house.assert_nothing_missing_or_left_over("with the checkpoint");

    fs::remove_dir_all(house.world()).unwrap();
    fs::rename(&aside, house.world()).unwrap();
    let created = house.backup(3).unwrap();
    assert!(!is_there());
    house.assert_nothing_missing_or_left_over("without the checkpoint");
    house.assert_restores(&created);
    house.assert_all_can_go("after three archives");
}

#[test]
fn gate_a_run_that_is_cut_off_loses_what_came_after_the_last_checkpoint() {
    let whole = House::new().backup(3).unwrap().stats.stored_objects;
    let samples = gate::amount(6, 400) as u64;
    let mut resumed = 0;
    for cut in (1..=samples).map(|sample| sample * whole / (samples + 1)) {
        let case = format!("cut off after {cut} changes");
        let house = House::new();
        house.repository.store().restart_counting();
        house.repository.store().fail_after = Some(cut);
        let Err(_) = house.backup(3) else { panic!("{case}: it ended well") };
        house.repository.store().fail_after = None;
        let names = house.names();
        assert!(names.len() <= 1 && names.iter().all(|name| series::is_checkpoint_of(name, "mc")), "{case}: {names:?}");
        house.assert_nothing_missing_or_left_over(&case);

        let created = house.backup(0).unwrap();
        if !names.is_empty() {
            resumed += 1;
            // A file whose content a checkpoint had is not stored again.
            let again = created.stats.stored_objects;
            assert!(again + 8 < whole, "{case}: {again} of {whole} objects were stored");
        }
        assert_eq!(house.names(), [created.name.to_string()], "{case}");
        house.assert_nothing_missing_or_left_over(&case);
        house.assert_restores(&created);
        house.assert_all_can_go(&case);
    }
    assert!(resumed * 2 > samples, "only {resumed} of {samples} runs had a checkpoint");
}

/// Large chunks are stored before their turn has come; what a checkpoint does not refer to must not be in it.
#[test]
fn gate_of_large_chunks_nothing_is_left_over_either_wherever_a_run_is_cut_off() {
    let house = || {
        let house = House { chunker_params: ChunkerParams::DEFAULT, ..House::new() };
        tree::write(&house.world().join("region/vast"), &sha_stream("vast", 40_000_000));
        house
    };
    let whole = house();
    let created = whole.backup(2).unwrap();
    whole.assert_nothing_missing_or_left_over("after the archive");
    whole.assert_restores(&created);
    let changes = whole.repository.store().changes();
    let samples = gate::amount(8, 100) as u64;
    let mut saved = 0;
    for cut in (1..=samples).map(|sample| sample * changes / (samples + 1)) {
        let case = format!("cut off after {cut} changes of {changes}");
        let house = house();
        house.repository.store().restart_counting();
        house.repository.store().fail_after = Some(cut);
        if house.backup(2).is_ok() {
            continue;
        }
        house.repository.store().fail_after = None;
        saved += house.names().len();
        house.assert_nothing_missing_or_left_over(&case);
        house.backup(0).unwrap();
        house.assert_nothing_missing_or_left_over(&case);
        house.assert_all_can_go(&case);
    }
    assert!(saved > 0, "no run had a checkpoint");
}
