//! Whether the game uses what is backed up.
//!
//! The game's container may be made anew on another volume, or its directory moved away and made anew, while the sidecar
//! keeps what it has mounted: it would back up a world that nobody plays, for ever, and well. What the engine says of the
//! game's mounts is therefore held against what it says of ours, and against what the kernel does.
//!
//! Where the kernel says nothing of use there is nothing to be told, and the game is taken to be here: a
//! false alarm would be worse. Where only an answer is missing, because the engine is silent, knows no such container, or the
//! game's is gone, that is another matter: it may come, and until then what was found last counts.

mod judge;
mod note;
mod words;

use std::fmt;
use std::path::{PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::debug;
use worldkeeper_core::Disk;
use worldkeeper_docker::{Container, ContainerName, Endpoint, Mount};
use worldkeeper_scheduler::{Lookout, Whereabouts};

use super::{containers, ourselves};
use crate::mounts::MountLine;
use crate::place::Place;
use judge::{judge, own_mounts};
use note::Begun;

/// The game uses nothing of what is backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What each of the two has.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.remedy)
    }
}

/// An answer is missing that may come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotKnown;

/// Compares the game's mounts with ours.
pub(super) struct Elsewhere {
    sources: Vec<PathBuf>,
    endpoint: Endpoint,
    disk: Arc<dyn Disk>,
    state_directory: PathBuf,
    /// It notes what it sees, as the daemon does.
    takes_notes: bool,
    /// What the engine said of our own mounts; they never change.
    own: Mutex<Option<Vec<Mount>>>,
}

impl Elsewhere {
    /// For the daemon: notes what is mounted now.
    pub(super) fn begin(place: &Place) -> Self {
        let table = MountLine::all();
        let elsewhere = Self { takes_notes: true, ..Self::of(place) };
        if let Some(container) = ourselves::id(&table) {
            elsewhere.note(&Begun::of(&table, container.to_string()));
        }
        elsewhere
    }

    /// For everybody else: knows what was mounted when the daemon began, if that was in the same container.
    pub(super) fn of(place: &Place) -> Self {
        let sources = place.settings.sources.value.iter().map(|source| absolute(source).unwrap_or(source.clone()));
        let (disk, state_directory) = (Arc::clone(&place.disk), place.state.path().to_owned());
        let endpoint = place.settings.docker.value.clone();
        Self { sources: sources.collect(), endpoint, disk, state_directory, takes_notes: false, own: Mutex::default() }
    }

    fn note(&self, begun: &Begun) {
        if let Err(error) = begun.write(&*self.disk, &self.state_directory) {
            debug!("what is mounted is not noted: {error}");
        }
    }

    /// The question itself, for a backup to ask: each time, the containers are looked at again.
    pub(super) fn question(place: &Arc<Place>) -> Box<dyn Fn() -> Whereabouts + Send + Sync> {
        let (place, elsewhere) = (Arc::clone(place), Self::of(place));
        let began_without = place.settings.lack_docker();
        Box::new(move || {
            // Who names no game, or gives no socket, wants no answer.
            if place.settings.containers.value.is_empty() || began_without && place.settings.lack_docker() {
                return Whereabouts::Here;
            }
            let found = containers::states(&place).unwrap_or_default();
            let containers: Option<Vec<_>> = found.into_iter().map(|(_, found)| found.ok()).collect();
            containers.map_or(Whereabouts::Unknown, |containers| elsewhere.whereabouts(&containers))
        })
    }

    /// What is wrong, if it is certain that something is.
    pub(super) fn judge(&self, containers: &[Container]) -> Result<Option<Finding>, NotKnown> {
        if containers.is_empty() {
            return Err(NotKnown);
        }
        let table = MountLine::all();
        let Some(id) = ourselves::id(&table) else { return Ok(None) };
        let own = self.own(&id)?;
        let begun = Begun::read(&*self.disk, &self.state_directory);
        let mut begun = begun.filter(|begun| begun.container == id.as_str()).unwrap_or_default();
        let Some(mounts) = own_mounts(&table, &begun, &own, &self.sources) else { return Ok(None) };
        if self.takes_notes && begun.see(&mounts, containers) {
            self.note(&begun);
        }
        judge(&mounts, &begun, containers)
    }

    /// What the engine says that we have mounted.
    fn own(&self, id: &ContainerName) -> Result<Vec<Mount>, NotKnown> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &*own {
            return Ok(own.clone());
        }
        let container = ourselves::described(&self.endpoint, id).ok_or(NotKnown)?;
        Ok(own.insert(container.mounts).clone())
    }
}

impl Lookout for Elsewhere {
    fn whereabouts(&self, containers: &[Container]) -> Whereabouts {
        match self.judge(containers) {
            Ok(None) => Whereabouts::Here,
            Ok(Some(finding)) => Whereabouts::Elsewhere(finding.to_string()),
            Err(NotKnown) => Whereabouts::Unknown,
        }
    }
}
