//! What can be typed after `recreate`.

use std::path::PathBuf;

use jiff::Timestamp;
use worldkeeper_archive::ArchiveName;
use worldkeeper_core::{error_text, time};
use worldkeeper_engine::Recompress;

use super::archives::new_archive;
use super::{ArchiveFlags, PatternFlags};

/// Which archives are to be made anew, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Recreate {
    /// The archive, or `latest`; all archives if none is named
    #[arg(conflicts_with_all = ArchiveFlags::IDS)]
    pub(crate) archive: Option<String>,
    /// What stays in: these files and directories, or what these patterns match; everything if none is named
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) patterns: PatternFlags,
    #[command(flatten)]
    pub(crate) archives: ArchiveFlags,
    /// Leaves the archive as it is, and makes another one of this name
    #[arg(long, value_name = "NAME", requires = "archive", value_parser = new_archive)]
    pub(crate) target: Option<ArchiveName>,
    /// Changes the remark in the archive
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Changes when the archive was begun: yyyy-mm-ddThh:mm:ss in UTC, or a file, which was changed then
    #[arg(long, value_parser = parse_moment)]
    pub(crate) timestamp: Option<Timestamp>,
    /// Compresses chunks anew with --compression: if-different, where they are compressed with another algorithm; always;
    /// or never
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_value = "never",
          default_missing_value = "if-different", value_parser = parse_recompress)]
    pub(crate) recompress: Recompress,
    /// Only says what would be done
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Says of each item what becomes of it: x is left out
    #[arg(long)]
    pub(crate) list: bool,
}

fn parse_recompress(mode: &str) -> Result<Recompress, &'static str> {
    match mode {
        "never" => Ok(Recompress::Never),
        "if-different" => Ok(Recompress::IfDifferent),
        "always" => Ok(Recompress::Always),
        _ => Err("expected never, if-different or always"),
    }
}

fn parse_moment(text: &str) -> Result<Timestamp, String> {
    time::parse(text).or_else(|error| {
        let modified = std::fs::metadata(text).and_then(|metadata| metadata.modified());
        modified.ok().and_then(|modified| Timestamp::try_from(modified).ok()).ok_or_else(|| error_text(&error))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Args, Command};
    use super::*;

    fn parse(line: &str) -> Result<Recreate, clap::Error> {
        let args = Args::try_parse_from(["worldkeeper", "recreate"].into_iter().chain(line.split_whitespace()))?;
        let Command::Recreate(recreate) = args.command else { panic!("it is no recreate") };
        Ok(recreate)
    }

    #[test]
    fn a_mode_of_recompression_is_joined_to_its_flag() {
        for (line, expected) in [
            ("a", Recompress::Never),
            ("--recompress a", Recompress::IfDifferent),
            ("--recompress=always a", Recompress::Always),
        ] {
            let recreate = parse(line).unwrap();
            assert_eq!((recreate.recompress, recreate.archive.as_deref()), (expected, Some("a")), "{line}");
        }
    }

    #[test]
    fn one_archive_or_several_are_meant() {
        assert!(parse("--glob-archives x*").unwrap().archive.is_none());
        for line in ["a --last 2", "--target b", "a --recompress=maybe", "a --timestamp soon", "a --target b/c"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
