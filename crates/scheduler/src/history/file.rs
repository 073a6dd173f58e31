//! One file of the history: its name, its content, and what becomes of a damaged one.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;
use worldkeeper_core::{Disk, DiskError, disk};

use super::run::maybe_moment;
use super::{Damage, MAX_LACKING, MAX_RUNS, Run};

/// What the files written by this version call themselves.
const VERSION: u32 = 1;

/// Longest file that is read: what [`MAX_RUNS`] runs with long texts and [`MAX_LACKING`] without need, and some more.
const MAX_BYTES: u64 = 4 << 20;

/// The runs of one series on one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    version: u32,
    /// The series.
    pub series: String,
    /// The repository, by its label or location.
    pub repository: String,
    /// What was found damaged in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
    /// When the daemon began a backup that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_moment")]
    pub begun: Option<Timestamp>,
    /// The runs, oldest first.
    pub runs: Vec<Run>,
}

/// Why a file was not read.
pub(super) enum ReadError {
    /// It holds something else.
    Damaged(String),
    /// The disk said no.
    Disk(DiskError),
}

impl From<DiskError> for ReadError {
    fn from(error: DiskError) -> Self {
        // What disk::read makes of a file that is too long.
        if error.kind() == io::ErrorKind::InvalidData {
            Self::Damaged(error.source.to_string())
        } else {
            Self::Disk(error)
        }
    }
}

impl Records {
    pub(super) fn new(series: String, repository: String) -> Self {
        Self { version: VERSION, series, repository, damage: None, begun: None, runs: Vec::new() }
    }

    /// Adds a run and forgets the oldest ones. The last good backup stays, however many failures came after it: the
    /// schedule counts from it. So do those whose archives are lacking: retention has to know.
    pub(super) fn push(&mut self, run: Run) {
        if run.archive.is_some() {
            self.runs.iter_mut().for_each(|run| run.sources.clear());
        }
        self.runs.iter_mut().for_each(|earlier| earlier.followed_by(&run));
        self.runs.push(run.bounded());
        self.forget(MAX_RUNS, |run| !run.is_lacking());
        self.forget(MAX_LACKING, Run::is_lacking);
        let old = self.runs.len().saturating_sub(MAX_RUNS);
        self.runs[..old].iter_mut().for_each(Run::forget_texts);
    }

    /// Forgets the oldest of the runs that are meant, but for `most` of them and the last good backup.
    fn forget(&mut self, most: usize, is_meant: impl Fn(&Run) -> bool) {
        let last_good = self.runs.iter().rposition(Run::is_good_backup);
        let mut many = self.runs.iter().filter(|run| is_meant(run)).count().saturating_sub(most);
        let mut number = 0;
        self.runs.retain(|run| {
            let stays = many == 0 || Some(number) == last_good || !is_meant(run);
            number += 1;
            many -= usize::from(!stays);
            stays
        });
    }
}

/// The file name of a series on a repository: readable, and unique by a hash of both.
pub(super) fn name(series: &str, repository: &str) -> String {
    const READABLE_CHARS: usize = 40;
    let readable: String = series
        .chars()
        .take(READABLE_CHARS)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' })
        .collect();
    // No text holds a 0xff in UTF-8, so that no two pairs look alike.
    let hash = fnv1a(series.bytes().chain([0xff]).chain(repository.bytes()));
    format!("{readable}-{hash:016x}.json")
}

/// Returns whether a file is one of the history's.
pub(super) fn is_name(name: &OsStr) -> bool {
    Path::new(name).extension() == Some(OsStr::new("json"))
}

/// Reads a file; `None` if there is none.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Records>, ReadError> {
    let Some(bytes) = disk::read_if_there(disk, path, MAX_BYTES)? else { return Ok(None) };
    let records: Records = serde_json::from_slice(&bytes).map_err(|error| ReadError::Damaged(error.to_string()))?;
    if records.version == VERSION {
        Ok(Some(records))
    } else {
        Err(ReadError::Damaged(format!("it has version {}, expected {VERSION}", records.version)))
    }
}

pub(super) fn encode(records: &Records) -> Vec<u8> {
    serde_json::to_vec(records).expect("text, numbers and lists can always be written as JSON")
}

/// Renames a damaged file, for somebody to look at, in place of the one that was damaged before.
pub(super) fn set_aside(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let aside = path.with_extension("damaged");
    warn!("the damaged run history is now {}, a new one is begun", aside.display());
    disk.rename(path, &aside)
}

/// The 64-bit FNV-1a hash: small, and the same in every version, which the standard library's is not.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::super::{Files, Kind, RunOutcome};
    use super::*;

    #[test]
    fn names_are_plain_short_and_unique() {
        assert_eq!(name("mc", "/repository"), "mc-16884fcd4ba3a2d3.json");
        let name_of = |series: &str| name(series, "/repository");
        assert!(name_of("../../etc/passwd").starts_with("______etc_passwd-"));
        assert!(name_of(&"x".repeat(1000)).len() < 80);
        assert_ne!(name("a", "bc"), name("ab", "c"));
        assert_ne!(name_of(&"x".repeat(100)), name_of(&"x".repeat(101)));
    }

    #[test]
    fn what_is_kept_has_an_end_and_can_be_read() {
        let mut records = Records::new("mc".to_owned(), "local".to_owned());
        let text = Some("\u{1}".repeat(10_000));
        for number in 0..MAX_LACKING + MAX_RUNS {
            for outcome in [RunOutcome::Failed, RunOutcome::Good] {
                records.push(Run {
                    outcome,
                    archive: Some(format!("{number:0>255}")),
                    files: Files { new: 1, ..Files::default() },
                    amiss: text.clone(),
                    sources: vec!["\u{1}".repeat(10_000); 64],
                    read_bytes: u64::MAX,
                    added_bytes: u64::MAX,
                    freed_bytes: u64::MAX,
                    error: text.clone(),
                    ..Run::new(Kind::Backup, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
                });
            }
        }
        assert_eq!(records.runs.len(), MAX_LACKING + MAX_RUNS);
        assert_eq!(records.runs.iter().filter(|run| run.is_lacking()).count(), MAX_LACKING);
        assert!((encode(&records).len() as u64) < MAX_BYTES);
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b"".iter().copied()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }
}
