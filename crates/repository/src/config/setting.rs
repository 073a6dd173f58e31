//! What of a repository's config people may look at, and what of that they may change: as `borg config` has it, but that
//! nothing can be set or taken away without which the repository cannot be read.
//!
//! Source: borg 1.4 `archiver.py`, `do_config`.

use std::path::Path;

use worldkeeper_core::RepositoryError;

use super::{Config, DEFAULT_MAX_SEGMENT_SIZE, DEFAULT_SEGMENTS_PER_DIR, LAST_SEGMENT_CHECKED, SECTION, parse_size};

/// Why a setting of a repository cannot be shown or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// There is none of this name.
    #[error("a repository has no setting {0:?}")]
    Unknown(String),
    /// It is what the repository is, or a secret.
    #[error("{0} cannot be changed here")]
    Fixed(&'static str),
    /// The repository cannot be read without it.
    #[error("{0} cannot be deleted: it has no default")]
    Needed(&'static str),
    /// It cannot have this value.
    #[error("{name} cannot be {value:?}: {reason}")]
    Invalid {
        /// Which setting.
        name: &'static str,
        /// What it was to be.
        value: String,
        /// What is expected.
        reason: String,
    },
    /// The config cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// All that are shown, in stock's order.
const SHOWN: [&str; 8] = [
    "version",
    "segments_per_dir",
    "max_segment_size",
    "storage_quota",
    "additional_free_space",
    "append_only",
    "id",
    LAST_SEGMENT_CHECKED,
];

/// Less than this, in bytes, is no quota and no reserve, as in stock: a transaction needs some room for itself.
pub const MIN_QUOTA: u64 = 10_000_000;

impl Config {
    /// All settings that are shown, with their values as they stand in the file, or else by default.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        SHOWN.into_iter().filter_map(|name| Some((name, self.shown(name)?))).collect()
    }

    /// The value of a setting.
    pub(crate) fn setting(&self, name: &str) -> Result<String, SettingError> {
        let name = known(name)?;
        self.shown(name).ok_or_else(|| SettingError::Unknown(name.to_owned()))
    }

    /// The config of the repository at `path` with another value of a setting; without one, with its default.
    pub(crate) fn with_setting(&self, name: &str, value: Option<&str>, path: &Path) -> Result<Self, SettingError> {
        let name = known(name)?;
        if ["version", "id", LAST_SEGMENT_CHECKED].contains(&name) {
            return Err(SettingError::Fixed(name));
        }
        let mut ini = self.ini.clone();
        match value.map(str::trim) {
            None if ["segments_per_dir", "max_segment_size"].contains(&name) => return Err(SettingError::Needed(name)),
            None => _ = ini.remove(SECTION, name),
            Some(value) => {
                if let Err(reason) = check(name, value) {
                    return Err(SettingError::Invalid { name, value: value.to_owned(), reason });
                }
                ini.set(SECTION, name, value.to_owned());
            }
        }
        // What is written was read first.
        Self::parse(ini.to_string().as_bytes(), &path.display().to_string()).map_err(|error| match (error, value) {
            (RepositoryError::InvalidConfig { reason, .. }, Some(value)) => {
                SettingError::Invalid { name, value: value.to_owned(), reason }
            }
            (error, _) => error.into(),
        })
    }

    fn shown(&self, name: &str) -> Option<String> {
        let default = || match name {
            "segments_per_dir" => Some(DEFAULT_SEGMENTS_PER_DIR.to_string()),
            "max_segment_size" => Some(DEFAULT_MAX_SEGMENT_SIZE.to_string()),
            "storage_quota" | "additional_free_space" | "append_only" => Some("0".to_owned()),
            _ => None,
        };
        self.ini.value(SECTION, name).map(str::to_owned).or_else(default)
    }
}

/// The setting of that name, which is said with or without its section, as in stock.
fn known(name: &str) -> Result<&'static str, SettingError> {
    let bare = name.strip_prefix("repository.").unwrap_or(name);
    if bare == "key" {
        return Err(SettingError::Fixed("key"));
    }
    SHOWN.into_iter().find(|known| *known == bare).ok_or_else(|| SettingError::Unknown(name.to_owned()))
}

