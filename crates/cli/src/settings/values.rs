//! Values of one word or number, as they are written in a flag or a variable.

use std::num::NonZeroUsize;
use std::time::Duration;

use tracing::Level;
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_repository::{MIN_QUOTA, parse_size};

use super::duration::{self, DurationError};
use crate::words;

/// No number of processors.
#[derive(Debug, thiserror::Error)]
#[error("expected a number of processors, at least 1")]
pub(super) struct NoProcessors;

pub(super) fn processors(text: &str) -> Result<Option<NonZeroUsize>, NoProcessors> {
    text.parse().map(Some).map_err(|_| NoProcessors)
}

/// No mode of borg's.
#[derive(Debug, thiserror::Error)]
#[error("expected repokey, keyfile, authenticated, each with -blake2 or without, or none")]
pub(super) struct UnknownMode;

pub(super) fn encryption(text: &str) -> Result<EncryptionMode, UnknownMode> {
    text.parse().map_err(|_| UnknownMode)
}

/// No quota.
#[derive(Debug, thiserror::Error)]
#[error("expected a size of at least 10M, like 500M, 20G or 1.5T, or 0 for no quota")]
pub(super) struct NoQuota;

pub(super) fn quota(text: &str) -> Result<u64, NoQuota> {
    parse_size(text).filter(|bytes| !(1..MIN_QUOTA).contains(bytes)).ok_or(NoQuota)
}

pub(super) fn quota_text(bytes: u64) -> String {
    if bytes == 0 { "none".to_owned() } else { words::bytes(bytes) }
}

/// Why a duration cannot be the interval.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntervalError {
    #[error(transparent)]
    Duration(#[from] DurationError),
    #[error("an interval is at least one second, like 1h30m")]
    Zero,
}

pub(super) fn interval(text: &str) -> Result<Duration, IntervalError> {
    let interval = duration::parse(text)?;
    if interval.is_zero() { Err(IntervalError::Zero) } else { Ok(interval) }
}

/// No level.
#[derive(Debug, thiserror::Error)]
#[error("expected one of debug, info, warn and error")]
pub(super) struct LevelError;

pub(super) fn log_level(text: &str) -> Result<Level, LevelError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "debug" => Ok(Level::DEBUG),
        "info" => Ok(Level::INFO),
        "warn" => Ok(Level::WARN),
        "error" => Ok(Level::ERROR),
        _ => Err(LevelError),
    }
}
