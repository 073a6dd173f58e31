//! What the user wants: flags, else the environment, else defaults, checked as a whole before anything is done.

mod create;
mod duration;
mod environment;
mod error;
mod known;
mod layers;
mod location;
mod patterns;
mod pieces;
mod rate;
mod remote;
mod repositories;
mod retention;
mod series;
mod sources;
mod tags;
mod values;
mod when;

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tracing::Level;
use worldkeeper_compress::Compression;
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_docker::{ContainerName, Endpoint};
use worldkeeper_engine::Patterns;
use worldkeeper_engine::prune::Rules;

pub(crate) use create::CreateSettings;
pub(crate) use duration::to_text as duration_text;
pub(crate) use environment::Environment;
pub(crate) use error::SettingsError;
pub(crate) use known::misspelt;
pub(crate) use layers::{Origin, Setting};
pub(crate) use location::Location;
pub(crate) use patterns::{select, select_anywhere};
pub(crate) use remote::RemoteSettings;
pub(crate) use repositories::Repositories;
pub(crate) use retention::to_text as retention_text;
pub(crate) use when::When;

use crate::args::{Args, Flags};
use layers::{Said, look_up};
use values::{encryption, interval, log_level, processors, quota, quota_text};

/// Everything that can be set, but for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What archives are named after, and which ones pruning may touch.
    pub(crate) name: Setting<String>,
    /// The repositories that backups go to.
    pub(crate) repositories: Repositories,
    /// Where the one is that this is about: the first, until another one is chosen.
    pub(crate) repository: Setting<Location>,
    /// How it is reached, if that is on another machine.
    pub(crate) remote: RemoteSettings,
    /// How a repository that is made is encrypted.
    pub(crate) encryption: Setting<EncryptionMode>,
    /// Whether one keeps all that was ever committed.
    pub(crate) append_only: Setting<bool>,
    /// Whether the directories above one on another machine are made, too.
    pub(crate) make_parent_dirs: Setting<bool>,
    /// How many bytes one may take; 0 is no limit.
    pub(crate) storage_quota: Setting<u64>,
    /// What is backed up, as it was written: borg stores the paths as they were given.
    pub(crate) sources: Setting<Vec<PathBuf>>,
    /// What is left out of archives.
    pub(crate) patterns: Patterns,
    /// From one good archive to the next.
    pub(crate) interval: Setting<Duration>,
    /// Whose running means that the game runs; empty for always.
    pub(crate) containers: Setting<Vec<ContainerName>>,
    /// Where the Docker daemon listens, if there is one.
    pub(crate) docker: Setting<Endpoint>,
    /// How many processors are used while the game runs; `None` for half of them.
    pub(crate) processors_playing: Setting<Option<NonZeroUsize>>,
    /// How new chunks are compressed.
    pub(crate) compression: Setting<Compression>,
    /// How archives are made.
    pub(crate) create: CreateSettings,
    /// Which archives stay.
    pub(crate) retention: Setting<Rules>,
    /// The file that holds the passphrase, if one was named.
    pub(crate) passphrase_file: Option<Setting<PathBuf>>,
    /// Our own directory.
    pub(crate) state_dir: Setting<PathBuf>,
    /// How long to wait for the repository; `None` leaves it to the command.
    pub(crate) lock_wait: Setting<Option<Duration>>,
    /// The least important log entries that are shown.
    pub(crate) log_level: Setting<Level>,
}

impl Settings {
    /// Puts the layers together, and reads what the command leaves out. A source that a pattern names is one that a flag
    /// names.
    pub(crate) fn of(args: &Args, environment: &Environment) -> Result<Self, SettingsError> {
        let patterns = patterns::read(args.command.patterns())?;
        let mut flags = args.flags.clone();
        flags.create.tags = args.command.tags().cloned().unwrap_or_default();
        flags.sources.splice(..0, patterns.roots().iter().map(|root| OsStr::from_bytes(root).to_owned()));
        Ok(Self { patterns, ..Self::resolve(&flags, environment)? })
    }

    /// Puts the layers together.
    pub(crate) fn resolve(flags: &Flags, environment: &Environment) -> Result<Self, SettingsError> {
        known::check(environment)?;
        let find = |flag: &'static str, given: Option<&OsStr>, variables: &[&'static str]| {
            look_up(environment, flag, given, variables)
        };
        let text = |flag, given: &Option<String>, variable| find(flag, given.as_deref().map(OsStr::new), &[variable]);

