//! A backup that loses its connection goes on within the same run: on another connection, from the last checkpoint.
//!
//! What was committed on the way is there, so it is read and recognised, but not sent again. The waits are short and few:
//! other repositories may be waiting for their turn, and the schedule tries again, too.

use std::time::Duration;

use tracing::warn;
use worldkeeper_core::{Stop, error_text};
use worldkeeper_engine::{CreateError, Created, Monitor, Session};

use super::{BackupError, BackupJob, OpenError};
use crate::words::duration;

/// How often a backup goes on after its connection was lost.
pub const MOST_RETRIES: u32 = 5;

/// The wait before that; doubles each time.
pub const FIRST_WAIT: Duration = Duration::from_secs(5);

/// How long is slept before it is seen whether to stop.
const NAP: Duration = Duration::from_millis(200);

impl BackupError {
    /// Returns whether the connection to the repository was lost while the archive was being made.
    fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Create { source: CreateError::Session(error), .. } if error.is_connection_lost())
    }

    /// Returns whether this is why a repository that was open is not open again yet.
    fn is_still_away(&self) -> bool {
        matches!(self, Self::Open(OpenError::Failed { retry: true, .. }))
    }
}

impl BackupJob {
    /// Makes an archive, however often the connection is lost on the way, within limits.
    pub(super) fn archive_in_spite_of_losses(
        &self,
        stop: &Stop,
        monitor: &dyn Monitor,
    ) -> Result<(Session, Created), BackupError> {
        let mut losses = 0;
        loop {
            let error = match self.archive(stop, monitor) {
                Err(error) if error.is_connection_lost() || losses > 0 && error.is_still_away() => error,
                ended => return ended,
            };
            if losses == MOST_RETRIES {
                return Err(error);
            }
            let wait = FIRST_WAIT * (1 << losses);
            losses += 1;
            warn!(
                "{}; trying again in {} (retry {losses} of {MOST_RETRIES}), and what is stored by then is not sent again",
                error_text(&error),
                duration(wait),
            );
            self.rest(wait, stop)?;
        }
    }

    fn rest(&self, wait: Duration, stop: &Stop) -> Result<(), OpenError> {
        let end = self.clock.monotonic() + wait;
        loop {
            if stop.is_requested() {
                return Err(OpenError::Stopped);
            }
            match end.saturating_sub(self.clock.monotonic()) {
                Duration::ZERO => return Ok(()),
                left => self.clock.sleep(left.min(NAP)),
            }
        }
    }
}
