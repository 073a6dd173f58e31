//! The binary under test, run as a person would: by its command line and environment, with nothing inherited.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::outcome::Outcome;

/// One set-up of the sidecar: a world, a repository and a state directory below one folder.
#[derive(Clone)]
pub struct Worldkeeper {
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Worldkeeper {
    /// A set-up below `folder`; nothing is made yet. The passphrase is [`PASSPHRASE`].
    pub fn at(folder: &Path) -> Self {
        let bare = Self { program: program(), folder: folder.to_owned(), environment: Vec::new() };
        let keeper = bare.with("BORG_PASSPHRASE", PASSPHRASE).with("WORLDKEEPER_NAME", "world");
        let (world, repository, state) = (keeper.world(), keeper.repository(), keeper.state());
        // Whether a game container runs is the business of the tests that bring an engine, and tests make more archives
        // in an hour than the defaults keep.
        let keeper = keeper.with("DOCKER_HOST", NO_ENGINE).with("KEEP_WITHIN", "1d");
        keeper.with("BACKUP_SOURCES", world).with("BORG_REPO_PATH", repository).with("WORLDKEEPER_STATE_DIR", state)
    }

    /// Sets an environment variable of every command from now on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self = self.without(name);
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// The source.
    pub fn world(&self) -> PathBuf {
        self.folder.join("world")
    }

    /// The repository.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The folder that holds them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command of the binary.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.command_under::<&str>(&[], args)
    }

    /// A command of the binary started by another program, such as `strace` or `setpriv`, with its arguments.
    pub fn command_under<P: AsRef<OsStr>>(
        &self,
        wrapper: &[P],
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut words = wrapper.iter().map(|word| word.as_ref().to_owned()).collect::<Vec<_>>();
        words.push(self.program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(args).env_clear().env("LANG", "C.UTF-8").env("TZ", "UTC");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", self.folder.join("home"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary with `args`, whatever comes of it.
    pub fn try_run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        Outcome::of(&mut self.command(args))
    }

    /// Runs the binary with `args` and asserts that it ends without error or warning.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        self.try_run(args).exits(0)
    }

    /// Starts the binary; what it says is kept for `wait_with_output`.
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
    }

    /// Makes one archive and returns its name.
    #[track_caller]
    pub fn backup(&self) -> String {
        let outcome = self.run(["backup"]);
        self.archives().pop().unwrap_or_else(|| panic!("no archive after {outcome}"))
    }

    /// The names of the archives, oldest first.
    #[track_caller]
    pub fn archives(&self) -> Vec<String> {
        let lines = self.run(["list"]).lines();
        lines.iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    /// Restores an archive (or `latest`) with everything in it into the directory `target`.
    #[track_caller]
    pub fn restore(&self, archive: &str, target: &Path) -> Outcome {
        let everything = ["--devices", "--setuid"].map(OsStr::new);
        self.run(
            [OsStr::new("restore"), archive.as_ref(), "--to".as_ref(), target.as_ref()].into_iter().chain(everything),
        )
    }
}

/// The passphrase of every repository these tests make.
pub const PASSPHRASE: &str = "correct horse ☃";

/// Where no engine listens.
const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

/// The binary: `WORLDKEEPER_BIN`, or what Cargo has built beside this test.
///
/// # Panics
///
/// If it is not there.
pub fn program() -> PathBuf {
    let program = std::env::var_os("WORLDKEEPER_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own path");
            test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").join("worldkeeper")
        },
        PathBuf::from,
    );
    let hint = "build it (cargo build --package worldkeeper-cli) or set WORLDKEEPER_BIN";
    assert!(program.is_file(), "{} is not there: {hint}", program.display());
    program
}

/// Where the content of an absolute `source` lies below a directory that an archive was extracted into.
pub fn below(target: &Path, source: &Path) -> PathBuf {
    target.join(source.strip_prefix("/").expect("sources in tests are absolute"))
}
