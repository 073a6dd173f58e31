//! What every command works with: the settings, the state directory, the passphrase that was given, the clock.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::MultiProgress;
use jiff::tz::TimeZone;
use tracing::{debug, warn};
use worldkeeper_core::{Clock, Disk, Moment};
use worldkeeper_engine::StateDir;
use worldkeeper_remote::UploadLimit;
use worldkeeper_repository::OsDisk;
use worldkeeper_scheduler::History;

use crate::courtesy;
use crate::key_files::KeyFiles;
use crate::secrets::{self, Passphrase};
use crate::settings::{self, Environment, Origin, Settings};
use crate::system_clock::SystemClock;

/// `f_type` of the file system that containers' layers are made of, from `linux/magic.h`.
const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

/// What every command works with, about one repository. Clones share all that is not a setting.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) settings: Settings,
    pub(crate) environment: Arc<Environment>,
    pub(crate) state: Arc<StateDir>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) key_files: KeyFiles,
    pub(crate) clock: Arc<dyn Clock>,
    /// When this process began.
    pub(crate) began: Moment,
    pub(crate) zone: TimeZone,
    /// The passphrase the user gave; without one, the generated one counts.
    pub(crate) passphrase: Option<Arc<Passphrase>>,
    /// How much is sent in a second to a repository on another machine; until more is known, as if the game ran.
    pub(crate) upload_limit: UploadLimit,
    /// Whoever reads the repository asks nobody for its lock.
    pub(crate) bypasses_lock: bool,
    /// The repository is read without a lock, while others may write to it.
    pub(crate) reads_unlocked: Arc<AtomicBool>,
    /// Where progress shows.
    pub(crate) screen: MultiProgress,
}

impl Place {
    /// Reads the secrets and opens the state directory.
    pub(crate) fn open(settings: Settings, environment: Environment, screen: MultiProgress) -> anyhow::Result<Self> {
        for (name, value, origin) in settings.describe() {
            debug!("setting {name}: {value} ({origin})");
        }
        for (name, meant) in settings::misspelt(&environment) {
            warn!("the environment variable {name} means nothing here; is {meant} meant?");
        }
        // Secrets come first: who cannot read them has not begun anything yet.
        let passphrase = secrets::given(&settings, &environment)?;
        require_own_directory(&settings)?;
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let state = StateDir::open(Arc::clone(&disk), &settings.state_dir.value, &settings.name.value)?;
        let key_files = KeyFiles::new(Arc::clone(&disk), &environment, state.path());
        if passphrase.is_none() {
            warn_if_exposed(&state.passphrase_path());
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let began = Moment::now(clock.as_ref());
        let zone = TimeZone::system();
        if let Some(name) = environment.value("TZ").filter(|_| zone.is_unknown()) {
            warn!("TZ is {name:?}, which is no time zone: days begin in UTC. Give it a name like Europe/Berlin");
        }
        let upload_limit = UploadLimit::new(settings.remote.upload_rate(true));
        let (environment, state) = (Arc::new(environment), Arc::new(state));
        let passphrase = passphrase.map(Arc::new);
        let reads_unlocked = Arc::default();
        Ok(Self {
            settings,
            environment,
            state,
            disk,
            key_files,
            clock,
            began,
            zone,
            passphrase,
            upload_limit,
            bypasses_lock: false,
            reads_unlocked,
            screen,
        })
    }

    /// The same about each of the repositories.
    pub(crate) fn each(&self) -> Vec<Arc<Self>> {
        let about = |repository| Arc::new(Self { settings: self.settings.about(repository), ..self.clone() });
        self.settings.repositories.chosen.value.iter().map(about).collect()
    }

    /// Returns whether this is about one of several repositories, of which none should wait for another for ever.
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.settings.repositories.chosen.value.len() > 1
    }

    /// Returns whether the state directory lies in a container's own layer, and goes when the container does.
    pub(crate) fn state_is_fleeting(&self) -> bool {
        is_in_layer(self.state.path())
    }

