//! A Docker engine of a test's own: real, private, and gone afterwards.
//!
//! It has its own folder and socket, so a test may restart it, call its containers what it likes, and leave nothing
//! behind on the machine's engine, if there is one. Its networks are in a namespace of its own: the machine's rules do not
//! reach them, and they end with it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::peers;

/// How long the engine may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running engine.
pub struct Engine {
    folder: TempDir,
    daemon: Child,
}

impl Engine {
    /// Starts an engine; `None` where there is none to start and none is required.
    pub fn start() -> Option<Self> {
        let programs = ["dockerd", "docker", "unshare"];
        let found = match (peers::is_root(), programs.into_iter().find(|name| !peers::on_path(name))) {
            (false, _) => Err("only root can start an engine".to_owned()),
            (true, Some(missing)) => Err(format!("{missing} is not installed")),
            (true, None) => Ok(()),
        };
        peers::or_skip("docker", found)?;
        // A socket's path may have 107 bytes, so it lies right below the folder for temporary files.
        let folder = tempfile::Builder::new().prefix("wk-engine").tempdir().expect("temporary directories can be made");
        let daemon = spawn(folder.path());
        let engine = Self { folder, daemon };
        engine.await_answer();
        Some(engine)
    }

    /// The socket it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Where it listens, as `DOCKER_HOST` wants it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Stops the engine and starts it again; containers with a restart policy come back with it.
    pub fn restart(&mut self) {
        self.stop();
        self.daemon = spawn(self.folder.path());
        self.await_answer();
    }

    /// A command of the Docker client, or of one that takes the same environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // The builder that every client has; the other one is a plugin.
        command.env("DOCKER_HOST", self.host()).env("DOCKER_BUILDKIT", "0").env_remove("DOCKER_CONTEXT");
        command
    }

    /// Runs the Docker client, whatever comes of it.
    pub fn try_docker<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        Outcome::of(self.command("docker").args(args))
    }

    /// Runs the Docker client and asserts that it succeeds.
    #[track_caller]
    pub fn docker<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        self.try_docker(args).exits(0)
    }

    /// Makes an image of a folder, with `changes` in the words of a Dockerfile.
    #[track_caller]
    pub fn import(&self, root: &Path, image: &str, changes: &[&str]) {
        let tar = self.folder.path().join("image.tar");
        let packed = Command::new("tar").arg("-C").arg(root).arg("-cf").arg(&tar).arg(".").status();
        assert!(packed.is_ok_and(|status| status.success()), "cannot pack {}", root.display());
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let tar = tar.to_str().expect("paths of tests are text");
        let _ = self.docker(["import"].into_iter().chain(changes).chain([tar, image]));
    }

    /// A field of a container, as a Go template names it.
    #[track_caller]
    pub fn inspect(&self, container: &str, field: &str) -> String {
        let format = format!("{{{{{field}}}}}");
        self.docker(["inspect", "--format", &format, container]).stdout().trim().to_owned()
    }

    /// Everything a container has written so far.
    pub fn logs(&self, container: &str) -> String {
        let outcome = self.try_docker(["logs", container]);
        format!("{}{}", outcome.stdout(), outcome.stderr())
    }

    fn await_answer(&self) {
        let start = Instant::now();
        while self.try_docker(["version"]).code() != Some(0) {
            let log = self.folder.path().join("dockerd.log");
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "the engine does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let start = Instant::now();
        while self.daemon.try_wait().is_ok_and(|status| status.is_none()) {
            if start.elapsed() > PATIENCE {
                let _ = self.daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let containers = self.try_docker(["ps", "--all", "--quiet"]).lines();
        if !containers.is_empty() {
            let words = ["rm", "--force", "--volumes"].into_iter().map(str::to_owned);
            let _ = self.try_docker(words.chain(containers));
        }
        self.stop();
        // What an engine leaves mounted would keep its folder from being removed.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let folder = self.folder.path().display().to_string();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&folder)) {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

fn spawn(folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("dockerd.log")).expect("a log can be made");
    let mut command = Command::new("unshare");
    command.args(["--net", "dockerd"]);
    command.arg("--data-root").arg(folder.join("root")).arg("--exec-root").arg(folder.join("exec"));
    command.arg("--pidfile").arg(folder.join("pid"));
    command.arg("--host").arg(format!("unix://{}", folder.join("docker.sock").display()));
    // Tests make the networks they want, of containers only: nothing leads out of the namespace.
    command.args(["--bridge=none", "--iptables=false", "--ip-forward=false"]);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("cannot start dockerd: {error}"))
}
