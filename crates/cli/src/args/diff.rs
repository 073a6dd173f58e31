//! What can be typed after `diff`.

use std::path::PathBuf;

use super::{LockFlags, PatternFlags};

/// What is to be compared.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Diff {
    /// The archive that was before
    pub(crate) archive1: String,
    /// The archive that came after, or `latest`
    pub(crate) archive2: String,
    /// Only these files and directories, or what these patterns match; everything if none is named
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    /// Only what is in files, not their metadata
    #[arg(long)]
    pub(crate) content_only: bool,
    /// Compares owners by number, not by name
    #[arg(long)]
    pub(crate) numeric_ids: bool,
    /// Your word that both archives were cut alike, where they do not say so themselves
    #[arg(long)]
    pub(crate) same_chunker_params: bool,
    /// Sorts by path
    #[arg(long)]
    pub(crate) sort: bool,
    /// Sorts by these, separated by commas, > for descending in front: path, size_added, size_removed, size_diff, size,
    /// user, group, uid, gid, ctime, mtime, ctime_diff, mtime_diff
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "sort", value_parser = SortKey::parse)]
    pub(crate) sort_by: Vec<SortKey>,
    /// In JSON, one item a line, as borg gives it
    #[arg(long)]
    pub(crate) json_lines: bool,
    #[command(flatten)]
    pub(crate) lock: LockFlags,
}

/// What differences are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    /// What of a difference.
    pub(crate) field: SortField,
    /// The largest comes first.
    pub(crate) descends: bool,
}

/// What of a difference it is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SortField {
    Path,
    SizeAdded,
    SizeRemoved,
    SizeDiff,
    Size,
    User,
    Group,
    Uid,
    Gid,
    Ctime,
    Mtime,
    CtimeDiff,
    MtimeDiff,
}

impl SortKey {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let field = text.strip_prefix(['<', '>']).unwrap_or(text);
        let field = match field {
            "path" => SortField::Path,
            "size_added" => SortField::SizeAdded,
            "size_removed" => SortField::SizeRemoved,
            "size_diff" => SortField::SizeDiff,
            "size" => SortField::Size,
            "user" => SortField::User,
            "group" => SortField::Group,
            "uid" => SortField::Uid,
            "gid" => SortField::Gid,
            "ctime" => SortField::Ctime,
            "mtime" => SortField::Mtime,
            "ctime_diff" => SortField::CtimeDiff,
            "mtime_diff" => SortField::MtimeDiff,
            _ => return Err("there is no such field to sort by"),
        };
        Ok(Self { field, descends: text.starts_with('>') })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_may_stand_in_front() {
        assert_eq!(SortKey::parse(">size"), Ok(SortKey { field: SortField::Size, descends: true }));
        assert_eq!(SortKey::parse(" <mtime_diff"), Ok(SortKey { field: SortField::MtimeDiff, descends: false }));
        assert!(SortKey::parse("mode").is_err());
    }
}
