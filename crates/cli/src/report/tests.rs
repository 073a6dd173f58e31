//! Errors as they are shown.

use std::fs;
use std::io;
use std::path::PathBuf;

use worldkeeper_archive::{ArchiveName, ItemError, TooLarge};
use worldkeeper_core::{DiskError, RepositoryError};
use worldkeeper_engine::{ArchiveProblem, BrokenArchive, DeleteError, SessionError, StateError, Suspicion};
use worldkeeper_scheduler::job::{BackupError, OpenError};

use super::*;
use crate::commands::{RestoreLines, RestoreProblem};
use crate::open::AccessError;
use crate::secrets::{FileError, SecretError};
use crate::settings::Origin;

/// Checks how an error is shown, line by line.
#[track_caller]
fn shows(error: impl Into<anyhow::Error>, lines: &[&str]) {
    assert_eq!(text(&error.into()).lines().collect::<Vec<_>>(), lines);
}

fn full(path: &str) -> DiskError {
    DiskError::new("write", path, io::ErrorKind::StorageFull.into())
}

#[test]
fn headline_causes_hint() {
    let error = anyhow::Error::from(RepositoryError::Disk(full("/r/data/0/7"))).context("cannot create an archive");
    shows(
        error,
        &[
            "error: cannot create an archive",
            "caused by: the repository's disk failed",
            "caused by: cannot write /r/data/0/7",
            "caused by: no storage space",
            "hint: there is no space left: make some, or keep fewer archives and run: worldkeeper prune",
        ],
    );
}

#[test]
fn a_hint_is_found_behind_every_wrapper() {
    let wrong = || AccessError::WrongPassphrase { origin: "from BORG_PASSPHRASE".into(), location: "/r".into() };
    let wrapped = BackupError::Open(OpenError::Failed { source: Box::new(wrong()), retry: false });
    let hint = "hint: give the repository's, by BORG_PASSPHRASE_FILE, BORG_PASSCOMMAND or BORG_PASSPHRASE; it need no longer \
                be the one that the repository was made with";
    let headline = "error: the passphrase from BORG_PASSPHRASE is wrong for the repository at /r";
    shows(wrong(), &[headline, hint]);
    let cause = headline.replace("error", "caused by");
    shows(wrapped, &["error: cannot open the repository", &cause, hint]);
    // Each of these shows the error inside it as its own.
    let missing = || RepositoryError::DoesNotExist("/r".into());
    for error in [
        anyhow::Error::from(missing()),
        SessionError::from(missing()).into(),
        AccessError::Session(missing().into()).into(),
        AccessError::Repository(missing()).into(),
        BackupError::Create { series: "world".into(), source: SessionError::from(missing()).into() }.into(),
    ] {
        let text = text(&error);
        assert!(text.contains("there is no repository at /r") && text.contains("hint: the first backup"), "{text}");
    }
}

#[test]
fn an_archive_with_an_item_that_is_too_long_for_us_is_not_called_damaged() {
    let broken = || BrokenArchive {
        name: ArchiveName::from_bytes("long"),
        source: ArchiveProblem::Items(ItemError::TooLarge(TooLarge::Whole)),
    };
    let deleted = anyhow::Error::from(DeleteError::Session(SessionError::Archive(broken())));
    for error in [SessionError::Archive(broken()).into(), deleted] {
        let text = text(&error);
        assert!(
            text.contains("need not be damaged") && !text.contains("is damaged") && !text.contains("--force"),
            "{text}"
        );
    }
}

#[test]
fn a_repository_that_is_not_as_it_was_says_how_to_accept_it() {
    let (seen, found) = (7, 5);
    let suspicion = Suspicion::OtherKeyType { seen, found };
    let text = text(&AccessError::Untrusted { location: "/r".into(), suspicion }.into());
    assert!(text.contains("key type is 0x05, it was 0x07") && text.ends_with("worldkeeper adopt /r"), "{text}");
}

#[test]
fn an_exposed_secret_comes_with_the_command_that_hides_it() {
    let reason = FileError::Exposed { path: "/run/borg".into(), mode: 0o644 };
    shows(
        SecretError::File { origin: Origin::Variable("BORG_PASSPHRASE_FILE"), reason },
        &[
            "error: BORG_PASSPHRASE_FILE cannot be used",
            "caused by: /run/borg can be read by others (mode 0644)",
            "hint: make it yours alone: chmod 600 /run/borg",
        ],
    );
}

#[test]
fn what_is_foreign_cannot_steer_the_terminal() {
    let error = AccessError::State(StateError::DaemonRunning("/s\x1b[2J\nerror: fake".into()));
    let text = text(&error.into());
    assert!(!text.contains('\x1b') && text.lines().count() == 2, "{text}");
    let path = PathBuf::from("/x\nhint: rm -rf /");
    let text = super::text(&FileError::Exposed { path, mode: 0o666 }.into());
    assert!(text.contains("mode 0666") && text.contains("chmod 600") && text.lines().count() == 2, "{text}");
}

#[test]
fn the_command_that_can_restore_is_a_line_of_its_own() {
    let command = "docker run --rm worldkeeper restore latest --overwrite".to_owned();
    let lines = RestoreLines { text: command.clone(), passphrase: None, not_known: Vec::new() };
    let text = text(&RestoreProblem::ReadOnly { path: "/data".into(), lines }.into());
    assert!(text.starts_with("error: /data is mounted read-only\n"), "{text}");
    assert!(text.ends_with(&format!("\n    {command}")), "{text}");
}

#[test]
fn what_belongs_into_the_compose_file_can_be_copied() {
    let text = text(&AccessError::Fleeting("/var/lib/worldkeeper".into()).into());
    let lines = [
        "services:",
        "  worldkeeper:",
        "    volumes:",
        "      - worldkeeper:/var/lib/worldkeeper",
        "volumes:",
        "  worldkeeper:",
    ];
    assert!(text.ends_with(&lines.map(|line| format!("\n    {line}")).concat()), "{text}");
}

#[test]
fn a_reader_that_had_enough_is_no_failure() {
    let closed = || OutputError(io::ErrorKind::BrokenPipe.into());
    assert!(is_closed_pipe(&closed().into()));
    assert!(!is_closed_pipe(&OutputError(io::ErrorKind::StorageFull.into()).into()));
    assert_eq!(Done::with(0), Done::Well);
    assert_eq!(Done::with(3), Done::WithWarnings);
}

#[test]
fn one_line_holds_an_error_and_its_causes_once() {
    let missing = fs::read("/nowhere/at/all").unwrap_err();
    let error = DiskError::new("read", "/nowhere/at/all", missing);
    assert_eq!(chain(&error), "cannot read /nowhere/at/all: No such file or directory (os error 2)");
}
