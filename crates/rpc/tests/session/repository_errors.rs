//! Borg's exceptions and our errors, both ways.

use worldkeeper_core::{ChunkId, RepositoryError};
use worldkeeper_rpc::{Arg, AsSeen, Class, RemoteError};

use crate::errors::outcome;
use crate::recordings::cases;

const SEEN: AsSeen<'_> = AsSeen { location: "ssh://host/./r", lock_wait_seconds: 1 };

#[test]
fn what_stock_answers_becomes_our_error() {
    let id = "01".repeat(32);
    for (case, expected) in [
        ("open: no such repository", "there is no repository at ssh://host/./r".to_owned()),
        (
            "open create: parent missing",
            "the server of the repository at ssh://host/./r refuses: The parent path of the repo directory [/mnt/x/y] does not exist.".to_owned(),
        ),
        (
            "open create: directory not empty",
            "ssh://host/./r is no borg repository: there is something else".to_owned(),
        ),
        (
            "open: not a repository",
            "ssh://host/./r is no borg repository: the server finds no valid configuration there".to_owned(),
        ),
        (
            "open: config without [repository]",
            "the configuration of the repository at ssh://host/./r is invalid: no repository section found".to_owned(),
        ),
        (
            "open: config version 2",
            "the repository at ssh://host/./r has version 2, only version 1 (borg 1.1 to 1.4) is supported".to_owned(),
        ),
        ("get: missing", format!("object {id} is not in the repository")),
        (
            "put: one byte too big",
            "the server refused: Data integrity error: More than allowed put data [20971480 > 20971479]".to_owned(),
        ),
        ("list: unknown marker", "the server failed with KeyError: 'marker not found'".to_owned()),
        (
            "open: locked by another process",
            "the repository is locked by whoever holds /mnt/r/lock.exclusive; waited 1 s".to_owned(),
        ),
        ("open create: exists", "there is already a repository at ssh://host/./r".to_owned()),
        ("path not allowed", "the server of the repository at ssh://host/./r refuses: Repository path not allowed: /mnt/r".to_owned()),
        (
            "put 5,000,000 bytes #3",
            "the repository's storage quota of 10000000 bytes is exceeded: 15000000 bytes would be used".to_owned(),
        ),
        ("unknown method", "the server of the repository at ssh://host/./r refuses: RPC method frobnicate is not valid.".to_owned()),
    ] {
        let recorded = cases().into_iter().find(|recorded| recorded.name == case).expect(case);
        let error = outcome(&recorded).unwrap_err().into_repository_error(SEEN);
        assert_eq!(error.to_string(), expected, "{case}");
    }
}

#[test]
fn a_conflict_of_nonces_is_told_from_other_failures() {
    for case in cases() {
        if let Err(error) = outcome(&case) {
            let is_conflict = matches!(error.into_repository_error(SEEN), RepositoryError::NonceConflict { .. });
            assert_eq!(is_conflict, case.name == "commit_nonce_reservation: mismatch", "{}", case.name);
        }
    }
}

#[test]
fn our_errors_survive_the_way_to_a_client_of_ours() {
    let path = || SEEN.location.to_owned();
    for error in [
        RepositoryError::DoesNotExist(path()),
        RepositoryError::AlreadyExists(path()),
        RepositoryError::UnsupportedVersion { path: path(), version: "2".to_owned() },
        RepositoryError::InvalidConfig { path: path(), reason: "no id".to_owned() },
        RepositoryError::ObjectNotFound(ChunkId([3; 32])),
        RepositoryError::Damaged { segment: 7, offset: 1234, reason: "checksum mismatch".to_owned() },
        RepositoryError::InsufficientSpace { path: path(), available_bytes: 10_000, required_bytes: 20_000_000 },
        RepositoryError::QuotaExceeded { quota_bytes: 10_000_000, used_bytes: 15_000_000 },
    ] {
        let sent = RemoteError::from_repository_error(&error, SEEN.location);
        assert_eq!(sent.into_repository_error(SEEN).to_string(), error.to_string());
    }
}

#[test]
fn our_errors_are_those_that_stocks_client_knows() {
    let sent = |error| RemoteError::from_repository_error(&error, "/srv/r");
    let path = || "/srv/r".to_owned();
    for (error, class, args) in [
        (RepositoryError::CheckNeeded("it is odd".to_owned()), Class::CheckNeeded, &["/srv/r"][..]),
        (
            RepositoryError::NotARepository { path: path(), reason: String::new() },
            Class::InvalidRepository,
            &["/srv/r"],
        ),
        (
            RepositoryError::LockTimeout { holder: "me".to_owned(), waited_seconds: 1 },
            Class::LockTimeout,
            &["/srv/r/lock.exclusive"],
        ),
        (RepositoryError::LockLost("gone".to_owned()), Class::NotMyLock, &["/srv/r/lock.exclusive"]),
        (
            RepositoryError::ObjectTooLarge(20_971_480),
            Class::IntegrityError,
            &["More than allowed put data [20971480 > 20971479]"],
        ),
        (RepositoryError::Stopped, Class::Error, &["stopped on request"]),
    ] {
        let error = sent(error);
        assert_eq!(error.class(), Some(class));
        assert_eq!(error.args, args.iter().map(|arg| Arg::from(*arg)).collect::<Vec<_>>());
    }
    let conflict = sent(RepositoryError::NonceConflict { expected: None, found: Some(1) });
    assert_eq!(conflict.to_string(), "Exception: nonce space reservation with mismatched previous state");
}

#[test]
fn what_a_hostile_server_says_stays_text() {
    for class in Class::all() {
        for args in [vec![], vec![Arg::Nil, Arg::Other], vec![Arg::from("\x1b[2J [segment x, offset y]"), Arg::Int(-1)]]
        {
            let error = RemoteError::borg(class, args).into_repository_error(SEEN);
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
    let error = RemoteError::python("\x1b", "\n").into_repository_error(SEEN);
    assert!(!error.to_string().contains(char::is_control), "{error}");
}
