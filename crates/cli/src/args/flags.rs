//! The flags that may stand before or behind any verb: settings, each with the variable that says the same.

use std::ffi::OsString;

use super::{CreateFlags, RemoteFlags};

/// The settings that have a flag.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// A directory to back up; repeatable (BACKUP_SOURCES, comma-separated; default /data)
    #[arg(long = "source", value_name = "DIR", global = true, help_heading = WHAT)]
    pub(crate) sources: Vec<OsString>,
    /// The series: what archives are named after (WORLDKEEPER_NAME; default the container's name, else the source's)
    #[arg(long, value_name = "NAME", global = true, help_heading = WHAT)]
    pub(crate) name: Option<String>,
    /// The borg repository, made by the first backup: a directory, ssh://USER@HOST:PORT/PATH or USER@HOST:PATH; repeatable
    /// as LABEL=LOCATION. LABEL alone picks one of those that are set (BORG_REPO_PATH, BORG_REPO, comma-separated if they
    /// begin with a label, or REMOTE_HOST and REMOTE_PATH; default /repository)
    #[arg(long, value_name = "LOCATION", global = true, help_heading = WHERE)]
    pub(crate) repository: Vec<OsString>,
    /// How a new repository is encrypted: repokey, its key in the repository; keyfile, its key here alone; authenticated,
    /// not encrypted but signed; each with -blake2 or without; or none (BORG_ENCRYPTION; default repokey-blake2)
    #[arg(long, value_name = "MODE", global = true, help_heading = WHERE)]
    pub(crate) encryption: Option<String>,
    /// A new repository keeps all that was ever committed: nothing is freed (APPEND_ONLY)
    #[arg(long, global = true, help_heading = WHERE)]
    pub(crate) append_only: bool,
    /// Makes the directories above a new repository on another machine, too (MAKE_PARENT_DIRS)
    #[arg(long, global = true, help_heading = WHERE)]
    pub(crate) make_parent_dirs: bool,
    /// How much a new repository may take, like 500M, 20G or 1.5T (STORAGE_QUOTA; default no limit)
    #[arg(long, value_name = "SIZE", global = true, help_heading = WHERE)]
    pub(crate) storage_quota: Option<String>,
    /// A file with the passphrase, readable by its owner alone (BORG_PASSPHRASE_FILE)
    #[arg(long, value_name = "FILE", global = true, help_heading = WHERE)]
    pub(crate) passphrase_file: Option<OsString>,
    /// How chunks are compressed: none, lz4, zstd[,1-22], zlib[,0-9], lzma[,0-9], auto,C for one of these where it is
    /// worth it, or obfuscate,S,C with padding (BORG_COMPRESSION; default lz4)
    #[arg(short = 'C', long, value_name = "SPEC", global = true, help_heading = WHERE)]
    pub(crate) compression: Option<String>,
    #[command(flatten)]
    pub(crate) create: CreateFlags,
    #[command(flatten)]
    pub(crate) remote: RemoteFlags,
    /// Time from one good archive to the next: seconds, or like 1h30m (BACKUP_INTERVAL; default 1h)
    #[arg(long, value_name = "DURATION", global = true, help_heading = WHEN)]
    pub(crate) interval: Option<String>,
    /// A game container; repeatable. Backs up while any of them runs (GAME_CONTAINER_NAME, comma-separated; default
    /// none, backs up always)
    #[arg(long = "container", value_name = "NAME", global = true, help_heading = WHEN)]
    pub(crate) containers: Vec<String>,
    /// Where Docker listens: a socket, unix://PATH or tcp://HOST:PORT (DOCKER_HOST; default the usual socket)
    #[arg(long, value_name = "ENDPOINT", global = true, help_heading = WHEN)]
    pub(crate) docker_host: Option<String>,
    /// How many processors are used while the game runs (PROCESSORS_PLAYING; default half of them)
    #[arg(long, value_name = "N", global = true, help_heading = WHEN)]
    pub(crate) processors_playing: Option<String>,
    /// Keeps the newest N archives (-1: all) (KEEP_LAST)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_last: Option<String>,
    /// Keeps one archive of each of N minutes (KEEP_MINUTELY)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_minutely: Option<String>,
    /// Of N hours (KEEP_HOURLY; default 24)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_hourly: Option<String>,
    /// Of N days (KEEP_DAILY; default 7)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_daily: Option<String>,
    /// Of N weeks (KEEP_WEEKLY; default 4)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_weekly: Option<String>,
    /// Of N months (KEEP_MONTHLY; default 6)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_monthly: Option<String>,
    /// Of N years (KEEP_YEARLY)
    #[arg(long, value_name = "N", global = true, help_heading = KEEP, allow_hyphen_values = true)]
    pub(crate) keep_yearly: Option<String>,
    /// Keeps everything younger, like 36H, 7d, 4w, 6m or 1y (KEEP_WITHIN)
    #[arg(long, value_name = "INTERVAL", global = true, help_heading = KEEP)]
    pub(crate) keep_within: Option<String>,
    /// Our own directory: keys, caches, a generated passphrase; must outlive the container (WORLDKEEPER_STATE_DIR;
    /// default ~/.local/state/worldkeeper)
    #[arg(long, value_name = "DIR", global = true, help_heading = HOW)]
    pub(crate) state_dir: Option<OsString>,
    /// How long to wait for the repository when somebody else uses it (LOCK_WAIT; default 10m, for ever in run)
    #[arg(long, value_name = "DURATION", global = true, help_heading = HOW)]
    pub(crate) lock_wait: Option<String>,
    /// debug, info, warn or error (WORLDKEEPER_LOG; default info)
    #[arg(long, value_name = "LEVEL", global = true, help_heading = HOW)]
    pub(crate) log_level: Option<String>,
}

impl Flags {
    /// The rules that count, in the order of `settings::retention::COUNTED`.
    pub(crate) fn keep_counts(&self) -> [Option<&str>; 7] {
        let (minutely, hourly, daily) = (&self.keep_minutely, &self.keep_hourly, &self.keep_daily);
        [&self.keep_last, minutely, hourly, daily, &self.keep_weekly, &self.keep_monthly, &self.keep_yearly]
            .map(|count| count.as_deref())
    }
}

pub(super) const WHAT: &str = "What to back up";
pub(super) const LEFT_OUT: &str = "What to leave out (as in \"borg help patterns\"; the first that matches counts)";
pub(super) const WHERE: &str = "Where to, and how it is stored";
pub(super) const REACH: &str = "How a repository on another machine is reached";
const WHEN: &str = "When";
pub(super) const KEEP: &str = "What to keep (one that is set replaces all defaults)";
const HOW: &str = "Running";
