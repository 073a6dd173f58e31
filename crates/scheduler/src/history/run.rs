//! What is remembered of one run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One run of one kind, on one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself, and not in the file unless it is so")]
pub struct Run {
    /// What was done.
    pub kind: Kind,
    /// When it began; of a backup, the archive's time.
    #[serde(with = "moment")]
    pub start: Timestamp,
    /// When it ended.
    #[serde(with = "moment")]
    pub end: Timestamp,
    /// How it ended.
    pub outcome: RunOutcome,
    /// The archive that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The archive was deleted since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_deleted: bool,
    /// It was somebody else who deleted it. Forgotten when there is a good archive of later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// The archive holds something else than those that are made on schedule.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
    /// The game was only presumed to run: it may have rested since the archive before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_presumed: bool,
    /// The files that were looked at.
    #[serde(default)]
    pub files: Files,
    /// Which files are not in the archive as they should be, the first of them by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amiss: Option<String>,
    /// The game used nothing of what was backed up, and what is to be done about it; as an earlier run found it, if this one
    /// could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// How many sources had files before, and have none in the archive.
    #[serde(default)]
    pub emptied: u64,
    /// The sources that have files in the archive, or had in earlier ones. Only the last run that made an archive has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Bytes read from the source.
    #[serde(default)]
    pub read_bytes: u64,
    /// Bytes the repository grew by; after a prune or a compaction, zero.
    #[serde(default)]
    pub added_bytes: u64,
    /// Bytes the repository's files have less; after a backup, zero.
    #[serde(default)]
    pub freed_bytes: u64,
    /// It ended with its process, and the next one has recorded it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut_off: bool,
    /// What failed and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// That an archive is gone, and nobody here has deleted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// When it was found.
    #[serde(with = "moment")]
    pub found: Timestamp,
    /// A backup of the daemon has found it, perhaps, and that one's archive is none of later: nobody would ever hear of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_found_by_backup: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An archive was to be made.
    Backup,
    /// Archives were to be removed by the retention rules.
    Prune,
    /// Space was to be freed.
    Compact,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It did all it should.
    Good,
    /// It did what it should, and something was amiss: a file could not be read.
    Warnings,
    /// It did not do what it should.
    Failed,
    /// It was asked to stop.
    Stopped,
}

/// Counts of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// Not in the archive before.
    pub new: u64,
    /// In the archive before, with other content.
    pub changed: u64,
    /// Not opened, as nothing has changed.
    pub unchanged: u64,
    /// Could not be read.
    pub failed: u64,
    /// Of these, directories.
    pub directories_failed: u64,
    /// Changed while they were read.
    pub torn: u64,
    /// Are in the archive, and broken.
    pub broken: u64,
}

impl Files {
    /// How many are in the archive.
    pub(crate) fn archived(&self) -> u64 {
        self.new + self.changed + self.unchanged
    }
}

impl Run {
    /// Longest text kept, in characters.
    const MAX_TEXT: usize = 1000;

    /// A backup that began then, and ended with its process, nobody knows when; it is found now.
    pub(super) fn cut_off(start: Timestamp, now: Timestamp) -> Self {
        let error = format!(
            "the backup that began at {start:.0} was cut off: its process was killed (for want of memory?), or the machine went down"
        );
        Self {
            outcome: RunOutcome::Failed,
            error: Some(error),
            is_cut_off: true,
            ..Self::new(Kind::Backup, start, now)
        }
    }

    /// A backup that began then, and did not say how it ended, though its process goes on.
    pub(super) fn broken_off(start: Timestamp, now: Timestamp) -> Self {
        let error = format!(
            "the backup that began at {start:.0} broke off by an error in worldkeeper itself, or how it ended could not be noted: see \
             the log"
        );
        Self { outcome: RunOutcome::Failed, error: Some(error), ..Self::new(Kind::Backup, start, now) }
    }

