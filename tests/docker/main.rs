//! The sidecar as it is meant to run: our image beside a game container, on a real engine.

mod backup_host;
mod compose;
mod elsewhere;
mod engine;
mod game;
mod image;
mod stop;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use worldkeeper_testkit::docker::Engine;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::worldkeeper::{self, PASSPHRASE};
use worldkeeper_tests::{eventually, project, within};

/// How long anything that the engine and the sidecar do together may take; seconds, but for a machine that has other
/// work.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the images are called.
const SIDECAR: &str = "worldkeeper";
const GAME: &str = "itzg/minecraft-server";

/// An engine with our image and a game's; `None` where there can be none.
fn engine() -> Option<Engine> {
    let engine = Engine::start()?;
    peers::or_skip("docker", build_sidecar(&engine))?;
    peers::or_skip("docker", import_game(&engine))?;
    Some(engine)
}

/// Builds our image by our Dockerfile from the binary under test.
fn build_sidecar(engine: &Engine) -> Result<(), String> {
    let program = worldkeeper::program();
    let binary = fs::read(&program).map_err(|error| error.to_string())?;
    // A dynamic program names its interpreter, and an empty image has none.
    let interpreter = b"/lib64/ld-linux";
    if binary.windows(interpreter.len()).any(|window| window == interpreter) {
        return Err(format!("{} is no static binary; WORLDKEEPER_BIN can name one", program.display()));
    }
    let context = tempfile::tempdir().map_err(|error| error.to_string())?;
    let place = context.path().join("target/x86_64-unknown-linux-musl/release/worldkeeper");
    fs::create_dir_all(place.parent().expect("it lies in target/")).map_err(|error| error.to_string())?;
    fs::copy(&program, &place).map_err(|error| error.to_string())?;
    for name in ["Dockerfile", ".dockerignore"] {
        fs::copy(project().join(name), context.path().join(name)).map_err(|error| error.to_string())?;
    }
    let context = context.path().to_str().ok_or("paths of tests are text")?;
    let _ = engine.docker(["build", "--quiet", "--target", "binary", "--tag", SIDECAR, context]);
    Ok(())
}

/// A game made of busybox: as a user of its own it writes the world anew each second, for nobody else to read.
fn import_game(engine: &Engine) -> Result<(), String> {
    const SCRIPT: &str = "umask 077\n\
        trap 'exit 0' TERM\n\
        tick=0\n\
        while :; do\n\
            tick=$((tick + 1))\n\
            echo \"tick $tick\" > /data/level.dat\n\
            sleep 1 & wait $!\n\
        done\n";
    let root = tempfile::tempdir().map_err(|error| error.to_string())?;
    let bin = root.path().join("bin");
    fs::create_dir(&bin).map_err(|error| error.to_string())?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.is_file());
    fs::copy(busybox.ok_or("busybox is not installed")?, bin.join("busybox")).map_err(|error| error.to_string())?;
    for name in ["sh", "sleep", "echo", "cat", "dd", "stat"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).map_err(|error| error.to_string())?;
    }
    fs::write(root.path().join("game.sh"), SCRIPT).map_err(|error| error.to_string())?;
    let data = root.path().join("data");
    fs::create_dir(&data).map_err(|error| error.to_string())?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).map_err(|error| error.to_string())?;
    std::os::unix::fs::chown(&data, Some(1000), Some(1000)).map_err(|error| error.to_string())?;
    engine.import(root.path(), GAME, &["USER 1000:1000", "CMD [\"/bin/sh\", \"/game.sh\"]"]);
    Ok(())
}

/// Starts the game as `name`, with its world in the volume `world`.
#[track_caller]
fn start_game(engine: &Engine, name: &str) {
    start_game_on(engine, name, "world:/data");
}

/// The same with its world elsewhere.
#[track_caller]
fn start_game_on(engine: &Engine, name: &str, volume: &str) {
    let words = ["run", "--detach", "--name", name, "--network", "none", "--restart", "unless-stopped"];
    let _ = engine.docker(words.into_iter().chain(["--volume", volume, GAME]));
}

