//! Whatever a user can meet comes with something to do.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use worldkeeper_archive::{ArchiveName, ManifestError};
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_core::{ChunkId, DiskError, RepositoryError, RepositoryId};
use worldkeeper_crypto::nonce::WornOut;
use worldkeeper_crypto::tam::TamError;
use worldkeeper_crypto::{KeyBlobError, KeyFileError, PaperError};
use worldkeeper_engine::{EncodingProblem, KeyStoreError, ObjectError, StateError, Suspicion};
use worldkeeper_remote::{ConnectError, NO_PARENT};
use worldkeeper_scheduler::job::{BackupError, RetentionError};

use super::settings::CHUNKER_PARAMS;
use super::*;
use crate::report::advice;
use crate::secrets::{FileError, SecretError};
use crate::settings::{Origin, SettingsError};

/// Requires that an error, or what is behind it, comes with a hint that is fit to be read.
#[track_caller]
fn helps(error: impl Error + 'static) {
    let hint = advice(&error).unwrap_or_else(|| panic!("no hint for: {error}"));
    let sentence = hint.lines().next().unwrap_or_default();
    assert!(!sentence.is_empty() && !sentence.ends_with('.') && !sentence.contains("  "), "{hint:?}");
}

fn full() -> DiskError {
    DiskError::new("write", "/r/data/0/7", io::ErrorKind::StorageFull.into())
}

fn broken() -> DiskError {
    DiskError::new("read", "/r/data/0/7", io::ErrorKind::Other.into())
}

fn failing() -> DiskError {
    DiskError::new("read", "/r/data/0/7", rustix::io::Errno::IO.into())
}

fn unreachable(may_pass: bool, remedy: Option<&str>) -> RepositoryError {
    let source = ConnectError { message: "no".into(), remedy: remedy.map(Into::into), may_pass };
    RepositoryError::Unreachable { location: "ssh://nas/r".into(), may_pass, source: Box::new(source) }
}

/// One of each that can be met; the others are requests to stop and calls that nobody should have made.
fn repository_errors() -> Vec<RepositoryError> {
    let path = || "/r".to_owned();
    vec![
        RepositoryError::DoesNotExist(path()),
        RepositoryError::AlreadyExists(path()),
        RepositoryError::NotARepository { path: path(), reason: "it is a file".into() },
        RepositoryError::UnsupportedVersion { path: path(), version: "2".into() },
        RepositoryError::InvalidConfig { path: path(), reason: "no id".into() },
        RepositoryError::ObjectNotFound(ChunkId([7; 32])),
        RepositoryError::Damaged { segment: 7, offset: 8, reason: "checksum".into() },
        RepositoryError::CheckNeeded("no commit".into()),
        RepositoryError::LockTimeout { holder: "somebody".into(), waited_seconds: 600 },
        RepositoryError::LockLost("it is gone".into()),
        RepositoryError::NonceConflict { expected: None, found: Some(1) },
        RepositoryError::NonceDamaged("no number".into()),
        RepositoryError::InsufficientSpace { path: path(), available_bytes: 1, required_bytes: 2 },
        RepositoryError::DiskFull { path: path(), required_bytes: 2, source: full() },
        RepositoryError::QuotaExceeded { quota_bytes: 1, used_bytes: 2 },
        unreachable(true, None),
        unreachable(false, None),
        RepositoryError::ConnectionLost { location: path(), reason: "reset".into() },
        RepositoryError::Refused { location: path(), reason: "PathNotAllowed".into() },
        RepositoryError::Disk(full()),
        RepositoryError::Disk(broken()),
        RepositoryError::Disk(failing()),
        RepositoryError::Disk(DiskError::new("write", "/r/data/0/7", io::ErrorKind::FileTooLarge.into())),
        RepositoryError::Disk(DiskError::new("write", "/r/config", io::ErrorKind::ReadOnlyFilesystem.into())),
    ]
}

