//! Sources that have two names, that are left out, and that cannot be read: no archive lacks one silently.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use worldkeeper_engine::{CreateOptions, CreateStats, Silent, create};

use crate::{House, UNREADABLE};

/// Makes an archive of these; returns the paths in it, and what was counted.
fn archive_of(house: &House, sources: &[PathBuf], excluded: &[&str]) -> (Vec<String>, CreateStats) {
    let mut options = CreateOptions::new("mc", sources);
    for pattern in excluded {
        options.patterns.exclude(pattern.as_bytes()).unwrap();
    }
    let mut session = house.open();
    let stats = create(&mut session, &options, &Silent).unwrap().stats;
    let archive = session.open_archive(session.archives().last().unwrap()).unwrap();
    let mut paths: Vec<_> =
        session.items(&archive).map(|item| String::from_utf8(item.unwrap().path).unwrap()).collect();
    paths.sort();
    (paths, stats)
}

#[test]
fn a_source_with_two_names_and_one_within_another_are_in_the_archive() {
    let house = House::new();
    symlink(house.folder.path(), house.folder.path().join("other")).unwrap();
    let (world, region) = (house.world(), house.world().join("region"));
    let (once, _) = archive_of(&house, std::slice::from_ref(&world), &[]);
    let again = house.folder.path().join("other/world");
    assert_eq!(archive_of(&house, &[world.clone(), again.clone(), world.clone()], &[]).0, once);
    assert_eq!(archive_of(&house, &[region.clone(), world.clone(), again], &[]).0, once);
    // As stock: what was walked as part of a source is walked once more as one of its own.
    let within = once.iter().filter(|path| path.contains("/region")).count();
    assert_eq!(archive_of(&house, &[world.clone(), region.clone()], &[]).0.len(), once.len() + within);
    // What the user has left out is not missed.
    assert_eq!(archive_of(&house, &[world, region], &["*/region"]).0.len(), once.len() - within);
}

#[test]
fn a_source_that_cannot_be_read_makes_the_archive_none_to_rely_on() {
    let house = House::new();
    let unreadable = PathBuf::from(UNREADABLE);
    let (paths, stats) = archive_of(&house, &[house.world(), unreadable], &[]);
    assert!(paths.len() > 40);
    assert_eq!((stats.roots_failed, stats.files_failed), (1, 1));
    assert!(stats.lacks_much(None));
}

#[test]
fn files_that_cannot_be_read_are_many_from_ten_and_one_in_a_hundred_on() {
    let lacks = |files_failed, files_unchanged| {
        CreateStats { files_failed, files_unchanged, ..CreateStats::default() }.lacks_much(Some(1_000_000_000))
    };
    assert!(!lacks(0, 0));
    assert!(!lacks(9, 0));
    assert!(lacks(10, 0));
    assert!(lacks(10, 989));
    assert!(!lacks(10, 990));
    assert!(!lacks(1_000_000, 99_000_000));
    assert!(lacks(1_000_001, 99_000_000));
}

#[test]
fn with_a_directory_that_cannot_be_read_much_is_what_the_last_archive_had_more() {
    let lacks = |directories_failed, files_new, before| {
        let files_failed = directories_failed;
        CreateStats { files_failed, directories_failed, files_new, ..CreateStats::default() }.lacks_much(before)
    };
    assert!(lacks(1, 2, Some(302)));
    assert!(!lacks(1, 2, None), "nobody knows what it had");
    assert!(!lacks(0, 2, Some(302)), "they were deleted");
    assert!(!lacks(1, 2, Some(11)) && lacks(1, 2, Some(12)));
    assert!(!lacks(1, 990, Some(1000)) && lacks(1, 989, Some(1000)));
    assert!(!lacks(1, 400, Some(302)));
}

#[test]
fn a_change_shows_though_size_and_time_are_put_back_and_new_inodes_only_cost_time() {
    let house = House::new();
    let first = house.backup(0).unwrap();
    assert_eq!(house.backup(0).unwrap().stats.files_unchanged, first.stats.files());

    let changed = house.world().join("region/long");
    let file = fs::File::options().write(true).open(&changed).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"he moved", 1_000_000).unwrap();
    file.set_modified(modified).unwrap();
    let second = house.backup(0).unwrap();
    assert_eq!((second.stats.files_changed, second.stats.files_unchanged), (1, first.stats.files() - 1));
    house.assert_restores(&second);

    // As on a file system that numbers its inodes anew with every mount.
    let folder = house.world().join("000");
    let mut replaced = 0;
    for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_file() {
            let copy = folder.join("copy");
            fs::copy(&path, &copy).unwrap();
            fs::File::options().write(true).open(&copy).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
            fs::rename(&copy, &path).unwrap();
            replaced += 1;
        }
    }
    let before = house.repository.chunk_ids().len();
    let third = house.backup(0).unwrap();
    assert_eq!((third.stats.files_changed, third.stats.files_failed), (replaced, 0));
    // A piece of the item stream, the archive's metadata, and nothing of what is in the files.
    let added = house.repository.chunk_ids().len() - before;
    assert!(added <= 3, "{added} chunks were stored");
    house.assert_restores(&third);
}
