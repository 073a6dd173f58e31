//! What to do about an error: one hint for each that somebody can do something about.

use std::error::Error;
use std::io;

use worldkeeper_core::{DiskError, RepositoryError};
use worldkeeper_engine::{CreateError, DeleteError, ExtractError, RestoreError, RootError, SessionError, StateError};
use worldkeeper_scheduler::DaemonError;
use worldkeeper_scheduler::job::{BackupError, RetentionError};

use crate::commands::{ArchiveError, ContainerError, RestoreProblem, SourceMissing};
use crate::open::AccessError;
use crate::secrets::{FileError, SecretError};
use crate::settings::SettingsError;

/// What to do about an error, if this is one of those that somebody can do something about.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    // A transparent error is not followed by the one it shows: it has to be looked into.
    if let Some(error) = error.downcast_ref::<AccessError>() {
        return access(error);
    }
    if let Some(error) = error.downcast_ref::<RepositoryError>() {
        return repository(error);
    }
    if let Some(error) = error.downcast_ref::<SessionError>() {
        return session(error);
    }
    if let Some(BackupError::Create { source: CreateError::Session(error), .. }) = error.downcast_ref() {
        return session(error);
    }
    if let Some(error) = error.downcast_ref::<CreateError>() {
        return match error {
            CreateError::Session(error) => session(error),
            CreateError::Source(error) => root(error),
            _ => None,
        };
    }
    if let Some(DeleteError::Session(error)) = error.downcast_ref() {
        return session(error);
    }
    if let Some(DeleteError::NoSuchArchive(_)) = error.downcast_ref() {
        return Some(SEE_LIST.to_owned());
    }
    if let Some(RetentionError::Compact(error)) = error.downcast_ref() {
        return session(error);
    }
    if let Some(ExtractError::Session(error)) = error.downcast_ref() {
        return session(error);
    }
    if let Some(RestoreError::Io { source, .. }) = error.downcast_ref() {
        return system(source.kind(), "the target");
    }
    if let Some(error) = error.downcast_ref::<StateError>() {
        return state(error);
    }
    if let Some(error) = error.downcast_ref::<DiskError>() {
        return disk(error);
    }
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        return settings(error);
    }
    if let Some(error) = error.downcast_ref::<SecretError>() {
        return secret(error);
    }
    if let Some(error) = error.downcast_ref::<FileError>() {
        return file(error);
    }
    if let Some(error) = error.downcast_ref::<RestoreProblem>() {
        return restore(error);
    }
    if let Some(error) = error.downcast_ref::<SourceMissing>() {
        return Some(source_missing(error));
    }
    if let Some(ContainerError { origin, .. }) = error.downcast_ref() {
        return Some(format!("look at the names in `docker ps --all`, and mend {origin}"));
    }
    if error.downcast_ref::<ArchiveError>().is_some() {
        return Some(SEE_LIST.to_owned());
    }
    if let Some(DaemonError::Interrupted) = error.downcast_ref() {
        return Some("whatever was left half done is rolled back by the next command".to_owned());
    }
    None
}

