//! Says what an archive lacks, and whether that is too much for a good one.

use worldkeeper_engine::{CreateStats, Created};

use super::BackupError;
use crate::history::Files;
use crate::words::{count, grouped};

/// What is wrong with an archive that lacks too much. `before` is what the last good one had.
pub(super) fn lacking(created: &Created, before: Option<Files>) -> Option<BackupError> {
    // A directory that could not be read then either says nothing of what is missing now.
    let before = before.filter(|before| before.directories_failed < created.stats.directories_failed);
    let lacking = lacks(&created.stats, before.map(|before| before.archived()))?;
    Some(BackupError::Lacking { archive: created.name.to_string(), lacking })
}

fn lacks(stats: &CreateStats, before: Option<u64>) -> Option<String> {
    if !stats.lacks_much(before) {
        return None;
    }
    Some(if stats.roots_failed > 0 {
        format!("{} wholly", count(stats.roots_failed, "source"))
    } else if stats.lacks_much(None) {
        format!("{} of {}", grouped(stats.files_failed), count(stats.files() + stats.files_failed, "file"))
    } else {
        let fewer = before.unwrap_or(0).saturating_sub(stats.files());
        format!("{} with some {}", directories(stats.directories_failed), count(fewer, "file"))
    })
}

/// What could not be read.
pub(super) fn unread(stats: &CreateStats) -> String {
    match (stats.files_failed - stats.directories_failed, stats.directories_failed) {
        (files, 0) => count(files, "file"),
        (0, lost) => format!("{} with all that is in it", directories(lost)),
        (files, lost) => format!("{} and {}", count(files, "file"), directories(lost)),
    }
}

fn directories(many: u64) -> String {
    if many == 1 { "1 directory".to_owned() } else { format!("{} directories", grouped(many)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_said_in_words() {
        let stats = |files_failed, directories_failed, roots_failed| CreateStats {
            files_failed,
            directories_failed,
            roots_failed,
            files_new: 5,
            ..CreateStats::default()
        };
        let text = |stats: CreateStats, before| lacks(&stats, before).unwrap_or_default();
        assert_eq!(text(stats(1, 0, 1), None), "1 source wholly");
        assert_eq!(text(stats(12, 1, 0), Some(1000)), "12 of 17 files");
        assert_eq!(text(stats(2, 2, 0), Some(1305)), "2 directories with some 1,300 files");
        assert_eq!(text(stats(2, 2, 0), None), "");
        assert_eq!(unread(&stats(1, 0, 0)), "1 file");
        assert_eq!(unread(&stats(1, 1, 0)), "1 directory with all that is in it");
        assert_eq!(unread(&stats(4, 2, 0)), "2 files and 2 directories");
    }
}
