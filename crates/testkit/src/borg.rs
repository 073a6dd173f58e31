//! Stock borg, the oracle.
//!
//! `TESTS_BORG` lists the versions to ask, as a path list (`/path/to/1.4.5/borg:/path/to/1.2.4/borg`); where it is not
//! set, the `borg` on the `PATH` is asked alone. `TESTS_OLD_BORG` names one of 1.1, which knows less, for the tests that
//! ask for it.

mod servers;
mod warm;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::peers;
pub use servers::Servers;
use warm::Warm;

/// One stock borg, with a home, caches and security directory of its own.
pub struct Borg {
    program: PathBuf,
    version: String,
    base: TempDir,
    passphrase: Option<String>,
    warm: Option<Warm>,
}

impl Borg {
    /// Every stock borg there is to ask; empty where there is none and none is required.
    pub fn all() -> Vec<Self> {
        let list = std::env::var_os("TESTS_BORG").unwrap_or_else(|| "borg".into());
        let found = std::env::split_paths(&list).map(|program| Self::at(&program)).collect::<Result<Vec<_>, _>>();
        peers::or_skip("borg", found).unwrap_or_default()
    }

    /// The first of [`Borg::all`], which by convention is the newest.
    pub fn newest() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// A borg 1.1, where there is one.
    pub fn old() -> Option<Self> {
        let program = std::env::var_os("TESTS_OLD_BORG")?;
        Some(Self::at(program.as_ref()).unwrap_or_else(|reason| panic!("TESTS_OLD_BORG: {reason}")))
    }

    /// Whether this is 1.1: it compacts by itself, and its archives bear no authentication.
    pub fn is_old(&self) -> bool {
        self.version.starts_with("1.1.")
    }

    /// The option by which names of users and groups do not count.
    pub fn numeric_ids(&self) -> &'static str {
        if self.is_old() { "--numeric-owner" } else { "--numeric-ids" }
    }

    fn at(program: &Path) -> Result<Self, String> {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.trim().strip_prefix("borg ").ok_or_else(|| format!("{} is no borg", program.display()))?;
        let base = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { program: program.to_owned(), version: version.to_owned(), base, passphrase: None, warm: None })
    }

    /// Its version, such as `1.4.5`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Sets the passphrase it is given from now on.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: &str) -> Self {
        self.passphrase = Some(passphrase.to_owned());
        self
    }

    /// Loads borg once: from now on a command is a fork of that, which takes some 80 ms instead of 400. For tests that ask
    /// often. Where the program is no Python script, nothing changes.
    #[must_use]
    pub fn warmed(mut self) -> Self {
        self.warm = Warm::start(&self.program);
        self
    }

    /// Servers of it, for tests that start many; `None` where the program is no Python script.
    pub fn servers(&self) -> Option<Servers> {
        Servers::start(self)
    }

    /// Forgets everything this borg knows: caches, security bookkeeping, keys.
    pub fn forget(&mut self) {
        self.base = tempfile::tempdir().expect("temporary directories can be made");
    }

    /// A command of this borg with nothing in its environment but what it needs.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("LANG", "C.UTF-8").env("TZ", "UTC");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", self.base.path()).env("BORG_BASE_DIR", self.base.path());
        command
            .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
            .env("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES")
            .env("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
        // Its own tests of its own codecs take a quarter of a short command's time.
        command.env("BORG_SELFTEST", "disabled");
        command.envs(self.passphrase.as_ref().map(|passphrase| ("BORG_PASSPHRASE", passphrase)));
        command
    }

    /// Runs borg with `args`, whatever comes of it.
    pub fn try_run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        let mut command = self.command();
        command.args(args);
        self.outcome(&mut command)
    }

    /// Runs a [`command`](Self::command) of this borg to its end.
    pub fn outcome(&self, command: &mut Command) -> Outcome {
        match self.warm.as_ref().map(|warm| warm.run(command)) {
            Some(Ok(output)) => Outcome::from_output(command, output),
            Some(Err(error)) => panic!("cannot run {command:?}: {error}"),
            None => Outcome::of(command),
        }
    }

    /// Runs borg with `args` and asserts that it ends without error or warning.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        self.try_run(args).exits(0)
    }

    /// Creates a repository.
    #[track_caller]
    pub fn init(&self, repository: &Path, encryption: &str) {
        let _ = self.run([OsStr::new("init"), "--encryption".as_ref(), encryption.as_ref(), repository.as_ref()]);
    }

    /// Creates an archive of `source`, with further `options`.
    #[track_caller]
    pub fn create(&self, repository: &Path, archive: &str, source: &Path, options: &[&str]) -> Outcome {
        let location = location(repository, archive);
        let words = ["create"].iter().chain(options).map(OsStr::new);
        self.run(words.chain([location.as_ref(), source.as_os_str()]))
    }

    /// The names of the archives, oldest first.
    #[track_caller]
    pub fn archives(&self, repository: &Path) -> Vec<String> {
        self.run([OsStr::new("list"), "--short".as_ref(), repository.as_ref()]).lines()
    }

    /// Asserts that `check --verify-data` finds nothing to say.
    #[track_caller]
    pub fn check(&self, repository: &Path) {
        let _ = self.run([OsStr::new("check"), "--verify-data".as_ref(), repository.as_ref()]);
    }

    /// Extracts an archive into the directory `target`, which is made.
    #[track_caller]
    pub fn extract(&self, repository: &Path, archive: &str, target: &Path) {
        std::fs::create_dir_all(target).expect("the target can be made");
        let location = location(repository, archive);
        let mut command = self.command();
        command.current_dir(target).args(["extract", self.numeric_ids()]).arg(location);
        let _ = self.outcome(&mut command).exits(0);
    }

    /// Every item of an archive with every field it has, in order.
    #[track_caller]
    pub fn items(&self, repository: &Path, archive: &str) -> Vec<serde_json::Value> {
        let location = location(repository, archive);
        // One that is warmed cannot go on after this command has closed standard output.
        let file = self.base.path().join("items.json");
        let _ = self.run(["debug".as_ref(), "dump-archive".as_ref(), location.as_ref(), file.as_os_str()]);
        let dump = std::fs::read(&file).expect("borg has written it");
        std::fs::remove_file(file).expect("it is there");
        let mut dump: serde_json::Value = serde_json::from_slice(&dump).expect("it is JSON");
        match dump["_items"].take() {
            serde_json::Value::Array(items) => items,
            other => panic!("the items of {location} are {other}"),
        }
    }

    /// Runs a subcommand that answers in JSON.
    #[track_caller]
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> serde_json::Value {
        let outcome = self.run(args);
        serde_json::from_str(outcome.stdout()).unwrap_or_else(|error| panic!("no JSON: {error}: {outcome}"))
    }
}

impl fmt::Display for Borg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "borg {}", self.version)
    }
}

/// `REPOSITORY::ARCHIVE`, as borg 1.x wants it.
pub fn location(repository: &Path, archive: &str) -> String {
    format!("{}::{archive}", repository.display())
}
