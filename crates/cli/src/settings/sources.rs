//! The directories that are backed up.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::layers::look_up;
use super::location::LocationError;
use super::{Environment, Origin, Setting, SettingsError};
use crate::args::Flags;

/// What was said by the flag, else in the environment; each directory once.
pub(super) fn resolve(flags: &Flags, environment: &Environment) -> Result<Setting<Vec<PathBuf>>, SettingsError> {
    let sources = if flags.sources.is_empty() {
        match look_up(environment, "--source", None, &["BACKUP_SOURCES"])? {
            Some(said) => said.parse_os(split)?,
            None => Setting::default(vec![PathBuf::from("/data")]),
        }
    } else {
        let origin = Origin::Flag("--source");
        if flags.sources.iter().any(|source| source.is_empty()) {
            let reason = Box::new(LocationError::Empty);
            return Err(SettingsError::Invalid { origin, value: String::new(), reason });
        }
        Setting { value: flags.sources.iter().map(PathBuf::from).collect(), origin }
    };
    for (index, source) in sources.value.iter().enumerate() {
        if sources.value[..index].contains(source) {
            return Err(SettingsError::SourceTwice(source.clone()));
        }
    }
    Ok(sources)
}

/// Nothing stands between two commas.
#[derive(Debug, thiserror::Error)]
#[error("expected a list separated by commas, without empty parts")]
struct EmptyPart;

fn split(list: &OsStr) -> Result<Vec<PathBuf>, EmptyPart> {
    let parts = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    parts.map(|part| if part.is_empty() { Err(EmptyPart) } else { Ok(OsStr::from_bytes(part).into()) }).collect()
}
