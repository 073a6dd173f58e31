//! Makes objects of chunks.
//!
//! ```text
//! chunk ─ compress ─ encrypt ─▶ Unfinished ─ digest ─▶ Sealed ─ check ─▶ object
//! ```
//!
//! Digests are most of the work, and several side by side take little longer than one. So an object can be left
//! [unfinished](Unfinished) until others are there. Its MAC is made twice: the second is what the first is checked by.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;
use worldkeeper_compress::{Algorithm, Compression, Compressor};
use worldkeeper_core::{ChunkId, Repository, error_text};
use worldkeeper_crypto::{Awaited, Key};

use crate::nonces::Nonces;
use crate::pipeline::{Buffer, Buffers, Dealer};
use crate::random;
use crate::session::SessionError;
use crate::state::RepositoryState;
use crate::verify::{Verifier, Verify};

/// Seals chunks; keeps what one thread needs for that.
pub(crate) struct ChunkSealer<'a> {
    repository: &'a dyn Repository,
    state: &'a RepositoryState,
    key: &'a Key,
    nonces: &'a Nonces,
    compressor: Compressor<random::Fill>,
    verifier: Verifier,
    dealer: Dealer,
}

/// An object that lacks its MAC.
pub(crate) struct Unfinished {
    object: Buffer,
    /// What is in front of the chunk, if the payload is the chunk as it is.
    header: Option<&'static [u8]>,
    /// The MAC in the making, and the other one that it is checked by; none in the modes that do not encrypt.
    macs: Vec<Awaited>,
}

/// An object as it would be stored.
pub(crate) struct Sealed {
    object: Buffer,
    pub(crate) header: Option<&'static [u8]>,
    /// The MAC that it should bear.
    pub(crate) mac: Option<[u8; 32]>,
}

impl Unfinished {
    /// Returns whether the MACs are made.
    pub(crate) fn is_digested(&self) -> bool {
        self.macs.iter().all(Awaited::is_finished)
    }

    /// Returns whether the payload is something else than the chunk.
    pub(crate) fn is_compressed(&self) -> bool {
        self.header.is_none()
    }

    /// How many MACs are in the making.
    pub(crate) fn streams(&self) -> usize {
        self.macs.len()
    }

    /// The MACs in the making, and what each of them is made of.
    pub(crate) fn digests(&mut self) -> impl Iterator<Item = (&mut Awaited, &[u8])> {
        let bytes = Key::mac_input(&self.object);
        self.macs.iter_mut().map(move |mac| (mac, bytes))
    }
}

impl<'a> ChunkSealer<'a> {
    pub(crate) fn new(
        repository: &'a dyn Repository,
        state: &'a RepositoryState,
        key: &'a Key,
        nonces: &'a Nonces,
        compression: Compression,
    ) -> Self {
        let compressor = Compressor::new(compression, random::fill as random::Fill);
        let (verifier, dealer) = (Verifier::default(), Dealer::default());
        Self { repository, state, key, nonces, compressor, verifier, dealer }
    }

    /// Checks what is sealed in another way than the usual one.
    pub(crate) fn verified(self, how: Verify) -> Self {
        Self { verifier: Verifier::new(how), ..self }
    }

    /// Puts objects into memory that was used before.
    pub(crate) fn with_buffers(self, buffers: &Arc<Buffers>) -> Self {
        let (verifier, dealer) = (self.verifier.with_buffers(buffers), Dealer::new(Arc::clone(buffers)));
        Self { verifier, dealer, ..self }
    }

    /// Compresses and seals what has no id of its own, and checks that it can be opened.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<Bytes, SessionError> {
        let sealed = self.encode(plain)?;
        self.checked(sealed, None, plain)
    }

    /// Compresses and seals a chunk that was named `id`, and checks that it can be opened.
    pub(crate) fn seal_chunk(&mut self, id: &ChunkId, chunk: &[u8]) -> Result<Bytes, SessionError> {
        let sealed = self.encode(chunk)?;
        self.checked(sealed, Some(id), chunk)
    }

    /// Compresses and encrypts; the digests of what comes back are the caller's to make.
    pub(crate) fn begin(&mut self, chunk: &[u8]) -> Result<Unfinished, SessionError> {
        let payload = self.compressor.payload(chunk)?;
        let nonce = self.nonces.take(self.key, payload.len(), self.repository, self.state)?;
        let mut object = self.dealer.take(self.key.overhead() + payload.len());
        self.key.encrypt_from(nonce, &payload.pieces(), &mut object);
        let mut macs = Vec::with_capacity(2);
        if let Some(begun) = self.key.mac_digester() {
            let len = Key::mac_input(&object).len();
            if self.verifier.is_on() {
                macs.push(Awaited::new(begun.clone(), len));
            }
            macs.push(Awaited::new(begun, len));
        }
        Ok(Unfinished { object, header: payload.header_of_data(), macs })
    }

    /// Takes an object whose digests are made, and checks that it is `chunk` sealed.
    pub(crate) fn finish(&mut self, unfinished: Unfinished, id: &ChunkId, chunk: &[u8]) -> Result<Bytes, SessionError> {
        let sealed = self.complete(unfinished);
        self.checked(sealed, Some(id), chunk)
    }

    /// How [`seal`](Self::seal) would compress a chunk.
    pub(crate) fn algorithm(&mut self, chunk: &[u8]) -> Result<Option<Algorithm>, SessionError> {
        let mut payload = Vec::new();
        self.compressor.compress(chunk, &mut payload)?;
        Ok(Algorithm::detect(&payload))
    }

    fn encode(&mut self, chunk: &[u8]) -> Result<Sealed, SessionError> {
        let mut unfinished = self.begin(chunk)?;
        Awaited::go_on(unfinished.digests(), 1, usize::MAX);
        Ok(self.complete(unfinished))
    }

    /// Puts the MAC in.
    fn complete(&self, unfinished: Unfinished) -> Sealed {
        let Unfinished { mut object, header, macs, .. } = unfinished;
        let mut macs = macs.iter().map(|mac| mac.digest().expect("it is made"));
        if let Some(mac) = macs.next() {
            self.key.put_mac(&mut object, &mac);
        }
        Sealed { object, header, mac: macs.next() }
    }

    fn checked(&mut self, sealed: Sealed, id: Option<&ChunkId>, chunk: &[u8]) -> Result<Bytes, SessionError> {
        self.checked_or(sealed, id, chunk, |sealer| sealer.encode(chunk))
    }

    /// Checks an object, and makes another one if the first is not good: what flipped a bit once need not do so again.
    fn checked_or(
        &mut self,
        mut sealed: Sealed,
        id: Option<&ChunkId>,
        chunk: &[u8],
        again: impl FnOnce(&mut Self) -> Result<Sealed, SessionError>,
    ) -> Result<Bytes, SessionError> {
        if let Err(problem) = self.verifier.check(self.key, id, chunk, &sealed) {
            warn!("an object was not good and is made again: {}", error_text(&problem));
            drop(sealed);
            sealed = again(self)?;
            self.verifier.check(self.key, id, chunk, &sealed).map_err(SessionError::Encoding)?;
        }
        Ok(sealed.object.into())
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.object
    }
}

#[cfg(test)]
mod tests;