/// Checks what reading it alone would not find.
fn check(name: &str, value: &str) -> Result<(), String> {
    let size = || parse_size(value).ok_or("expected a size in bytes, like 500M, 20G or 1.5T".to_owned());
    match name {
        "append_only" if !["0", "1"].contains(&value) => Err("expected 0 or 1".to_owned()),
        "storage_quota" | "additional_free_space" => match size()? {
            1..MIN_QUOTA => Err("expected at least 10M, or 0 for none".to_owned()),
            _ => Ok(()),
        },
        "max_segment_size" => match size()? {
            super::MAX_SEGMENT_SIZE_LIMIT.. => {
                Err(format!("expected less than {} bytes", super::MAX_SEGMENT_SIZE_LIMIT))
            }
            _ => Ok(()),
        },
        "segments_per_dir" if !value.parse().is_ok_and(|count: u32| count > 0) => {
            Err("expected a number above 0".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::RepositoryId;

    use super::*;
    use crate::CreateOptions;

    fn changed(name: &str, value: Option<&str>) -> Result<Config, SettingError> {
        let mut config = Config::new(&CreateOptions::new(RepositoryId([0x55; 32])));
        config.set_key("line one\nline two");
        config.with_setting(name, value, Path::new("/r"))
    }

    #[test]
    fn what_is_set_is_read_and_all_else_stays() {
        for (name, value) in [
            ("storage_quota", "10M"),
            ("storage_quota", "0"),
            ("additional_free_space", "1.5G"),
            ("append_only", "1"),
            ("max_segment_size", "100M"),
            ("segments_per_dir", "500"),
            ("repository.segments_per_dir", " 500 "),
        ] {
            let config = changed(name, Some(value)).unwrap();
            assert_eq!(config.setting(name).unwrap(), value.trim(), "{name}");
            assert_eq!(config.key(), Some("line one\nline two"), "{name}");
            assert_eq!(config.settings().len(), 7, "{name}");
        }
        let config = changed("storage_quota", Some("1.5G")).unwrap();
        assert_eq!(config.storage_quota, 1_500_000_000);
        assert_eq!(config.with_setting("storage_quota", None, Path::new("/r")).unwrap().storage_quota, 0);
        assert!(changed("append_only", Some("1")).unwrap().append_only);
    }

    #[test]
    fn what_would_spoil_it_is_refused() {
        for (name, value, reason) in [
            ("id", Some("55"), "id cannot be changed here"),
            ("version", None, "version cannot be changed here"),
            ("key", Some("x"), "key cannot be changed here"),
            ("last_segment_checked", Some("3"), "last_segment_checked cannot be changed here"),
            ("quota", Some("1G"), "a repository has no setting \"quota\""),
            ("cache.previous_location", Some("x"), "no setting \"cache.previous_location\""),
            ("segments_per_dir", None, "segments_per_dir cannot be deleted"),
            ("max_segment_size", None, "max_segment_size cannot be deleted"),
            ("segments_per_dir", Some("0"), "expected a number above 0"),
            ("segments_per_dir", Some("many"), "expected a number above 0"),
            ("max_segment_size", Some("5G"), "expected less than 4273995776 bytes"),
            ("storage_quota", Some("9.9M"), "at least 10M"),
            ("additional_free_space", Some("1"), "at least 10M"),
            ("storage_quota", Some("-5G"), "expected a size"),
            ("storage_quota", Some("1G\nid = 0"), "expected a size"),
            ("append_only", Some("yes"), "expected 0 or 1"),
        ] {
            let error = changed(name, value).unwrap_err().to_string();
            assert!(error.contains(reason), "{name} = {value:?}: {error}");
        }
        assert!(changed("append_only", None).unwrap().setting("key").is_err());
    }
}