    /// A good run that did nothing.
    pub(crate) fn new(kind: Kind, start: Timestamp, end: Timestamp) -> Self {
        Self {
            kind,
            start,
            end,
            outcome: RunOutcome::Good,
            archive: None,
            is_deleted: false,
            gone: None,
            is_partial: false,
            is_presumed: false,
            files: Files::default(),
            amiss: None,
            elsewhere: None,
            emptied: 0,
            sources: Vec::new(),
            read_bytes: 0,
            added_bytes: 0,
            freed_bytes: 0,
            is_cut_off: false,
            error: None,
        }
    }

    /// Returns whether an archive was made that lacks what others may have, or has it broken, or was to hold something else, or of what
    /// the game does not use, or while it was only presumed to run, and that was not deleted: it takes no other one's place. Unless it is only broken, nothing is pruned
    /// after it.
    pub fn is_lacking(&self) -> bool {
        let has_files = self.files.archived() > 0 && self.emptied == 0;
        let are_whole = self.files.failed == 0 && self.files.broken == 0;
        let is_whole = self.outcome != RunOutcome::Failed && are_whole && has_files;
        self.kind == Kind::Backup
            && self.archive.is_some()
            && !self.is_deleted
            && (!is_whole || self.is_partial || self.is_presumed || self.elsewhere.is_some())
    }

    /// Returns whether an archive was made that the schedule may count from, and that was not deleted.
    pub fn is_good_backup(&self) -> bool {
        self.kind == Kind::Backup
            && matches!(self.outcome, RunOutcome::Good | RunOutcome::Warnings)
            && !self.is_deleted
            && !self.is_partial
    }

    /// Returns whether an archive was made of what the schedule backs up, however much it lacks. Of a backup that made none nothing
    /// is known.
    pub fn has_archived(&self) -> bool {
        self.kind == Kind::Backup && self.archive.is_some() && !self.is_partial
    }

    /// Notes that another run has ended since.
    pub(super) fn followed_by(&mut self, run: &Self) {
        match &mut self.gone {
            Some(gone) if gone.is_found_by_backup && run.is_good_backup() => gone.is_found_by_backup = false,
            gone if run.is_good_backup() => *gone = None,
            _ => {}
        }
    }

    /// Something besides was amiss.
    pub(crate) fn warn_of(&mut self, text: &str) {
        if self.outcome == RunOutcome::Good {
            self.outcome = RunOutcome::Warnings;
        }
        self.amiss = Some(self.amiss.take().map_or_else(|| text.to_owned(), |amiss| format!("{text}; {amiss}")));
    }

    /// Forgets the texts about a run of long ago.
    pub(super) fn forget_texts(&mut self) {
        // What is lacking is lacking for other reasons, or for this one, and nobody asks where the game was then.
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.clear();
        }
        (self.amiss, self.error) = (None, None);
    }

    /// Cuts the texts to what a small file can hold.
    pub(super) fn bounded(mut self) -> Self {
        let texts = [&mut self.archive, &mut self.amiss, &mut self.elsewhere, &mut self.error].into_iter().flatten();
        for text in texts.chain(&mut self.sources) {
            if let Some((end, _)) = text.char_indices().nth(Self::MAX_TEXT) {
                text.truncate(end);
                text.push('…');
            }
        }
        self
    }
}

/// Moments as borg writes them.
pub(super) mod moment {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use worldkeeper_core::time;

    pub(in crate::history) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time::to_text(*moment))
    }

    pub(in crate::history) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        time::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The same, where there may be none.
pub(super) mod maybe_moment {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::moment;

    #[expect(clippy::ref_option, reason = "serde gives it so")]
    pub(in crate::history) fn serialize<S: Serializer>(
        moment: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => moment::serialize(moment, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::history) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        #[derive(Deserialize)]
        struct Moment(#[serde(with = "moment")] Timestamp);
        Ok(Option::<Moment>::deserialize(deserializer)?.map(|Moment(moment)| moment))
    }
}