        let repositories = Repositories::resolve(&flags.repository, environment)?;
        let passphrase_file = find("--passphrase-file", flags.passphrase_file.as_deref(), &["BORG_PASSPHRASE_FILE"])?;
        let state_dir = find("--state-dir", flags.state_dir.as_deref(), &["WORLDKEEPER_STATE_DIR"])?;
        let sources = sources::resolve(flags, environment)?;
        let containers = containers(flags, environment)?;
        Ok(Self {
            name: match text("--name", &flags.name, "WORLDKEEPER_NAME")? {
                Some(said) => said.parse(series::check)?,
                None => {
                    Setting::default(series::derive(&containers.value, &sources.value).map_err(SettingsError::Series)?)
                }
            },
            repository: Setting {
                value: repositories.chosen.value[0].location.clone(),
                origin: repositories.chosen.origin,
            },
            repositories,
            remote: RemoteSettings::resolve(&flags.remote, environment)?,
            encryption: or_default(
                text("--encryption", &flags.encryption, "BORG_ENCRYPTION")?,
                |said| said.parse(encryption),
                || EncryptionMode::RepokeyBlake2,
            )?,
            append_only: create::switch(environment, "--append-only", flags.append_only, "APPEND_ONLY")?,
            make_parent_dirs: create::switch(
                environment,
                "--make-parent-dirs",
                flags.make_parent_dirs,
                "MAKE_PARENT_DIRS",
            )?,
            storage_quota: or_default(
                text("--storage-quota", &flags.storage_quota, "STORAGE_QUOTA")?,
                |said| said.parse(quota),
                || 0,
            )?,
            interval: or_default(
                text("--interval", &flags.interval, "BACKUP_INTERVAL")?,
                |said| said.parse(interval),
                || Duration::from_hours(1),
            )?,
            docker: or_default(
                text("--docker-host", &flags.docker_host, "DOCKER_HOST")?,
                |said| said.parse(|text| Endpoint::resolve(Some(text))),
                Endpoint::default,
            )?,
            processors_playing: or_default(
                text("--processors-playing", &flags.processors_playing, "PROCESSORS_PLAYING")?,
                |said| said.parse(processors),
                || None,
            )?,
            compression: or_default(
                text("--compression", &flags.compression, "BORG_COMPRESSION")?,
                |said| said.parse(Compression::from_str),
                Compression::default,
            )?,
            create: CreateSettings::resolve(&flags.create, environment)?,
            retention: retention(flags, environment)?,
            passphrase_file: passphrase_file.map(|said| said.parse_os(path)).transpose()?,
            state_dir: match state_dir {
                Some(said) => said.parse_os(path)?,
                None => Setting::default(default_state_dir(environment)?),
            },
            lock_wait: or_default(
                text("--lock-wait", &flags.lock_wait, "LOCK_WAIT")?,
                |said| said.parse(|text| duration::parse(text).map(Some)),
                || None,
            )?,
            log_level: or_default(
                text("--log-level", &flags.log_level, "WORLDKEEPER_LOG")?,
                |said| said.parse(log_level),
                || Level::INFO,
            )?,
            sources,
            containers,
            patterns: Patterns::default(),
        })
    }

    /// Returns whether nobody has said where Docker listens, and there is no socket now where it usually does.
    pub(crate) fn lack_docker(&self) -> bool {
        self.docker.origin == Origin::Default && !self.docker.value.is_there()
    }

    /// Every setting in words, with where it was said: for the log, when somebody wonders.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String, Origin)> {
        let paths =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let containers = self.containers.value.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let repositories: Vec<_> = self.repositories.chosen.value.iter().map(ToString::to_string).collect();
        let lock_wait = self.lock_wait.value.map_or("as the command needs".into(), duration_text);
        let processors_playing = self.processors_playing.value.map_or("half".into(), |count| count.to_string());
        let mut described = vec![
            ("name", self.name.value.clone(), self.name.origin),
            ("repository", repositories.join(", "), self.repository.origin),
            ("encryption", self.encryption.value.to_string(), self.encryption.origin),
            ("append only", if self.append_only.value { "yes" } else { "no" }.to_owned(), self.append_only.origin),
            (
                "make parent dirs",
                if self.make_parent_dirs.value { "yes" } else { "no" }.to_owned(),
                self.make_parent_dirs.origin,
            ),
            ("storage quota", quota_text(self.storage_quota.value), self.storage_quota.origin),
            ("sources", paths(&self.sources.value), self.sources.origin),
            ("interval", duration_text(self.interval.value), self.interval.origin),
            ("containers", containers, self.containers.origin),
            ("docker host", self.docker.value.to_string(), self.docker.origin),
            ("processors playing", processors_playing, self.processors_playing.origin),
            ("compression", self.compression.value.to_string(), self.compression.origin),
            ("retention", retention_text(&self.retention.value), self.retention.origin),
            ("state directory", self.state_dir.value.display().to_string(), self.state_dir.origin),
            ("lock wait", lock_wait, self.lock_wait.origin),
            ("log level", self.log_level.value.to_string(), self.log_level.origin),
        ];
        described.extend(self.remote.describe());
        described.extend(self.create.describe());
        described
    }
}

