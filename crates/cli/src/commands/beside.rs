//! What the daemon goes by, for commands beside it: what stands on its own command line alone, they do not hear of.
//!
//! What its archives hold counts while it rests, too: who makes one of something else meanwhile does not mean to take the
//! others' place. `run --once` without a daemon is a schedule of its own, and leaves its settings as a daemon does.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{debug, warn};
use worldkeeper_core::disk;

use crate::open::Caller;
use crate::place::Place;
use crate::settings::{Origin, retention_text};

/// The settings of the daemon that runs on the same state directory, or was the last to run there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DaemonSettings {
    series: String,
    /// Their locations.
    repositories: Vec<String>,
    interval_seconds: u64,
    /// In words.
    retention: String,
    /// What archives hold: sources, and what is left out of them. Earlier versions said nothing of it.
    #[serde(default)]
    content: Option<u64>,
}

/// Not the archives would be kept that the daemon keeps.
#[derive(Debug, thiserror::Error)]
#[error("the daemon that runs here keeps {daemon}, and this would keep {ours}")]
pub(crate) struct KeepsElse {
    daemon: String,
    ours: String,
}

/// What an archive holds by these settings, for comparing; as a number, for there may be many patterns.
fn content(place: &Place) -> u64 {
    let settings = &place.settings;
    let tags = settings.create.tags.describe().map(|(name, value, _)| (name, value));
    let mut hasher = DefaultHasher::new();
    (&settings.sources.value, settings.patterns.text(), tags).hash(&mut hasher);
    hasher.finish()
}

impl DaemonSettings {
    const FILE: &str = "daemon.json";

    /// Far more than these take.
    const MAX_BYTES: u64 = 1 << 16;

    /// Leaves those of this process there. What it cannot leave, nobody learns: all go by their own, then.
    pub(super) fn note(place: &Place) {
        let settings = Self {
            series: place.series().to_owned(),
            repositories: place.each().iter().map(|place| place.location()).collect(),
            interval_seconds: place.settings.interval.value.as_secs(),
            retention: retention_text(&place.settings.retention.value),
            content: Some(content(place)),
        };
        let path = place.state.path().join(Self::FILE);
        let bytes = serde_json::to_vec(&settings).expect("these are a few texts and a number");
        // Those of an earlier one say nothing of this one.
        let removed = disk::remove_if_there(&*place.disk, &path);
        if let Err(error) = removed.and_then(|()| disk::replace(&*place.disk, &path, &bytes)) {
            debug!("what the daemon goes by is not noted: {error}");
        }
    }

    /// Leaves those of `run --once` there, which somebody starts on a schedule of their own, unless a daemon runs.
    pub(super) fn note_once(place: &Place) {
        if !matches!(place.state.has_daemon(), Ok(false)) {
            return;
        }
        let is_else = |place: &Place| Self::noted(place).is_some_and(|last| last.holds_else_than(place));
        if place.each().iter().any(|place| is_else(place)) {
            warn!(
                "what is backed up is something else than before: from now on this is what counts, and older archives of something \
                 else go as the rules say. If that is not meant, use `worldkeeper backup` for it, or another --name"
            );
        }
        Self::note(place);
    }

    /// Those of the daemon that runs now, if it backs up the same series into the same repository.
    fn of_running(place: &Place) -> Option<Self> {
        place.state.has_daemon().ok().filter(|has_daemon| *has_daemon)?;
        Self::noted(place)
    }

    /// Those that were noted last, if they are about the same series and the same repository.
    fn noted(place: &Place) -> Option<Self> {
        let path = place.state.path().join(Self::FILE);
        let bytes = disk::read_if_there(&*place.disk, &path, Self::MAX_BYTES).ok()??;
        let settings: Self = serde_json::from_slice(&bytes).ok()?;
        let is_same = settings.series == place.series() && settings.repositories.contains(&place.location());
        is_same.then_some(settings)
    }

    /// From one archive to the next: as the daemon has it, else as it is set here.
    pub(super) fn interval(place: &Place) -> Duration {
        Self::of_running(place)
            .map_or(place.settings.interval.value, |settings| Duration::from_secs(settings.interval_seconds))
    }

    /// Returns whether the archives that are made on schedule hold something else than one that is made by these settings.
    pub(super) fn holds_else(place: &Place, caller: Caller) -> bool {
        let scheduled = match caller {
            Caller::Daemon => None,
            Caller::Once => Self::of_running(place),
            Caller::Hand => Self::noted(place),
        };
        scheduled.is_some_and(|settings| settings.holds_else_than(place))
    }

    fn holds_else_than(&self, place: &Place) -> bool {
        self.content.is_some_and(|content_here| content_here != content(place))
    }

    /// Requires that the daemon keeps as much, unless what is to be kept was said to this very command.
    pub(super) fn require_same_retention(place: &Place) -> Result<(), KeepsElse> {
        let retention = &place.settings.retention;
        let ours = retention_text(&retention.value);
        match Self::of_running(place) {
            Some(Self { retention: daemon, .. }) if daemon != ours && !matches!(retention.origin, Origin::Flag(_)) => {
                Err(KeepsElse { daemon, ours })
            }
            _ => Ok(()),
        }
    }
}
