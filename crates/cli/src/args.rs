//! The command line: verbs, and flags that may stand before or after them.
//!
//! Flags stay text here; what they mean is decided together with the environment, in `settings`.

mod archives;
mod backup;
mod check;
mod config;
mod create;
mod delete;
mod diff;
mod export_tar;
mod find;
mod flags;
mod import_tar;
mod info;
mod key;
mod list;
mod lock;
mod patterns;
mod recreate;
mod remote;
mod restore;
mod run;
mod serve;
mod tags;
mod trust_host;
mod used;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use worldkeeper_archive::ArchiveName;
use worldkeeper_engine::DEFAULT_THRESHOLD_PERCENT;

pub(crate) use archives::ArchiveFlags;
pub(crate) use backup::Backup;
pub(crate) use check::Check;
pub(crate) use config::Config;
pub(crate) use create::CreateFlags;
pub(crate) use delete::Delete;
pub(crate) use diff::{Diff, SortField, SortKey};
pub(crate) use export_tar::ExportTar;
pub(crate) use find::Find;
pub(crate) use flags::Flags;
pub(crate) use import_tar::ImportTar;
pub(crate) use info::Info;
pub(crate) use key::{Key, KeyForm};
pub(crate) use list::List;
pub(crate) use lock::LockFlags;
pub(crate) use patterns::{PatternFlag, PatternFlags, PatternOption};
pub(crate) use recreate::Recreate;
pub(crate) use remote::RemoteFlags;
pub(crate) use restore::Restore;
pub(crate) use run::Run;
pub(crate) use serve::{Borg, BorgVerb, Common, Serve};
pub(crate) use tags::TagFlags;
pub(crate) use trust_host::TrustHost;

use flags::{KEEP, LEFT_OUT, REACH, WHAT, WHERE};

/// Backs up game servers into borg repositories: archives of the running world, on schedule, that stock borg lists,
/// checks, extracts and mounts.
#[derive(Debug, Parser)]
#[command(name = "worldkeeper", version, max_term_width = 110, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

