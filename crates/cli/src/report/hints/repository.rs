//! What to do about a repository, what is in it, and the state directory.

use std::error::Error;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use worldkeeper_archive::{ArchiveError, ManifestError};
use worldkeeper_core::disk::parent;
use worldkeeper_core::{DiskError, RepositoryError};
use worldkeeper_crypto::KeyBlobError;
use worldkeeper_engine::{ArchiveProblem, BrokenArchive, KeyStoreError, ObjectProblem, SessionError, StateError};
use worldkeeper_remote::{ConnectError, NO_PARENT};
use worldkeeper_repository::SettingError;

use super::system;
use crate::words;

pub(super) const RIGHT_PASSPHRASE: &str = "give the repository's, by BORG_PASSPHRASE_FILE, BORG_PASSCOMMAND or BORG_PASSPHRASE; it need no longer be the one that \
     the repository was made with";

const DAMAGED: &str = "look after its disk, or put the repository back from a copy. How far the damage goes, and what of it \
                       can be mended, says: worldkeeper check";

const LOST_KEY: &str = "put the key back from the copy that was stored elsewhere: worldkeeper key import KEY_FILE";

const LATER_VERSION: &str = "a later version than this one has used it. Take that one, or another directory: a new \
                             repository is made there";

/// What to do about the settings that a repository holds.
pub(super) fn setting(error: &SettingError) -> Option<String> {
    match error {
        SettingError::Unknown(_) => Some("`worldkeeper config` shows those there are".to_owned()),
        SettingError::Fixed("key") => {
            Some("for the key there are: worldkeeper key export, key import and key change-passphrase".to_owned())
        }
        SettingError::Needed(name) => Some(format!("set it to another value: worldkeeper config {name} VALUE")),
        SettingError::Repository(error) => repository(error),
        _ => None,
    }
}

pub(super) fn repository(error: &RepositoryError) -> Option<String> {
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
        RepositoryError::InvalidConfig { .. } => {
            "put the file `config` back from a copy of the repository, or from the state directory of who backs up into it: \
             repositories/ID/config"
                .into()
        }
        RepositoryError::LockTimeout { .. } => {
            "try again when that has ended, or wait longer with --lock-wait. If its holder is certainly dead: \
             worldkeeper break-lock. To read past it: list, find, restore, diff or export-tar with --bypass-lock"
                .into()
        }
        RepositoryError::LockLost(_) => {
            "see to it that nobody else is at work on the repository, then try again: nothing was changed".into()
        }
        RepositoryError::NonceConflict { .. } => {
            "another client writes with the same key at the same time. Let it end, then try again".into()
        }
        RepositoryError::NonceDamaged(_) => {
            "look after its disk; nothing but the file `nonce` is lost with this, and restoring needs none. To go on far \
             beyond every counter value that was used: worldkeeper adopt REPOSITORY"
                .into()
        }
        RepositoryError::Damaged { .. } | RepositoryError::CheckNeeded(_) | RepositoryError::ObjectNotFound(_) => {
            DAMAGED.into()
        }
        RepositoryError::InsufficientSpace { .. } => {
            "what was under way is undone, and what is left of the disk is left to others, such as the game. Make space there, or \
             keep fewer archives and run: worldkeeper prune"
                .into()
        }
        RepositoryError::DiskFull { required_bytes, .. } => format!(
            "nothing was changed. Already the first {} did not fit, and how much there is in all is not known: make more space \
             than that, or keep fewer archives and run: worldkeeper prune; that, list, restore, delete and compact work on a \
             full disk, too",
            words::bytes(*required_bytes)
        ),
        RepositoryError::QuotaExceeded { .. } => {
            "keep fewer archives and run: worldkeeper prune; or raise it, like: worldkeeper config storage_quota 20G".into()
        }
        RepositoryError::Unreachable { source, may_pass, .. } => return Some(unreachable(source.as_ref(), *may_pass)),
        RepositoryError::ConnectionLost { .. } => {
            "see that the other machine is up and the network between holds, then try again. A backup goes on from its last \
             checkpoint; nothing half done is left behind"
                .into()
        }
        RepositoryError::Refused { reason, .. } if reason == NO_PARENT => {
            "see that the path is right; then make that directory there, or have it made: --make-parent-dirs or \
             MAKE_PARENT_DIRS=yes"
                .into()
        }
        RepositoryError::Refused { .. } => {
            "see what the server grants this key, in its `authorized_keys`: the path (--restrict-to-path, \
             --restrict-to-repository), writing (--append-only), space (--storage-quota); and whose the directory is. What may \
             only be read there is read with --bypass-lock"
                .into()
        }
        RepositoryError::Disk(error) if error.is_out_of_space() && !error.is_too_large() => {
            "there is no space left: make some, or keep fewer archives and run: worldkeeper prune".into()
        }
        RepositoryError::Disk(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            "the repository is mounted read-only: mount it so that it can be written; list, restore and check work as it is"
                .into()
        }
        RepositoryError::Disk(error) if error.source.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            "its disk is failing. Copy the repository to another one, with a program that goes on behind what cannot be \
             read (ddrescue does), then mend the copy: worldkeeper check --repair --repository COPY"
                .into()
        }
        RepositoryError::Disk(error)
            if error.action == "create directory"
                && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) =>
        {
            "no directory can be made there: name another one, with --repository or BORG_REPO_PATH".into()
        }
        RepositoryError::Disk(error) => return disk(error).or_else(|| Some("see what is wrong with its disk".into())),
        _ => return None,
    })
}

