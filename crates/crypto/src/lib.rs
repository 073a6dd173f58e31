//! Keys, key files, ids, sealing and opening, TAM, nonce policy. No I/O.
//!
//! A repository has one [`Key`], made at its creation, kept in a [`KeyBlob`] under the passphrase. The key names
//! plaintext by its id hash, seals a compressed payload into an object, opens objects, and proves with a [`tam`] that
//! metadata came from somebody who had it. All of that needs counter values that were never used before: [`nonce`]
//! decides which, and whoever owns the repository makes the decision durable before the first of them is used.
//!
//! Source: borg 1.4 `crypto/key.py`, `crypto/low_level.pyx`, `crypto/nonces.py`.

mod awaited;
mod blake2b;
mod blob;
mod counter;
mod digester;
mod hash;
mod key;
mod key_file;
mod keystream;
mod locked;
mod mode;
pub mod nonce;
mod object;
mod paper;
pub mod tam;

pub use awaited::Awaited;
pub use blob::{KeyBlob, KeyBlobError, fuzz_key_blob};
pub use counter::{Exhausted, NonceCounter};
pub use digester::{Digester, bench_digest_all};
pub use key::Key;
pub use key_file::{KeyFile, KeyFileError, fuzz_key_file};
pub use mode::{EncryptionMode, KeyStorage, UnknownMode, UnknownTypeByte};
pub use object::{IdMismatch, OpenError, fuzz_open};
pub use paper::{PaperError, PaperKey, PaperReader, fuzz_paper};

/// Where random bytes come from: fills the whole buffer with bytes nobody can guess.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);