impl Args {
    /// Reads what was typed. Ends the process where that is a question for help, or nothing that can be meant.
    pub(crate) fn read() -> Self {
        let mut command = used::command(Self::command());
        let mut matches = command.get_matches_mut();
        Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

const EXAMPLES: &str = "\
Examples:
  Back up ./world now and every hour until Ctrl-C; no Docker, no configuration:
      worldkeeper run --source ./world --repository ./backups/world
  See what is there, and put one folder of the newest archive elsewhere:
      worldkeeper list --repository ./backups/world
      worldkeeper restore latest world/region --to ./restored --repository ./backups/world
  Beside a game container, where the environment holds the settings:
      docker exec worldkeeper worldkeeper backup

Flags beat environment variables (named in parentheses), those beat the defaults. Secrets have no flag: the passphrase comes \
from BORG_PASSPHRASE_FILE, BORG_PASSCOMMAND, BORG_PASSPHRASE_FD or BORG_PASSPHRASE, else it is generated into the \
state directory.

Exit codes: 0 done; 1 done, with warnings; 2 failed.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Backs up on schedule until it is told to stop; prunes and compacts after each good archive
    Run(Run),
    /// Makes one archive now, and prunes nothing
    Backup(Backup),
    /// Lists the archives, or what is in one
    List(List),
    /// Says how much the repository, or an archive, holds and takes
    Info(Info),
    /// Finds files in all archives, and says which holds which version
    Find(Find),
    /// Puts files of an archive back
    #[command(visible_alias = "extract")]
    Restore(Restore),
    /// Says what differs between two archives
    Diff(Diff),
    /// Gives an archive another name
    Rename {
        /// The archive, or `latest`
        archive: String,
        /// Its new name
        #[arg(value_parser = archives::new_archive)]
        new_name: ArchiveName,
    },
    /// Makes archives anew: with less in them, or compressed, cut or described in another way
    Recreate(Recreate),
    /// Writes an archive as a tar
    ExportTar(ExportTar),
    /// Makes an archive of what is in a tar
    ImportTar(ImportTar),
    /// Deletes archives
    Delete(Delete),
    /// Lists deleted archives that were not compacted away yet, or brings some of them back
    Undelete {
        /// Their names, or the first digits of their ids
        #[arg(value_name = "ARCHIVE")]
        archives: Vec<String>,
    },
    /// Deletes the archives of this series that the retention does not keep, and frees their space
    Prune {
        /// Only says what would be deleted, and why the others stay
        #[arg(long)]
        dry_run: bool,
    },
    /// Frees the space of what was deleted
    Compact {
        /// Leaves segments alone of which not more than this can be freed
        #[arg(long, value_name = "PERCENT", default_value_t = DEFAULT_THRESHOLD_PERCENT, value_parser = clap::value_parser!(u8).range(..100))]
        threshold: u8,
    },
    /// Checks the repository and its archives, and mends them with --repair
    Check(Check),
    /// Shows or changes settings that the repository holds itself: its quota, whether it is append-only
    Config(Config),
    /// Copies the repository's key, puts a copy back, changes its passphrase
    #[command(subcommand)]
    Key(Key),
    /// Removes the repository's lock: your word that nobody uses it
    BreakLock,
    /// Accepts a repository that is not as it was left, or that it is gone
    Adopt {
        /// Its directory, URL or label: named here, so that it cannot be the wrong one
        // An id of its own: that of `--repository` would take the flag's place.
        #[arg(id = "adopted", value_name = "REPOSITORY")]
        repository: OsString,
    },
    /// Pins the SSH key of the machine the repository is on, once its fingerprint was compared
    TrustHost(TrustHost),
    /// Makes an SSH key to log in with where the repository is, and prints the line that lets it in there
    SshKey,
    /// Says how the backups are
    Status {
        /// In JSON
        #[arg(long)]
        json: bool,
    },
    /// Says whether backups can be made, step by step, and what to do where they cannot; changes nothing
    Doctor {
        /// In JSON
        #[arg(long)]
        json: bool,
    },
    /// Measures this program: its parts alone, and the whole beside stock borg, restic and rustic
    #[cfg(feature = "bench")]
    Bench(worldkeeper_bench::Bench),
    /// Serves repositories of this machine to borg clients, stock's and ours: what SSH starts on a backup host
    #[command(disable_help_flag = true)]
    Serve {
        // Read as borg reads them, when this is the first word; see `borg`.
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

impl Command {
    /// What it leaves out of archives.
    pub(crate) fn patterns(&self) -> &[PatternFlag] {
        match self {
            Self::Run(Run { patterns, .. }) | Self::Backup(Backup { patterns, .. }) => &patterns.0,
            _ => &[],
        }
    }

    /// Returns whether it reads past the repository's lock.
    pub(crate) fn bypasses_lock(&self) -> bool {
        let (Self::List(List { lock, .. })
        | Self::Info(Info { lock, .. })
        | Self::Find(Find { lock, .. })
        | Self::Restore(Restore { lock, .. })
        | Self::Diff(Diff { lock, .. })
        | Self::ExportTar(ExportTar { lock, .. })) = self
        else {
            return false;
        };
        lock.bypass_lock
    }

    /// Returns whether it works on one repository alone, so that it must be said which.
    pub(crate) fn is_about_one(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Backup(_)
            | Self::Prune { .. }
            | Self::Compact { .. }
            | Self::Check(_)
            | Self::Serve { .. }
            | Self::Status { .. }
            | Self::Doctor { .. } => false,
            #[cfg(feature = "bench")]
            Self::Bench(_) => false,
            Self::TrustHost(said) => !said.names_host(),
            _ => true,
        }
    }

    /// Returns whether it may work beside a game. A server may be all that its machine is there for, and a benchmark measures
    /// others, too.
    pub(crate) fn is_beside_a_game(&self) -> bool {
        match self {
            Self::Serve { .. } => false,
            #[cfg(feature = "bench")]
            Self::Bench(_) => false,
            _ => true,
        }
    }

    /// Which tags leave directories out of archives.
    pub(crate) fn tags(&self) -> Option<&TagFlags> {
        match self {
            Self::Run(Run { tags, .. }) | Self::Backup(Backup { tags, .. }) => Some(tags),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn clap_finds_no_fault() {
        used::command(Args::command()).debug_assert();
    }

    #[test]
    fn flags_stand_on_either_side_of_the_verb() {
        for line in ["worldkeeper --name mc backup", "worldkeeper backup --name mc"] {
            assert_eq!(parse(line).unwrap().flags.name.as_deref(), Some("mc"), "{line}");
        }
        let args = parse("worldkeeper run --source a --source b --keep-last -1").unwrap();
        assert_eq!(args.flags.sources, ["a", "b"]);
        assert_eq!(args.flags.keep_counts()[0], Some("-1"));
    }

    #[test]
    fn restore_is_extract_too() {
        for verb in ["restore", "extract"] {
            let args = parse(&format!("worldkeeper {verb} latest world/region --to x --overwrite")).unwrap();
            let Command::Restore(restore) = args.command else { panic!("{verb} is no restore") };
            assert_eq!((restore.archive.as_str(), restore.paths), ("latest", vec![PathBuf::from("world/region")]));
        }
    }

    #[test]
    fn what_is_adopted_may_be_said_by_the_flag_too() {
        let args = parse("worldkeeper adopt /a --repository /b").unwrap();
        let Command::Adopt { repository } = args.command else { panic!("it is no adopt") };
        assert_eq!((repository, args.flags.repository), ("/a".into(), vec!["/b".into()]));
    }

    #[test]
    fn the_name_of_a_setting_is_not_that_of_the_series() {
        let args = parse("worldkeeper config storage_quota -5G --name mc").unwrap();
        let Command::Config(config) = args.command else { panic!("it is no config") };
        assert_eq!((config.name.as_deref(), config.value.as_deref()), (Some("storage_quota"), Some("-5G")));
        assert_eq!(args.flags.name.as_deref(), Some("mc"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "worldkeeper",
            "worldkeeper delete",
            "worldkeeper delete --force",
            "worldkeeper config --delete",
            "worldkeeper config storage_quota 1G --delete",
            "worldkeeper delete a --older 1y",
            "worldkeeper list --newer soon",
            "worldkeeper restore",
            "worldkeeper --passphrase x run",
            "worldkeeper adopt",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn no_line_of_the_help_is_too_wide_and_every_flag_names_its_variable() {
        let mut command = Args::command().term_width(110);
        let help = command.render_help().to_string();
        for variable in ["BACKUP_SOURCES", "BORG_REPO_PATH", "KEEP_WITHIN", "GAME_CONTAINER_NAME", "LOCK_WAIT"] {
            assert!(help.contains(variable), "{variable}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    }
}