/// What a hint ends with that is to be copied, line by line: a command, a piece of a file.
pub(super) fn lines(error: &(dyn Error + 'static)) -> Vec<String> {
    if let Some(RestoreProblem::ReadOnly { command, .. }) = error.downcast_ref() {
        return vec![command.clone()];
    }
    if let Some(AccessError::Fleeting(directory)) = error.downcast_ref() {
        let mount = format!("      - worldkeeper:{}", directory.display());
        let lines = ["services:", "  worldkeeper:", "    volumes:", &mount, "volumes:", "  worldkeeper:"];
        return lines.map(str::to_owned).to_vec();
    }
    Vec::new()
}

const SEE_LIST: &str = "`worldkeeper list` shows the archives there are";

fn access(error: &AccessError) -> Option<String> {
    match error {
        AccessError::Repository(error) => repository(error),
        AccessError::Session(error) => session(error),
        AccessError::State(error) => state(error),
        AccessError::WrongPassphrase { .. } => Some(
            "give the one the repository was made with, by BORG_PASSPHRASE_FILE, BORG_PASSCOMMAND or BORG_PASSPHRASE"
                .to_owned(),
        ),
        AccessError::Fleeting(_) => Some(
            "it would be lost with the container, and every backup with it. Mount a volume there, or give a passphrase \
             by BORG_PASSPHRASE_FILE. In the compose file:"
                .to_owned(),
        ),
        AccessError::Gone { location, .. } => Some(format!(
            "is its volume mounted? No new one is made in its place, which would hide that it is missing. If it is gone \
             for good, say so, and the next backup makes a new one: worldkeeper adopt {location}"
        )),
        AccessError::Untrusted { location, .. } => Some(format!(
            "it may have been replaced by an older copy, or by somebody. List and restore still work. If it is right as \
             it is, say so: worldkeeper adopt {location}"
        )),
        AccessError::Random(_) => None,
    }
}

fn repository(error: &RepositoryError) -> Option<String> {
    Some(match error {
        RepositoryError::DoesNotExist(_) => {
            "the first backup makes it; if it is elsewhere, name its directory with --repository or BORG_REPO_PATH"
                .into()
        }
        RepositoryError::NotARepository { .. } | RepositoryError::AlreadyExists(_) => {
            "a repository needs a directory of its own: name one that does not exist yet, or is empty".into()
        }
        RepositoryError::UnsupportedVersion { .. } => {
            "repositories of borg 2 cannot be used; name another directory, a new repository is made there".into()
        }
        RepositoryError::InvalidConfig { .. } => "put the file `config` back from a copy of the repository".into(),
        RepositoryError::LockTimeout { .. } => {
            "try again when that has ended, or wait longer with --lock-wait. If its holder is certainly dead: \
             worldkeeper break-lock"
                .into()
        }
        RepositoryError::Damaged { .. } | RepositoryError::CheckNeeded(_) | RepositoryError::ObjectNotFound(_) => {
            "have stock look at it: borg check REPOSITORY".into()
        }
        RepositoryError::InsufficientSpace { .. } => {
            "make space on its disk, or keep fewer archives and run: worldkeeper prune".into()
        }
        RepositoryError::QuotaExceeded { .. } => "keep fewer archives and run: worldkeeper prune".into(),
        RepositoryError::Disk(error) => return disk(error),
        _ => return None,
    })
}

fn session(error: &SessionError) -> Option<String> {
    Some(match error {
        SessionError::Repository(error) => return repository(error),
        SessionError::State(error) => return state(error),
        SessionError::PassphraseNeeded(_) => {
            "give the one it was made with, by BORG_PASSPHRASE_FILE, BORG_PASSCOMMAND or BORG_PASSPHRASE; or bring back \
             the state directory that holds the generated one"
                .into()
        }
        SessionError::Unfinished(_) => "run a backup, which finishes it: worldkeeper backup".into(),
        SessionError::UnknownMode(_) | SessionError::UnsupportedMode(_) => {
            "repositories with encryption none, repokey and repokey-blake2 can be used".into()
        }
        SessionError::Untrusted(_) => {
            "if the repository is right as it is, say so: worldkeeper adopt REPOSITORY".into()
        }
        SessionError::NoManifest(_) | SessionError::Object(_) | SessionError::Archive(_) | SessionError::NotReadBack => {
            "have stock look at it: borg check REPOSITORY".into()
        }
        _ => return None,
    })
}

fn state(error: &StateError) -> Option<String> {
    match error {
        StateError::Disk(error) => disk(error).or_else(|| Some(STATE_DIR.to_owned())),
        StateError::DaemonRunning(_) => {
            Some("commands work beside it: worldkeeper backup, list, restore, status".to_owned())
        }
        StateError::Damaged { .. } => {
            Some("put the file back from a copy, or remove it if you know what it was".to_owned())
        }
        _ => None,
    }
}

const STATE_DIR: &str = "name a directory that can be written to, with --state-dir or WORLDKEEPER_STATE_DIR; in a \
                         container it has to be a volume";

fn disk(error: &DiskError) -> Option<String> {
    if error.is_out_of_space() {
        return Some("there is no space left: make some, or keep fewer archives and run: worldkeeper prune".to_owned());
    }
    system(error.kind(), &error.path.display().to_string())
}

fn system(kind: io::ErrorKind, what: &str) -> Option<String> {
    Some(match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no space left: make some".into(),
        io::ErrorKind::PermissionDenied => {
            format!("run as a user who may do that, or give this one the right to {what}")
        }
        io::ErrorKind::ReadOnlyFilesystem => format!("{what} is mounted read-only"),
        _ => return None,
    })
}

