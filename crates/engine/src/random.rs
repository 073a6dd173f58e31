//! Randomness from the system.

use worldkeeper_crypto::Random;

use crate::state::StateError;

/// [`fill`], for those who keep it.
pub(crate) type Fill = fn(&mut [u8]) -> Result<(), StateError>;

/// Fills `bytes` with random ones.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), StateError> {
    getrandom::fill(bytes).map_err(StateError::NoRandomness)
}

/// Gives `draw` a source of random bytes. If the source failed, what was drawn is thrown away.
pub(crate) fn with<T>(draw: impl FnOnce(Random<'_>) -> T) -> Result<T, StateError> {
    let mut failed = None;
    let drawn = draw(&mut |bytes| {
        if let Err(error) = getrandom::fill(bytes) {
            failed = Some(error);
        }
    });
    failed.map_or(Ok(drawn), |error| Err(StateError::NoRandomness(error)))
}