/// What was said, made sense of; or the default.
fn or_default<T>(
    said: Option<Said>,
    parse: impl FnOnce(&Said) -> Result<Setting<T>, SettingsError>,
    default: impl FnOnce() -> T,
) -> Result<Setting<T>, SettingsError> {
    said.map_or_else(|| Ok(Setting::default(default())), |said| parse(&said))
}

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    /// It says nothing.
    #[error("the path of a file or directory is expected")]
    Empty,
    /// It is relative, to nothing.
    #[error("the current directory is gone, give an absolute path")]
    NoCurrentDirectory,
}

/// A path, which must say something and is made absolute.
pub(crate) fn path(text: &OsStr) -> Result<PathBuf, PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    std::path::absolute(text).map_err(|_| PathError::NoCurrentDirectory)
}

fn containers(flags: &Flags, environment: &Environment) -> Result<Setting<Vec<ContainerName>>, SettingsError> {
    let given = (!flags.containers.is_empty()).then(|| OsString::from(flags.containers.join(",")));
    or_default(
        look_up(environment, "--container", given.as_deref(), &["GAME_CONTAINER_NAME"])?,
        |said| said.parse(|list| list.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>()),
        Vec::new,
    )
}

/// Of several origins the first, but a flag before all others: who types one knows what it is beside.
fn foremost(before: Option<Origin>, origin: Origin) -> Origin {
    before.filter(|before| matches!(before, Origin::Flag(_)) || !matches!(origin, Origin::Flag(_))).unwrap_or(origin)
}

/// Rules that somebody set replace the default ones, all of them.
fn retention(flags: &Flags, environment: &Environment) -> Result<Setting<Rules>, SettingsError> {
    let mut rules = Rules::default();
    let mut origin = None;
    for ((flag, variable, period), given) in retention::COUNTED.into_iter().zip(flags.keep_counts()) {
        if let Some(said) = look_up(environment, flag, given.map(OsStr::new), &[variable])? {
            rules.periods.push((period, said.parse(retention::parse_count)?.value));
            origin = Some(foremost(origin, said.origin));
        }
    }
    let within = flags.keep_within.as_deref().map(OsStr::new);
    if let Some(said) = look_up(environment, "--keep-within", within, &["KEEP_WITHIN"])? {
        rules.within = Some(said.parse(retention::parse_within)?.value);
        origin = Some(foremost(origin, said.origin));
    }
    match origin {
        None => Ok(Setting::default(retention::default_rules())),
        Some(_) if rules.keep_nothing() => Err(SettingsError::KeepsNothing),
        Some(origin) => Ok(Setting { value: rules, origin }),
    }
}

fn default_state_dir(environment: &Environment) -> Result<PathBuf, SettingsError> {
    let home = |name: &str, below: &str| {
        let path = Path::new(environment.value(name)?);
        // A relative one is to be ignored, says the XDG specification.
        path.is_absolute().then(|| path.join(below))
    };
    home("XDG_STATE_HOME", "worldkeeper")
        .or_else(|| home("HOME", ".local/state/worldkeeper"))
        .ok_or(SettingsError::NoStateDirectory)
}

#[cfg(test)]
mod tests;