fn session_errors() -> Vec<SessionError> {
    let path = || "/r".to_owned();
    let mut errors: Vec<_> = repository_errors().into_iter().map(SessionError::from).collect();
    errors.extend([
        SessionError::State(full().into()),
        SessionError::Object(ObjectError {
            id: ChunkId([7; 32]),
            source: Box::new(RepositoryError::Disk(broken()).into()),
        }),
        SessionError::Unfinished(path()),
        SessionError::NoManifest(path()),
        SessionError::NoKeyFile { location: path(), id: RepositoryId([7; 32]) },
        SessionError::Keyless(path()),
        KeyStoreError::Disk(broken()).into(),
        KeyStoreError::Damaged { path: "/k".into(), source: KeyFileError::FirstLine }.into(),
        KeyStoreError::NotTheKey { path: "/k".into(), id: RepositoryId([7; 32]) }.into(),
        SessionError::NoKey(path()),
        SessionError::Key(KeyBlobError::WrongPassphrase),
        SessionError::Key(KeyBlobError::NotBase64),
        SessionError::PassphraseNeeded(path()),
        SessionError::ForeignKey(RepositoryId([7; 32])),
        SessionError::Manifest(ManifestError::FutureFormat),
        SessionError::Manifest(ManifestError::TamRequired),
        SessionError::Manifest(ManifestError::Tam(TamError::Invalid)),
        SessionError::Manifest(ManifestError::Missing("archives")),
        SessionError::Manifest(ManifestError::TooMany { what: "archives", count: 2, limit: 1 }),
        SessionError::Untrusted(Suspicion::OtherKeyType { seen: 7, found: 5 }),
        SessionError::OtherRepository { seen: RepositoryId([7; 32]), found: RepositoryId([8; 32]) },
        SessionError::ShorterList { count: 2, is_listed: true },
        SessionError::ShorterList { count: 2, is_listed: false },
        SessionError::WornOut(WornOut { start: u64::MAX }),
        SessionError::Encoding(EncodingProblem::Differs),
        SessionError::NotReadBack,
        SessionError::NotStored(ObjectError {
            id: ChunkId([7; 32]),
            source: Box::new(RepositoryError::ObjectNotFound(ChunkId([7; 32])).into()),
        }),
        SessionError::NothingOpens(path()),
    ]);
    errors
}

fn state_errors() -> [StateError; 4] {
    [
        full().into(),
        broken().into(),
        StateError::Damaged { path: "/s/instance".into(), reason: "no number".into() },
        StateError::DaemonRunning("/s".into()),
    ]
}

#[test]
fn what_a_repository_does_comes_with_a_hint() {
    repository_errors().into_iter().for_each(helps);
    session_errors().into_iter().for_each(helps);
    state_errors().into_iter().for_each(helps);
}