/// Who could not connect knows best why, and often what to do.
fn unreachable(source: &(dyn Error + Send + Sync + 'static), may_pass: bool) -> String {
    source.downcast_ref().map_or_else(|| general(may_pass), connect)
}

/// What to do about a connection that does not come about.
pub(super) fn connect(error: &ConnectError) -> String {
    error.remedy.clone().unwrap_or_else(|| general(error.may_pass))
}

fn general(may_pass: bool) -> String {
    let hint = if may_pass {
        "see that the other machine is up, and can be reached from here by that name and port; then try again, as `run` does \
         by itself"
    } else {
        "see that the location is right (ssh://USER@HOST:PORT/PATH), that the key may log in there, and that borg is installed \
         there, or named by BORG_REMOTE_PATH"
    };
    hint.to_owned()
}

pub(super) fn session(error: &SessionError) -> Option<String> {
    Some(match error {
        SessionError::Repository(error) => return repository(error),
        SessionError::State(error) => return state(error),
        SessionError::Object(error) => match error.source.as_ref() {
            ObjectProblem::Repository(error) => return repository(error),
            _ => DAMAGED.into(),
        },
        SessionError::PassphraseNeeded(_) => {
            format!("{RIGHT_PASSPHRASE}. Or bring back the state directory that holds the generated one")
        }
        SessionError::Key(KeyBlobError::WrongPassphrase) => RIGHT_PASSPHRASE.into(),
        SessionError::Key(_) | SessionError::NoKey(_) | SessionError::ForeignKey(_) | SessionError::NothingOpens(_) => {
            LOST_KEY.into()
        }
        SessionError::Unfinished(_) => "run a backup, which finishes it: worldkeeper backup".into(),
        SessionError::NoKeyFile { id, .. } => format!(
            "name its directory by BORG_KEYS_DIR, or put the copy back that was stored elsewhere: worldkeeper key import \
             KEY_FILE; it begins with BORG_KEY {id}"
        ),
        SessionError::Keyless(_) => "only a new repository can have a key: name another directory for it".into(),
        SessionError::KeyStore(error) => return key_store(error),
        SessionError::UnknownMode(_) => LATER_VERSION.into(),
        SessionError::Manifest(error) => manifest(error).into(),
        SessionError::Untrusted(_) => {
            "if the repository is right as it is, say so: worldkeeper adopt REPOSITORY".into()
        }
        SessionError::OtherRepository { .. } => {
            "is the right volume mounted? If it is, and this repository shall be used from now on, give its passphrase, \
             then say so: worldkeeper adopt REPOSITORY"
                .into()
        }
        SessionError::WornOut(_) => "let backups go into another directory: a new repository gets a new key".into(),
        SessionError::Encoding(_) => {
            "nothing wrong was stored. Memory or processor of this machine may be failing: test them before the next backup"
                .into()
        }
        SessionError::Archive(error) => archive(error).into(),
        SessionError::ShorterList { is_listed: true, .. } => {
            "if a borg before 1.0.9 wrote to the repository last, its list may be right: then prove it by a later one, with `borg \
             upgrade --tam --force` and then `borg upgrade --archives-tam`. Let no other `check --repair` near it before: what is \
             listed no more is deleted by stock's"
                .into()
        }
        SessionError::ShorterList { is_listed: false, .. } => {
            "nothing is lost yet, but stock's `check --repair` would delete them. If borg 1.2.4 or older has renamed, recreated or \
             repaired them, BORG_WORKAROUNDS=ignore_invalid_archive_tam has it list them; take a copy of the repository before"
                .into()
        }
        SessionError::NoManifest(_) | SessionError::NotReadBack | SessionError::NotStored(_) => DAMAGED.into(),
        _ => return None,
    })
}

fn archive(error: &BrokenArchive) -> &'static str {
    match &error.source {
        ArchiveProblem::Metadata(ArchiveError::Tam(_)) => {
            "borg 1.2.4 and older leave that behind when they rename, recreate or repair an archive; then `borg upgrade \
             --archives-tam` of a later one proves it again. To look at it before: \
             BORG_WORKAROUNDS=ignore_invalid_archive_tam reads it as it is. Else do not trust it"
        }
        _ if error.is_beyond_us() => {
            "it need not be damaged: stock borg reads more of one file than Worldkeeper does, and may list, extract and recreate it"
        }
        _ => DAMAGED,
    }
}