    /// Returns whether the repository does, or will.
    pub(crate) fn repository_is_fleeting(&self) -> bool {
        self.settings.repository.value.local().is_some_and(is_in_layer)
    }

    /// Returns whether somebody tries us out inside a container of their own: nobody has said where the state is to be,
    /// and the repository goes with the container, too.
    pub(crate) fn is_trial(&self) -> bool {
        self.settings.state_dir.origin == Origin::Default && self.repository_is_fleeting()
    }

    /// What is remembered of the runs.
    pub(crate) fn history(&self) -> History {
        History::new(Arc::clone(&self.disk), Arc::clone(&self.clock), self.state.path())
    }

    /// Takes as much of the line and of the processors as may be while the game runs, or while it does not.
    pub(crate) fn game_may_run(&self, may_run: bool) {
        self.upload_limit.set(self.settings.remote.upload_rate(may_run));
        let playing = self.settings.processors_playing.value.or_else(courtesy::half);
        courtesy::use_processors(playing.filter(|_| may_run));
    }

    /// The series this is about.
    pub(crate) fn series(&self) -> &str {
        &self.settings.name.value
    }

    /// Whether somebody said which series that is: by its name, or by the container's.
    pub(crate) fn is_series_said(&self) -> bool {
        self.settings.name.origin != Origin::Default || !self.settings.containers.value.is_empty()
    }

    /// The repository's label, if it has one.
    pub(crate) fn label(&self) -> Option<&str> {
        let settings = &self.settings;
        let mut all = settings.repositories.chosen.value.iter();
        all.find(|known| known.location == settings.repository.value)?.label.as_deref()
    }

    /// What the repository is called: its label, else its location.
    pub(crate) fn name(&self) -> String {
        self.label().map_or_else(|| self.location(), str::to_owned)
    }

    /// Where the repository is, for people, and for the run history.
    pub(crate) fn location(&self) -> String {
        self.settings.repository.value.to_string()
    }
}

/// The state directory is something else, too.
#[derive(Debug, thiserror::Error)]
#[error("the state directory {} is {other} itself", path.display())]
pub(crate) struct SharedDirectory {
    path: PathBuf,
    other: String,
}

/// Requires, before anything is made in it, that the state directory is no source and no repository: volumes are easily
/// taken for each other. Only paths are compared, since a source may lie on a file system that does not answer.
fn require_own_directory(settings: &Settings) -> Result<(), SharedDirectory> {
    let plain = |path: &Path| absolute(path).map(|path| path.components().collect::<PathBuf>()).ok();
    let path = &settings.state_dir.value;
    let own = plain(path);
    let sources = settings.sources.value.iter().map(|source| ("source", source.as_path()));
    let repositories = settings.repositories.chosen.value.iter().filter_map(|known| known.location.local());
    let mut others = sources.chain(repositories.map(|path| ("repository", path)));
    match others.find(|(_, other)| own.is_some() && plain(other) == own) {
        Some((kind, other)) => {
            Err(SharedDirectory { path: path.clone(), other: format!("the {kind} {}", other.display()) })
        }
        None => Ok(()),
    }
}

/// Warns of a generated passphrase that others can read. It was made for its owner alone, and is used all the same: on
/// some file systems there is no way to keep it so.
fn warn_if_exposed(path: &Path) {
    let mode = path.metadata().map_or(0, |metadata| metadata.mode() & 0o7777);
    if mode & 0o077 != 0 {
        let path = path.display();
        warn!(
            "the passphrase in {path} can be read by others (mode {mode:04o}); make it yours alone: chmod 600 {path}"
        );
    }
}

/// Returns whether what is at a path, or will be, goes when the container goes that this process runs in.
fn is_in_layer(path: &Path) -> bool {
    let is_overlay = |path| rustix::fs::statfs(path).is_ok_and(|system| system.f_type as u64 == OVERLAYFS_MAGIC);
    Path::new("/.dockerenv").exists() && path.ancestors().find(|path| path.exists()).is_some_and(is_overlay)
}
