//! What to do about settings and secrets.

use std::io;

use worldkeeper_chunker::ParamsError;

use super::system;
use crate::secrets::{FileError, SecretError};
use crate::settings::SettingsError;

pub(super) fn settings(error: &SettingsError) -> Option<String> {
    Some(match error {
        SettingsError::Invalid { reason, .. } if reason.is::<ParamsError>() => CHUNKER_PARAMS.into(),
        SettingsError::Conflict { first, .. } => format!("set {first} alone"),
        SettingsError::Incomplete { given, missing } => {
            format!(
                "set {missing} too, or take {given} away and say all of it in BORG_REPO_PATH=ssh://USER@HOST:PORT/PATH"
            )
        }
        SettingsError::SourceTwice(_) => "name it once, with --source or in BACKUP_SOURCES".into(),
        SettingsError::NoLabel(location) => format!("name it like --repository LABEL={location}"),
        SettingsError::LabelTwice(_) => "give each repository a label of its own: LABEL=LOCATION".into(),
        SettingsError::RepositoryTwice(_) => "name it once: two backups in one repository are no safer than one".into(),
        SettingsError::UnknownLabel { label, .. } => format!("for a directory of that name write ./{label}"),
        SettingsError::WhichRepository { .. } => "say which one is meant: --repository LABEL".into(),
        SettingsError::UnknownVariable { .. } => "rename it or take it away: as it is, it would have no effect".into(),
        SettingsError::NotSupportedYet { variable, instead, .. } => format!("take {variable} away; {instead}"),
        SettingsError::KeepsNothing => "let one rule keep something, like KEEP_DAILY=7".into(),
        SettingsError::Series(_) => "choose a name with --name or WORLDKEEPER_NAME".into(),
        SettingsError::NoStateDirectory => "name one with --state-dir or WORLDKEEPER_STATE_DIR".into(),
        SettingsError::AnotherRepository { .. } => "name the repository that is to be accepted in both places".into(),
        _ => return None,
    })
}

/// The examples are borg's default, and blocks for disk images.
pub(super) const CHUNKER_PARAMS: &str = "default; or buzhash,MIN_EXP,MAX_EXP,MASK_BITS,WINDOW, like \
                                         buzhash,19,23,21,4095, with 6 <= MIN_EXP <= MASK_BITS <= MAX_EXP <= 23 and an \
                                         odd WINDOW that is less than 2^MAX_EXP - 2^MIN_EXP; or fixed,BLOCK, like \
                                         fixed,4194304, or fixed,BLOCK,HEADER, with a BLOCK of 64 to 20971479 bytes";

pub(super) fn secret(error: &SecretError) -> Option<String> {
    match error {
        SecretError::File { reason, .. } => file(reason),
        SecretError::TwoSources { .. } => Some("take one of them away".to_owned()),
        SecretError::Descriptor => {
            Some("give the number of a descriptor that is open: BORG_PASSPHRASE_FD=3".to_owned())
        }
        SecretError::Command(_) => Some("run it by hand: it has to write the passphrase, and nothing else".to_owned()),
        SecretError::NoneNew => {
            Some("give it by --new-passphrase-file, or in BORG_NEW_PASSPHRASE for this one command".to_owned())
        }
        SecretError::NotText(_) => None,
    }
}

pub(super) fn file(error: &FileError) -> Option<String> {
    match error {
        FileError::Exposed { path, .. } => Some(format!("make it yours alone: chmod 600 {}", path.display())),
        FileError::InSource { .. } => {
            Some("move it out of there: the game can read and replace it, and it would be in the backups".to_owned())
        }
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Some("name the file that holds the passphrase; in a container it has to be mounted".to_owned())
        }
        FileError::Io { action: _, path, source } => system(source.kind(), &path.display().to_string()),
        FileError::NotRegular(_) | FileError::Empty(_) | FileError::TooLong(_) | FileError::NotText(_) => {
            Some("name the file that holds the passphrase, as text".to_owned())
        }
    }
}
