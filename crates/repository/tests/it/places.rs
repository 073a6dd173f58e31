//! What is refused as a repository, and what is said about it.

use std::fs;
use std::path::Path;

use worldkeeper_core::{Repository, RepositoryError, RepositoryId};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode, OsDisk};

use crate::common::{create, id, object, open, put};

fn options() -> CreateOptions {
    CreateOptions::new(RepositoryId([1; 32]))
}

fn try_create(path: &Path) -> Result<(), RepositoryError> {
    LocalRepository::create(&OsDisk, path, &options())
}

#[test]
fn a_new_repository_is_the_one_stock_makes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    try_create(&path).unwrap();
    let readme = fs::read_to_string(path.join("README")).unwrap();
    assert_eq!(readme, "This is a Borg Backup repository.\nSee https://borgbackup.readthedocs.io/\n");
    assert_eq!(fs::read_dir(path.join("data")).unwrap().count(), 0);
    assert!(matches!(try_create(&path), Err(RepositoryError::AlreadyExists(_))));
    assert!(
        matches!(try_create(&path.join("below/it")), Err(RepositoryError::AlreadyExists(above)) if above == path.display().to_string())
    );
}

#[test]
fn there_must_be_room_for_a_new_repository() {
    let directory = tempfile::tempdir().unwrap();
    let reason = |path: &Path| match try_create(path) {
        Err(RepositoryError::NotARepository { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    assert_eq!(reason(&file), "it is a file");
    assert_eq!(reason(directory.path()), "it is a directory with other files in it, and has no config");
    assert_eq!(reason(&directory.path().join("a/b")), "the directory it should be created in does not exist");
    assert!(!directory.path().join("a").exists());
    let with_parents = CreateOptions { make_parent_dirs: true, ..options() };
    LocalRepository::create(&OsDisk, &directory.path().join("a/b"), &with_parents).unwrap();

    // A README alone is not what an interrupted creation has left, unless it is ours.
    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("README"), "My world").unwrap();
    assert_eq!(reason(&foreign), "it is a directory with other files in it, and has no config");
    fs::write(foreign.join("README"), "This is a Borg Backup repository.\n").unwrap();
    try_create(&foreign).unwrap();

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    try_create(&empty).unwrap();

    // Stock calls this a repository, too, though its config is lost.
    fs::remove_file(empty.join("config")).unwrap();
    fs::create_dir(empty.join("data/0")).unwrap();
    assert!(matches!(try_create(&empty), Err(RepositoryError::AlreadyExists(_))));
    assert!(matches!(open(&OsDisk, &empty, Mode::Shared), Err(RepositoryError::NotARepository { .. })));
}

/// As in a directory that was removed where it is mounted from: it is there, and nothing can be made in it.
#[test]
fn where_a_directory_takes_nothing_that_is_said() {
    let options = CreateOptions { make_parent_dirs: true, ..options() };
    let refused = LocalRepository::create(&OsDisk, Path::new("/proc/none/of/these"), &options).unwrap_err();
    assert!(matches!(&refused, RepositoryError::Disk(error) if error.is_not_found()), "{refused:?}");
}

#[test]
fn only_a_borg_1_repository_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    let error = || open(&OsDisk, &path, Mode::Exclusive).map(drop).unwrap_err();
    assert!(matches!(error(), RepositoryError::DoesNotExist(_)));
    fs::write(&path, "x").unwrap();
    assert!(matches!(error(), RepositoryError::NotARepository { .. }));
    assert!(matches!(
        open(&OsDisk, &path.join("below"), Mode::Shared).map(drop),
        Err(RepositoryError::DoesNotExist(_))
    ));
    fs::remove_file(&path).unwrap();

    // Borg 2: the betas before 10 kept the old form with another number, those since then keep objects.
    create(&OsDisk, &path);
    let config = fs::read_to_string(path.join("config")).unwrap();
    fs::write(path.join("config"), config.replace("version = 1", "version = 2")).unwrap();
    let names = || fs::read_dir(&path).unwrap().count();
    let before = names();
    let text = error().to_string();
    assert!(text.ends_with("has version 2 (borg 2), only version 1 (borg 1.1 to 1.4) is supported"), "{text}");
    assert_eq!(names(), before, "nothing is written");
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir_all(path.join("config")).unwrap();
    fs::write(path.join("config/version"), "3").unwrap();
    assert!(matches!(error(), RepositoryError::UnsupportedVersion { version, .. } if version == "3 (borg 2)"));
    assert!(matches!(try_create(&path), Err(RepositoryError::AlreadyExists(_))));
    assert_eq!(names(), 1);
}

#[test]
fn an_attic_repository_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r");
    create(&OsDisk, &path);
    put(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), &[(id(1), object(1, 10))]);
    let segment = path.join("data/0/1");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[..8].copy_from_slice(b"ATTICSEG");
    fs::write(&segment, bytes).unwrap();
    let error = open(&OsDisk, &path, Mode::Exclusive).unwrap().ids().unwrap_err();
    assert!(error.to_string().contains("attic"), "{error}");
}