fn root(error: &RootError) -> Option<String> {
    match error {
        RootError::Unreadable { .. } => Some(NAME_SOURCES.to_owned()),
        RootError::LeftOut { .. } => Some("name the game's directory, not ours".to_owned()),
        RootError::NoProc => None,
    }
}

const NAME_SOURCES: &str = "name the directories to back up with --source or BACKUP_SOURCES; in a container they have \
                            to be mounted";

fn source_missing(error: &SourceMissing) -> String {
    if error.source.kind() == io::ErrorKind::NotFound {
        return format!("{NAME_SOURCES}. To try it out, `run --demo` makes a small world there");
    }
    NAME_SOURCES.to_owned()
}

fn settings(error: &SettingsError) -> Option<String> {
    Some(match error {
        SettingsError::Encryption { .. } => "repokey-blake2, repokey and none can be used".into(),
        SettingsError::Conflict { first, .. } => format!("set {first} alone"),
        SettingsError::UnknownVariable { .. } => "rename it or take it away: as it is, it would have no effect".into(),
        SettingsError::NotSupportedYet { variable, .. } => {
            format!("take {variable} away; backups by interval (BACKUP_INTERVAL=1h) into a directory work")
        }
        SettingsError::KeepsNothing => "let one rule keep something, like KEEP_DAILY=7".into(),
        SettingsError::Series(_) => "choose a name with --name or WORLDKEEPER_NAME".into(),
        SettingsError::NoStateDirectory => "name one with --state-dir or WORLDKEEPER_STATE_DIR".into(),
        SettingsError::AnotherRepository { .. } => "name the repository that is to be accepted in both places".into(),
        _ => return None,
    })
}

fn secret(error: &SecretError) -> Option<String> {
    match error {
        SecretError::File { reason, .. } => file(reason),
        SecretError::TwoSources { .. } => Some("take one of them away".to_owned()),
        _ => None,
    }
}

fn file(error: &FileError) -> Option<String> {
    match error {
        FileError::Exposed { path, .. } => Some(format!("make it yours alone: chmod 600 {}", path.display())),
        FileError::InSource { .. } => {
            Some("move it out of there: the game can read and replace it, and it would be in the backups".to_owned())
        }
        _ => None,
    }
}

fn restore(error: &RestoreProblem) -> Option<String> {
    match error {
        RestoreProblem::NotEmpty(_) => {
            Some("--overwrite replaces the files that are there; --to DIR restores elsewhere".to_owned())
        }
        RestoreProblem::ReadOnly { .. } => {
            Some("stop the game, restore with a container that may write, then start the game again:".to_owned())
        }
        RestoreProblem::NoOrigin { .. } | RestoreProblem::NothingMatches { .. } => {
            Some("`worldkeeper list ARCHIVE` shows what is in it; --to DIR restores anything elsewhere".to_owned())
        }
        RestoreProblem::Target { .. } => None,
    }
}
