//! What can be typed after `check`.

use std::time::Duration;

use worldkeeper_engine::NameGlob;

use super::ArchiveFlags;
use super::archives::WHICH;

/// What to check, and whether to mend it.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Check {
    /// Only this archive
    #[arg(conflicts_with_all = ArchiveFlags::IDS, conflicts_with = "prefix")]
    pub(crate) archive: Option<String>,
    /// Only the stored bytes and the index, not what they mean; needs no passphrase
    #[arg(long, conflicts_with_all = ArchiveFlags::IDS,
          conflicts_with_all = ["archives_only", "archive", "verify_data", "prefix"])]
    pub(crate) repository_only: bool,
    /// Only the archives, not the stored bytes and the index
    #[arg(long)]
    pub(crate) archives_only: bool,
    /// Reads every object, and checks that its content is what its id says
    #[arg(long)]
    pub(crate) verify_data: bool,
    /// Mends what can be mended; what is lost is replaced by zeros, until a backup stores it again
    #[arg(long)]
    pub(crate) repair: bool,
    /// Checks for this many seconds, and goes on there next time
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, requires = "repository_only", conflicts_with = "repair")]
    pub(crate) max_duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) archives: ArchiveFlags,
    /// Only archives whose name begins so
    #[arg(short = 'P', long, help_heading = WHICH, value_parser = parse_prefix, conflicts_with = "glob_archives")]
    pub(crate) prefix: Option<NameGlob>,
}

impl Check {
    /// The flags that choose archives; `None` if all are meant.
    pub(crate) fn chosen(&self) -> Option<ArchiveFlags> {
        let mut flags = self.archives.clone();
        flags.glob_archives = flags.glob_archives.or_else(|| self.prefix.clone());
        (!flags.is_all()).then_some(flags)
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of seconds, at least 1".to_owned()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

/// A prefix is the beginning of a glob, as in borg.
fn parse_prefix(prefix: &str) -> Result<NameGlob, String> {
    NameGlob::new(&format!("{prefix}*")).map_err(|error| worldkeeper_core::error_text(&error))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Args, Command};
    use super::*;

    fn parse(line: &str) -> Option<Check> {
        let args = Args::try_parse_from(["worldkeeper", "check"].into_iter().chain(line.split_whitespace())).ok()?;
        let Command::Check(check) = args.command else { panic!("{line} is no check") };
        Some(check)
    }

    #[test]
    fn what_borg_takes_is_taken_and_what_contradicts_is_not() {
        for line in ["", "world-1", "--last 3 --verify-data", "-a mc-*", "-P mc-", "--archives-only --repair --first 1"]
        {
            assert!(parse(line).is_some(), "{line}");
        }
        assert_eq!(parse("--repository-only --max-duration 60").unwrap().max_duration, Some(Duration::from_mins(1)));
        for line in [
            "--repository-only --archives-only",
            "--repository-only --verify-data",
            "--repository-only --last 3",
            "--repository-only --newer 7d",
            "world-1 --older 2026-11-06",
            "--repository-only world-1",
            "--max-duration 60",
            "--repository-only --max-duration 60 --repair",
            "--repository-only --max-duration 0",
            "world-1 --last 3",
            "-a mc-* -P mc-",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
        assert!(parse("--verify-data").unwrap().chosen().is_none());
        assert!(parse("-P mc-").unwrap().chosen().unwrap().glob_archives.unwrap().matches(b"mc-1"));
    }
}
