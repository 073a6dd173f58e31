//! `tests/tools/worldsim.py`: makes worlds, plays in them, and says what each way of cutting them would store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::peers;

/// The simulator, and the Python that runs it.
pub(crate) struct Simulator {
    python: PathBuf,
}

/// What a way of cutting would store.
#[derive(Debug, Deserialize)]
pub(crate) struct Estimate {
    /// Chunks of files, in bytes.
    data: u64,
    /// The archive and its list of items, cut as ours is.
    meta_cut: u64,
}

impl Estimate {
    /// In bytes.
    pub(crate) fn total(&self) -> u64 {
        self.data + self.meta_cut
    }
}

impl Simulator {
    /// `None` where there is no Python with what it needs.
    pub(crate) fn found() -> Option<Self> {
        peers::or_skip("numpy", python()).map(|python| Self { python })
    }

    /// Makes a world.
    pub(crate) fn create(&self, world: &Path, regions: usize) {
        let _: serde_json::Value = self.run(world, "create", &["--regions", &regions.to_string(), "--seed", "1"]);
        unlock(world);
    }

    /// Plays an hour; what the players did depends on its number. Returns what they did.
    pub(crate) fn play(&self, world: &Path, hour: usize) -> serde_json::Value {
        let seed = (100 + hour).to_string();
        let played = self.run(world, "play", &["--minutes", "60", "--players", "4", "--seed", &seed]);
        unlock(world);
        played
    }

    /// Makes a database of so many blocks of a map.
    pub(crate) fn database(&self, world: &Path, blocks: usize) {
        let _: serde_json::Value = self.run(world, "sqlite", &["--blocks", &blocks.to_string()]);
    }

    /// Plays twenty minutes in it.
    pub(crate) fn play_in_database(&self, world: &Path, turn: usize) {
        let seed = (1 + turn).to_string();
        let _: serde_json::Value = self.run(world, "sqlite", &["--play", "20", "--seed", &seed]);
    }

    /// What would be stored now if files were cut that way, after what was stored each time before.
    pub(crate) fn estimate(&self, world: &Path, cut: &str, options: &[&str]) -> Estimate {
        let state = world.with_extension("estimate");
        let state = state.to_str().expect("a plain name");
        self.run(world, "estimate", &[&["--state", state, "--only", cut, "--json"], options].concat())
    }

    /// Runs it, and reads the last line of what it says.
    fn run<T: DeserializeOwned>(&self, world: &Path, verb: &str, options: &[&str]) -> T {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/worldsim.py");
        let mut command = Command::new(&self.python);
        let output = command.arg(script).arg(verb).arg(world).args(options).output().expect("python starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let last = said.lines().last().unwrap_or("null");
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{command:?} says {last}: {error}"))
    }
}

/// Takes away what we leave out of archives, so that all the rest can be compared.
fn unlock(world: &Path) {
    fs::remove_file(world.join("session.lock")).expect("a world is locked");
}

/// The one that runs borg has the modules, too.
fn python() -> Result<PathBuf, String> {
    let borg = Borg::newest().ok_or("there is no borg")?;
    let python = borg.program().with_file_name("python");
    match Command::new(&python).args(["-c", "import lz4, numpy"]).output() {
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("{}: {error}", python.display())),
    }
}
