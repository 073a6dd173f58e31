//! What can be typed after `bench`.

use std::path::PathBuf;

use clap::{Subcommand, value_parser};

use crate::corpus;
use crate::tool;

/// What to measure, and how.
#[derive(Debug, clap::Args)]
pub struct Bench {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// What the parts of a backup can do on one core, and what a perfect pipeline would need for each byte
    Primitives(Primitives),
    /// The first archive of each corpus
    Create(Compare),
    /// Another archive of a tree that has not changed
    Rerun(Compare),
    /// The extraction of an archive
    Extract(Compare),
    /// The check that reads and verifies everything
    Check(Compare),
    /// The list of all that is in an archive
    List(Compare),
    /// The deletion of three archives of four, which have nearly all in common
    Prune(Compare),
    /// These six: create, rerun, check, extract, list, prune
    All(Compare),
    /// The first archive and another one, into repositories on another machine
    Remote(Remote),
    /// What an hour of a directory costs: stock's cuts against ours
    World(World),
    /// What a file and a chunk cost when there are many
    Scale(Scale),
}

/// How results are shown, and where data are made meanwhile.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Prints JSON instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Draws the results into this file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Where data are made, and removed at the end [default: memory (/dev/shm), if there is any]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Measuring {
    /// How many bytes are worked on, in MiB
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u64).range(1..))]
    pub(crate) working_set: u64,
    /// How often each is tried; the best counts, since others use the machine too
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Primitives {
    /// Only what a perfect pipeline would need
    #[arg(long)]
    pub(crate) ideal: bool,
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) peers: Peers,
    /// Which trees: noise and text of large files, a mixed tree, many small files, a game's world
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_values = ["noise", "mixed"])]
    pub(crate) corpora: Vec<corpus::Kind>,
    /// How much there is of noise, text and world, in MiB
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = value_parser!(u64).range(1..))]
    pub(crate) mebibytes: u64,
    /// How many files a mixed tree and one of small files have
    #[arg(long, value_name = "N", default_value_t = 46_000, value_parser = value_parser!(u64).range(1..))]
    pub(crate) files: u64,
    /// How often each is run, everybody in turn; medians count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// One run on small trees: shows that it works, proves no figure
    #[arg(long)]
    pub(crate) quick: bool,
    /// Fails where we are slower than stock borg
    #[arg(long)]
    pub(crate) demand: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Compare {
    pub(crate) fn size(&self) -> corpus::Size {
        let (mebibytes, files) = if self.quick { (64, 2000) } else { (u64::MAX, u64::MAX) };
        corpus::Size { mebibytes: self.mebibytes.min(mebibytes), files: self.files.min(files) }
    }

    pub(crate) fn runs(&self) -> u32 {
        if self.quick { 1 } else { self.runs }
    }
}

/// Beside whom we are measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Beside whom, of those that are installed
    #[arg(long, value_name = "TOOL", value_delimiter = ',', default_values = ["borg", "restic", "rustic"])]
    pub(crate) against: Vec<tool::Kind>,
    /// Stock borg [default: the one on the PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) borg: Option<PathBuf>,
    /// restic [default: the one on the PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) restic: Option<PathBuf>,
    /// rustic [default: the one on the PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) rustic: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Remote {
    /// Where repositories are made, and removed at the end: `ssh://[USER@]HOST[:PORT]/DIRECTORY`. SSH_KEY_PATH and
    /// SSH_KNOWN_HOSTS say how to log in, to all
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The stock borg there
    #[arg(long, value_name = "PROGRAM", default_value = "borg")]
    pub(crate) far_borg: String,
    /// What serves us there: stock borg, or worldkeeper
    #[arg(long, value_name = "PROGRAM", default_value = "borg")]
    pub(crate) far_worldkeeper: String,
    #[command(flatten)]
    pub(crate) compare: Compare,
}

#[derive(Debug, clap::Args)]
pub(crate) struct World {
    /// The directory, and its later states, if they are kept in directories of their own
    #[arg(value_name = "DIR", required_unless_present = "demo")]
    pub(crate) states: Vec<PathBuf>,
    /// Makes a world of so many region files, and plays in it
    #[arg(long, value_name = "REGIONS", num_args = 0..=1, default_missing_value = "8",
          conflicts_with_all = ["states", "then", "wait"], value_parser = value_parser!(u64).range(1..=512))]
    pub(crate) demo: Option<u64>,
    /// A command that brings about the next state, run by a shell in the directory
    #[arg(long, value_name = "COMMAND", conflicts_with = "wait")]
    pub(crate) then: Option<String>,
    /// Seconds to wait for the next state
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// How many hours, commands or waits
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) times: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Scale {
    /// From 1,000 to so many files, in steps of ten
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(1000..=1_000_000))]
    pub(crate) files: u64,
    /// From 10,000 to so many chunks, in steps of ten
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = value_parser!(u64).range(10_000..=10_000_000))]
    pub(crate) chunks: u64,
    /// How often each is run; medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}
