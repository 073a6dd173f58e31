//! What is sealed is opened again before it is stored.
//!
//! A bit that flips in memory between plaintext and object makes an object that nobody can open, or one that holds
//! something else; months later it would be found by whoever needs it. Here it is found while the plaintext is still
//! there to make another one of.

use std::str::FromStr;
use std::sync::Arc;

use worldkeeper_compress::Decompressor;
use worldkeeper_core::{ChunkId, is_equal};
use worldkeeper_crypto::Key;

use crate::objects::{MAX_CHUNK_SIZE, ObjectProblem, Sealed};
use crate::pipeline::{Buffers, Dealer};

/// How a new object is checked before it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Not at all.
    Off,
    /// It is opened, and what comes out is compared with what went in.
    #[default]
    On,
    /// And the id is computed again from what comes out, so that a plaintext that changed since it was named is found.
    Full,
}

/// No way of checking.
#[derive(Debug, thiserror::Error)]
#[error("expected one of on, full and off")]
pub struct VerifyError;

impl FromStr for Verify {
    type Err = VerifyError;

    fn from_str(text: &str) -> Result<Self, VerifyError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "full" => Ok(Self::Full),
            _ => Err(VerifyError),
        }
    }
}

impl std::fmt::Display for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Full => "full",
        })
    }
}

/// Why an object must not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingProblem {
    /// It does not open.
    #[error(transparent)]
    Unreadable(#[from] ObjectProblem),
    /// It opens, and holds other bytes than those it was made of.
    #[error("it holds other bytes than went into it")]
    Differs,
}

/// Checks new objects.
#[derive(Default)]
pub(crate) struct Verifier {
    how: Verify,
    decompressor: Decompressor,
    dealer: Dealer,
    /// What comes of the slower algorithms.
    data: Vec<u8>,
}

impl Verifier {
    pub(crate) fn new(how: Verify) -> Self {
        Self { how, ..Self::default() }
    }

    /// What it opens meanwhile lies in memory that was used before.
    pub(crate) fn with_buffers(self, buffers: &Arc<Buffers>) -> Self {
        Self { dealer: Dealer::new(Arc::clone(buffers)), ..self }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.how != Verify::Off
    }

    /// Checks that what was sealed is `chunk`. `id` is what the chunk was named before, if it has a name of its own.
    pub(crate) fn check(
        &mut self,
        key: &Key,
        id: Option<&ChunkId>,
        chunk: &[u8],
        sealed: &Sealed,
    ) -> Result<(), EncodingProblem> {
        if !self.is_on() {
            return Ok(());
        }
        let object = sealed.as_ref();
        // In the modes that do not encrypt there is no MAC, and any will do.
        key.verify_mac(object, &sealed.mac.unwrap_or_default()).map_err(ObjectProblem::from)?;
        let is_same = if let Some(header) = sealed.header {
            key.decrypts_to(object, &[header, chunk])
        } else {
            let mut payload = self.dealer.take(object.len() - key.overhead());
            key.decrypt_to(object, &mut payload).map_err(ObjectProblem::from)?;
            if let Some(gives) = Decompressor::lz4_gives(&payload, chunk, || self.dealer.take(chunk.len())) {
                gives
            } else {
                let size = Some(chunk.len());
                let decompressed = self.decompressor.decompress_into(&payload, &mut self.data, size, MAX_CHUNK_SIZE);
                decompressed.map_err(ObjectProblem::from)?;
                is_equal(&self.data, chunk)
            }
        };
        if !is_same {
            return Err(EncodingProblem::Differs);
        }
        if self.how == Verify::Full
            && let Some(id) = id
        {
            key.verify_id(id, chunk).map_err(ObjectProblem::from)?;
        }
        Ok(())
    }
}