/// To delete archives frees the repository's disk, and no other.
#[test]
fn whose_disk_is_full_is_said() {
    let full = |path: &str| DiskError::new("write", path, io::ErrorKind::StorageFull.into());
    assert!(hint(&RepositoryError::Disk(full("/r/data/0/7"))).unwrap().contains("worldkeeper prune"));
    for error in
        [&StateError::from(full("/s/instance")) as &(dyn Error + 'static), &KeyCopyError::Disk(full("/s/instance"))]
    {
        assert_eq!(hint(error).unwrap(), "there is no space left for /s/instance: make some on its disk");
    }
}

/// A file that need not be there is nothing to give anybody a right to.
#[test]
fn who_may_not_make_a_file_needs_the_right_to_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let denied = |action, path: &Path| {
        hint(&StateError::from(DiskError::new(action, path, io::ErrorKind::PermissionDenied.into()))).unwrap()
    };
    let file = folder.path().join("starting");
    let right_to = |path: &Path| format!("the right to {}", path.display());
    assert!(denied("open", &file).ends_with(&right_to(folder.path())));
    std::fs::write(&file, "").unwrap();
    assert!(denied("open", &file).ends_with(&right_to(&file)));
}

/// How far a backup came before the disk was full says nothing of what it had still to write.
#[test]
fn nobody_is_told_to_make_too_little_space() {
    let full = RepositoryError::DiskFull { path: "/r".into(), required_bytes: 5_220_000, source: full() };
    let hint = hint(&full).unwrap();
    assert!(hint.contains("the first 5.22 MB did not fit") && hint.contains("more space than that"), "{hint}");
}

/// What is wrong is the path, not the disk. Segments that nobody expects are the repository's all the same.
#[test]
fn what_is_in_the_way_of_a_directory_is_told_from_a_disk_that_fails() {
    let exists = |action| {
        let error = DiskError::new(action, "/r", io::ErrorKind::AlreadyExists.into());
        hint(&RepositoryError::Disk(error)).unwrap()
    };
    assert!(exists("create directory").contains("is in the place of /r"));
    assert!(!exists("create").contains("move it away"));
}

/// Who presses Ctrl-C wants to know what is left of it.
#[test]
fn a_backup_that_was_stopped_says_what_is_left() {
    for stopped in [SessionError::Stopped, RepositoryError::Stopped.into()] {
        let error = BackupError::Create { series: "mc".into(), source: stopped.into() };
        assert!(hint(&error).unwrap().contains("no archive was made"));
    }
}

#[test]
fn repositories_that_cannot_be_told_apart_come_with_a_hint() {
    let text = || "nas".to_owned();
    helps(SettingsError::NoLabel("/r".into()));
    helps(SettingsError::LabelTwice(text()));
    helps(SettingsError::RepositoryTwice("/r".into()));
    helps(SettingsError::UnknownLabel { label: text(), labels: "local".into() });
    helps(SettingsError::WhichRepository { labels: "local, nas".into() });
    helps(SettingsError::Incomplete { given: "REMOTE_PATH", missing: "REMOTE_HOST" });
}

/// What a server grants a key is beside the point there.
#[test]
fn a_directory_that_is_not_there_is_told_from_one_that_is_not_granted() {
    let refused = |reason: &str| {
        hint(&RepositoryError::Refused { location: "ssh://nas/a/r".into(), reason: reason.into() }).unwrap()
    };
    let missing = refused(NO_PARENT);
    assert!(missing.contains("--make-parent-dirs") && !missing.contains("authorized_keys"), "{missing}");
    assert!(refused("PathNotAllowed").contains("authorized_keys"));
}

#[test]
fn who_cannot_connect_says_what_to_do() {
    let dialled = |may_pass| ConnectError { message: "no".into(), remedy: None, may_pass };
    assert!(hint(&dialled(true)).unwrap().contains("is up") && hint(&dialled(false)).unwrap().contains("location"));
    let remedy = "pin its key: `worldkeeper trust-host nas`";
    assert_eq!(hint(&AccessError::from(unreachable(false, Some(remedy)))).as_deref(), Some(remedy));
}

/// However deep it lies: wrappers that show the error inside them as their own hide it from who follows the causes.
/// What is said of limits and examples is what is taken.
#[test]
fn chunker_parameters_that_are_refused_come_with_those_that_are_not() {
    let refused = |text: &str| {
        let reason = ChunkerParams::from_str(text).expect_err(text).into();
        let (origin, value) = (Origin::Default, text.to_owned());
        helps(SettingsError::Invalid { origin, value, reason });
    };
    let taken = |text: &str| assert!(ChunkerParams::from_str(text).is_ok(), "{text}");
    for text in ["1,2,3", "5,23,21,4095", "19,24,21,4095", "19,23,18,4095", "19,23,21,4096", "6,7,6,65", "fixed,63"] {
        refused(text);
    }
    refused("fixed,20971480");
    for text in ["buzhash,19,23,21,4095", "6,23,6,4095", "6,7,6,63", "fixed,4194304", "fixed,64", "fixed,20971479"] {
        taken(text);
        let is_example = CHUNKER_PARAMS.contains(&format!("like {text}"));
        assert_eq!(is_example, ["buzhash,19,23,21,4095", "fixed,4194304"].contains(&text));
    }
}

/// Somebody who imports what is no tar is not sent after options of tars.
#[test]
fn what_is_no_tar_is_told_from_a_tar_that_is_cut_off() {
    let hint = |error: TarError| hint(&ImportError::Tar(error)).expect("there is one");
    for error in [TarError::NoTar { problem: "its checksum is wrong" }, TarError::Endless { offset: 0 }] {
        assert!(hint(error).starts_with("name a tar"));
    }
    assert!(hint(TarError::Endless { offset: 512 }).contains("--ignore-zeros"));
}

#[test]
fn every_wrapper_is_looked_into() {
    repository_errors().into_iter().map(AccessError::from).for_each(helps);
    state_errors().into_iter().map(AccessError::from).for_each(helps);
    let each = |wrap: fn(SessionError)| session_errors().into_iter().for_each(wrap);
    each(|error| helps(AccessError::Session(error)));
    each(|error| helps(BackupError::Create { series: "mc".into(), source: error.into() }));
    each(|error| helps(RetentionError::Prune(error.into())));
    each(|error| helps(RetentionError::Compact(error)));
    each(|error| helps(ExtractError::Session(error)));
}

#[test]
fn what_cannot_be_opened_or_deleted_comes_with_a_hint() {
    let location = || "/r".to_owned();
    let path = || PathBuf::from("/s/config");
    let suspicion = Suspicion::OtherKeyType { seen: 7, found: 5 };
    for error in [
        AccessError::WrongPassphrase { origin: "from BORG_PASSPHRASE".into(), location: location() },
        AccessError::Gone { location: location(), id: RepositoryId([7; 32]) },
        AccessError::Fleeting("/s".into()),
        AccessError::Config {
            location: location(),
            copy: path(),
            source: RepositoryError::InvalidConfig { path: location(), reason: "no id".into() }.into(),
        },
        AccessError::Untrusted { location: location(), suspicion },
        AccessError::Untrusted { location: location(), suspicion: Suspicion::OpenToAnybody },
    ] {
        helps(error);
    }
    let name = ArchiveName::from_bytes("mc-1");
    let (time, now) = ("2030-01-01T00:00:00Z".parse().unwrap(), "2029-01-01T00:00:00Z".parse().unwrap());
    helps(DeleteError::NoSuchArchive(name.clone()));
    let future = DeleteError::FromTheFuture { name, time, now };
    assert!(hint(&future).unwrap().ends_with("worldkeeper delete mc-1"));
    helps(RetentionError::Prune(future));
    helps(RetentionError::ClockSet(jiff::SignedDuration::from_hours(-50)));
}

#[test]
fn other_failures_come_with_a_hint() {
    let io = |kind: io::ErrorKind| io::Error::from(kind);
    let path = || PathBuf::from("/x");
    helps(CreateError::Source(RootError::NoProc));
    helps(CreateError::Hangs { path: b"/data".to_vec(), seconds: 300 });
    helps(CreateError::Stuck { count: 4, path: b"/data".to_vec(), since: Timestamp::UNIX_EPOCH });
    helps(CreateError::Lost { path: b"/data".to_vec() });
    helps(BackupError::Lacking { archive: "mc-1".into(), lacking: "1 source wholly".into() });
    helps(CreateError::Source(RootError::LeftOut { path: b"/r".to_vec() }));
    helps(CreateError::Source(RootError::SameNames { path: b"/a/./world".to_vec(), other: b"/b/./world".to_vec() }));
    helps(RestoreProblem::NotEmpty(path()));
    for older in [None, Some("mc-1".to_owned())] {
        helps(RestoreProblem::List { archive: "mc-2".into(), older, source: Box::new(SessionError::Stopped) });
    }
    for checkpoint in [None, Some("mc-1.checkpoint".to_owned())] {
        helps(ArchiveError::NoArchive { location: "/r".into(), checkpoint });
    }
    helps(RestoreProblem::Target { path: path(), source: io(io::ErrorKind::NotADirectory) });
    helps(FileError::Exposed { path: path(), mode: 0o644 });
    helps(FileError::Empty(path()));
    helps(SecretError::Descriptor);
    helps(SecretError::NoneNew);
    helps(KeyCopyError::NotRegular(path()));
    helps(KeyCopyError::Disk(full()));
    helps(KeyCopyError::Write { path: path(), source: full() });
    helps(KeyCopyError::NoKey { from: "x".into(), source: KeyFileError::FirstLine });
    helps(KeyCopyError::Line { from: "x".into(), number: 7, source: PaperError::CheckDigits });
    helps(KeyCopyError::Incomplete { from: "x".into(), expected: "7".into() });
    helps(SettingsError::KeepsNothing);
    helps(SettingsError::SourceTwice(path()));
    helps(DaemonError::Interrupted);
    helps(CheckProblem::NotConfirmed);
}