fn key_store(error: &KeyStoreError) -> Option<String> {
    Some(match error {
        KeyStoreError::Disk(error) => {
            let elsewhere = || "name a directory that can be written to, by BORG_KEYS_DIR".to_owned();
            return disk(error).or_else(|| Some(elsewhere()));
        }
        KeyStoreError::Damaged { .. } => LOST_KEY.to_owned(),
        KeyStoreError::NotTheKey { .. } => "name another file in BORG_KEY_FILE, or none".to_owned(),
        _ => return None,
    })
}

fn manifest(error: &ManifestError) -> &'static str {
    match error {
        ManifestError::FutureFormat | ManifestError::UnsupportedVersion(_) | ManifestError::UnsupportedFeatures(_) => {
            LATER_VERSION
        }
        ManifestError::TamRequired => {
            "if a borg before 1.0.9 wrote to it last, prove it by a later one, with `borg upgrade --tam --force` and then `borg \
             upgrade --archives-tam`. If none did, somebody without the key may have written it: do not trust what it lists, put \
             the repository back from a copy, or see what can be proven of it: worldkeeper check"
        }
        ManifestError::Tam(_) => {
            "somebody without the key may have written it: do not trust what it lists. Put the repository back from a copy, \
             or see what can be proven of it: worldkeeper check"
        }
        ManifestError::TooMany { .. } => "keep fewer archives and run: worldkeeper prune",
        _ => DAMAGED,
    }
}

pub(super) fn state(error: &StateError) -> Option<String> {
    match error {
        StateError::Disk(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Some(STATE_DIR.to_owned()),
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

pub(super) fn disk(error: &DiskError) -> Option<String> {
    // What is in the place of a new file of ours is most likely one of ours, which nobody should move.
    if error.action == "create" && error.kind() == io::ErrorKind::AlreadyExists {
        return None;
    }
    system(error.kind(), &in_the_way(error).display().to_string())
}

/// What has to let it be done: of a file that is not there, its directory.
fn in_the_way(error: &DiskError) -> &Path {
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied && error.action != "create directory";
    if is_denied && !error.path.exists() { parent(&error.path) } else { &error.path }
}
