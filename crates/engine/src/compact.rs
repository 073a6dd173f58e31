//! Frees the space of what no archive refers to any more.

use worldkeeper_core::repository::CompactStats;

use crate::session::{Session, SessionError};

/// Segments with less dead space than this are left alone, in per cent; stock's default.
pub const DEFAULT_THRESHOLD_PERCENT: u8 = 10;

/// Compacts the repository.
pub fn compact(session: &mut Session, threshold_percent: u8) -> Result<CompactStats, SessionError> {
    session.begin()?.compact(session, threshold_percent)
}
