//! The repository's `config`: what it is, and the key if it keeps one.

mod ini;
mod setting;

use std::path::Path;

use worldkeeper_core::disk;
use worldkeeper_core::{Disk, RepositoryError, RepositoryId};

use crate::options::CreateOptions;
use crate::segment::MAX_ENTRY_SIZE;
use ini::Ini;

pub use setting::{MIN_QUOTA, SettingError};

const SECTION: &str = "repository";
const VERSION: i64 = 1;

/// Borg's name for where a check with a time limit ended.
const LAST_SEGMENT_CHECKED: &str = "last_segment_checked";

/// More than any config has.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Stock's soft limit for a segment, in bytes.
const DEFAULT_MAX_SEGMENT_SIZE: u64 = 500 * 1024 * 1024;
const DEFAULT_SEGMENTS_PER_DIR: u32 = 1000;

/// Offsets are 32 bits, and a segment may exceed its limit by one entry.
const MAX_SEGMENT_SIZE_LIMIT: u64 = (1 << 32) - MAX_ENTRY_SIZE as u64;

/// A repository's configuration: the values that are used, and the whole text they came from.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    ini: Ini,
    pub(crate) id: RepositoryId,
    pub(crate) segments_per_dir: u32,
    /// In bytes; a segment is closed once it is longer.
    pub(crate) max_segment_size: u64,
    pub(crate) append_only: bool,
    /// In bytes; 0 is none.
    pub(crate) storage_quota: u64,
    /// In bytes, to be left free by a commit.
    pub(crate) additional_free_space: u64,
}

impl Config {
    /// The configuration of a new repository.
    pub(crate) fn new(options: &CreateOptions) -> Self {
        let mut ini = Ini::default();
        for (key, value) in [
            ("version", VERSION.to_string()),
            ("segments_per_dir", DEFAULT_SEGMENTS_PER_DIR.to_string()),
            ("max_segment_size", DEFAULT_MAX_SEGMENT_SIZE.to_string()),
            ("append_only", u8::from(options.append_only).to_string()),
            ("storage_quota", options.storage_quota.to_string()),
            ("additional_free_space", "0".to_owned()),
            ("id", options.id.to_string()),
        ] {
            ini.set(SECTION, key, value);
        }
        Self {
            ini,
            id: options.id,
            segments_per_dir: DEFAULT_SEGMENTS_PER_DIR,
            max_segment_size: DEFAULT_MAX_SEGMENT_SIZE,
            append_only: options.append_only,
            storage_quota: options.storage_quota,
            additional_free_space: 0,
        }
    }

    /// Reads the configuration of the repository in `directory`.
    pub(crate) fn load(disk: &dyn Disk, directory: &Path) -> Result<Self, RepositoryError> {
        let bytes = disk::read(disk, &directory.join("config"), MAX_CONFIG_BYTES)?;
        Self::parse(&bytes, &directory.display().to_string())
    }

    /// Reads it from the bytes of the file, which is named in errors as lying at `path`.
    pub(crate) fn parse(bytes: &[u8], path: &str) -> Result<Self, RepositoryError> {
        let invalid = |reason: String| RepositoryError::InvalidConfig { path: path.to_owned(), reason };
        let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
        let ini = Ini::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !ini.has_section(SECTION) {
            return Err(invalid(format!("no {SECTION} section found")));
        }
        let optional = |key: &'static str| ini.value(SECTION, key);
        let required = |key: &'static str| optional(key).ok_or_else(|| invalid(format!("{key} is missing")));
        let wrong = |key: &str, value: &str| invalid(format!("{key} cannot be {value:?}"));
        let size = |key, value: &str| parse_size(value).ok_or_else(|| wrong(key, value));

        let version = required("version")?;
        match version.trim().parse::<i64>() {
            Ok(VERSION) => {}
            Ok(number @ 2..) => {
                let version = format!("{number} (borg 2)");
                return Err(RepositoryError::UnsupportedVersion { path: path.to_owned(), version });
            }
            _ => {
                let version = version.to_owned();
                return Err(RepositoryError::UnsupportedVersion { path: path.to_owned(), version });
            }
        }
        let id = required("id")?;
        let id = id.trim().parse().map_err(|_| wrong("id", id))?;
        let segments_per_dir = required("segments_per_dir")?;
        let Ok(segments_per_dir @ 1..) = segments_per_dir.trim().parse() else {
            return Err(wrong("segments_per_dir", segments_per_dir));
        };
        let max_segment_size = required("max_segment_size")?;
        let max_segment_size = match size("max_segment_size", max_segment_size)? {
            bytes if bytes < MAX_SEGMENT_SIZE_LIMIT => bytes,
            _ => return Err(wrong("max_segment_size", max_segment_size)),
        };
        let append_only = match optional("append_only") {
            None => false,
            Some(value) => parse_boolean(value).ok_or_else(|| wrong("append_only", value))?,
        };
        let storage_quota = size("storage_quota", optional("storage_quota").unwrap_or("0"))?;
        let additional_free_space = size("additional_free_space", optional("additional_free_space").unwrap_or("0"))?;
        Ok(Self { ini, id, segments_per_dir, max_segment_size, append_only, storage_quota, additional_free_space })
    }

    /// The text of the key blob, if the repository keeps one.
    pub(crate) fn key(&self) -> Option<&str> {
        self.ini.value(SECTION, "key").map(str::trim).filter(|key| !key.is_empty())
    }

    /// Replaces the text of the key blob.
    pub(crate) fn set_key(&mut self, key: &str) {
        self.ini.set(SECTION, "key", key.trim().to_owned());
    }

    /// Where the last check with a time limit ended; `None` if it came to the end, or none was made.
    pub(crate) fn last_segment_checked(&self) -> Option<u32> {
        self.ini.value(SECTION, LAST_SEGMENT_CHECKED)?.trim().parse().ok()
    }

    /// Notes where a check with a time limit has ended. Returns whether that is news.
    pub(crate) fn set_last_segment_checked(&mut self, segment: Option<u32>) -> bool {
        match segment {
            Some(segment) => self.ini.set(SECTION, LAST_SEGMENT_CHECKED, segment.to_string()),
            None => return self.ini.remove(SECTION, LAST_SEGMENT_CHECKED),
        }
        true
    }

    /// Writes the configuration of the repository in `directory`, durably, in place of the one that is there.
    pub(crate) fn save(&self, disk: &dyn Disk, directory: &Path) -> Result<(), RepositoryError> {
        Ok(disk::replace(disk, &directory.join("config"), self.text().as_bytes())?)
    }

    /// The file as it is written.
    pub(crate) fn text(&self) -> String {
        self.ini.to_string()
    }
}

/// Reads a size as stock does: bytes, or a number with K, M, G, T or P, which are powers of 1000.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let factor = match text.chars().last()? {
        'K' => 1e3,
        'M' => 1e6,
        'G' => 1e9,
        'T' => 1e12,
        'P' => 1e15,
        _ => return text.parse().ok().or_else(|| whole(text.parse().ok()?)),
    };
    whole(text[..text.len() - 1].trim().parse::<f64>().ok()? * factor)
}

fn whole(number: f64) -> Option<u64> {
    (number >= 0.0 && number < u64::MAX as f64).then_some(number as u64)
}

/// Reads a boolean as Python's `ConfigParser` does.
fn parse_boolean(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