/// A sidecar that runs with as little as `compose.example.yaml` gives it, under a name, its repository in a folder of ours.
struct Sidecar<'a> {
    engine: &'a Engine,
    name: &'a str,
    repository: PathBuf,
}

impl<'a> Sidecar<'a> {
    /// Starts it beside the container `game`, with further environment.
    #[track_caller]
    fn start(engine: &'a Engine, folder: &Path, game: &str, environment: &[(&str, &str)]) -> Self {
        let repository = folder.join("repository");
        let mount = format!("{}:/repository", repository.display());
        let names = [("GAME_CONTAINER_NAME", game), ("WORLDKEEPER_NAME", "world")];
        // A test makes more archives in an hour than the defaults keep.
        let defaults = [("BORG_PASSPHRASE", PASSPHRASE), ("KEEP_WITHIN", "1d")];
        Self::run(engine, repository, "none", &[mount], &[&names[..], &defaults, environment].concat())
    }

    /// Starts it on a network, with this environment, and with mounts beside those it has anyway.
    #[track_caller]
    fn run(
        engine: &'a Engine,
        repository: PathBuf,
        network: &str,
        mounts: &[String],
        environment: &[(&str, &str)],
    ) -> Self {
        let always = [
            "world:/data:ro".to_owned(),
            "state:/var/lib/worldkeeper".to_owned(),
            format!("{}:/var/run/docker.sock", engine.socket().display()),
        ];
        let mut command = engine.command("docker");
        command.args(["run", "--detach", "--name", SIDECAR, "--network", network, "--restart", "unless-stopped"]);
        command.args(["--read-only", "--cap-drop", "ALL", "--cap-add", "DAC_READ_SEARCH"]);
        command.args(["--security-opt", "no-new-privileges:true"]);
        command.args(always.iter().chain(mounts).flat_map(|mount| ["--volume", mount]));
        for (name, value) in environment {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        let _ = Outcome::of(command.arg(SIDECAR)).exits(0);
        Self { engine, name: SIDECAR, repository }
    }

    /// Runs a command of ours inside it, whatever comes of it.
    fn try_run(&self, args: &[&str]) -> Outcome {
        self.engine.try_docker(["exec", self.name, "worldkeeper"].iter().chain(args))
    }

    /// The names of the archives; none where there is no repository yet.
    fn archives(&self) -> Vec<String> {
        let outcome = self.try_run(&["list"]);
        if outcome.code() == Some(0) { outcome.lines() } else { Vec::new() }
    }

    /// Waits until there are more archives than `count` and returns how many.
    #[track_caller]
    fn more_than(&self, count: usize) -> usize {
        let more = within(PATIENCE, || Some(self.archives().len()).filter(|now| *now > count));
        more.unwrap_or_else(|| panic!("no more than {count} archives:\n{}", self.engine.logs(self.name)))
    }

    /// Waits until it has written `word`.
    #[track_caller]
    fn says(&self, word: &str) {
        let log = || self.engine.logs(self.name).to_lowercase();
        let said = within(PATIENCE, || log().contains(&word.to_lowercase()).then_some(()));
        assert!(said.is_some(), "no line with {word:?}:\n{}", log());
    }

    /// Asserts that for a while no archive is made, however short the interval.
    #[track_caller]
    fn rests(&self) {
        // A backup may be under way when the game stops.
        let settle =
            || eventually("rest", PATIENCE, || (!self.repository.join("lock.exclusive").exists()).then_some(()));
        settle();
        std::thread::sleep(Duration::from_secs(1));
        settle();
        let before = self.archives();
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(self.archives(), before, "{}", self.engine.logs(self.name));
    }
}

/// A command of the client that runs in a folder of its own.
fn in_folder(mut command: Command, folder: &Path) -> Command {
    command.current_dir(folder);
    command
}
