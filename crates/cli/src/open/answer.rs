//! Whether a repository answers at all: what lies on a mount whose server is gone holds whoever asks, for ever.
//!
//! So the first question is asked by a thread that may be left behind. Once a repository is open, nobody watches it any more.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;
use worldkeeper_core::{RepositoryError, Stop, error_text};
use worldkeeper_engine::{CreateError, ask_about};
use worldkeeper_repository::Mode;

use super::AccessError;
use crate::place::Place;

/// How long somebody waits who wants to know only whether it is there: longer than a disk takes to spin up.
const LIMIT: Duration = Duration::from_secs(20);

/// Whether a repository is where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is, or is on another machine, of which nothing is known here.
    There,
    /// Nothing is there that holds archives.
    Absent,
    /// Its file system does not answer.
    Silent,
}

impl Place {
    /// Looks whether the repository is there, without opening it.
    pub(crate) fn presence(&self) -> Presence {
        let Some(directory) = self.settings.repository.value.local() else { return Presence::There };
        let own = directory.to_owned();
        let limit = Some(self.settings.create.read_timeout.value).filter(|limit| !limit.is_zero()).unwrap_or(LIMIT);
        // Where one of both is lost, there are no archives.
        let look = move || ["config", "data"].iter().all(|part| own.join(part).exists());
        match ask_about(directory, &self.clock, &Stop::default(), limit.min(LIMIT), look) {
            Ok(true) => Presence::There,
            Ok(false) => Presence::Absent,
            Err(_) => Presence::Silent,
        }
    }

    /// Requires that the file system answers that the repository is on, if it is one of this machine's.
    pub(super) fn require_answer(&self, stop: &Stop) -> Result<(), CreateError> {
        let Some(directory) = self.settings.repository.value.local() else { return Ok(()) };
        let config = directory.join("config");
        // What comes of it is seen when the repository is opened.
        let look = move || drop(File::open(config));
        ask_about(directory, &self.clock, stop, self.settings.create.read_timeout.value, look)
    }

    /// Requires, before a daemon starts, that a repository that does not exist yet can be made: the daemon would try again
    /// and again. Who could make one in any case asks nothing, for the answer may not come.
    pub(crate) fn require_makeable(self: &Arc<Self>, stop: &Stop) -> Result<(), AccessError> {
        let Err(refusal) = self.require_lasting_passphrase() else { return Ok(()) };
        let (place, own_stop) = (Arc::clone(self), stop.clone());
        let look = move || place.open_as(Mode::WithoutLock, None, &own_stop).map(drop);
        let location = self.location();
        match ask_about(Path::new(&location), &self.clock, stop, LIMIT, look) {
            Ok(Err(RepositoryError::DoesNotExist(_))) => return Err(refusal),
            // Whatever else is wrong with it may have passed when the first backup is due.
            Ok(_) => {}
            Err(_) if stop.is_requested() => {}
            Err(error) => warn!("it is not known whether there is a repository at {location}: {}", error_text(&error)),
        }
        Ok(())
    }
}
