//! Why a payload cannot be decompressed.

use thiserror::Error;

use crate::algorithm::Algorithm;

/// Why a payload cannot be decompressed. It is always the payload's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// There is not even a header.
    #[error("{0} bytes are too few for a compressed payload, its header alone takes 2")]
    TooShort(usize),
    /// The header names no algorithm of borg's.
    #[error("unknown compression header {:02x}{:02x}", .0[0], .0[1])]
    UnknownHeader([u8; 2]),
    /// The data would not fit into the caller's limit.
    #[error("{algorithm} payload holds more than {limit} bytes")]
    TooLarge {
        /// How it is compressed.
        algorithm: Algorithm,
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// The algorithm cannot make sense of the bytes.
    #[error("{algorithm} payload is damaged")]
    Damaged {
        /// How it is compressed.
        algorithm: Algorithm,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DecompressError {
    /// Blames the payload, for a reason in words or from a library.
    pub(crate) fn damaged(algorithm: Algorithm, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Damaged { algorithm, source: reason.into() }
    }
}
