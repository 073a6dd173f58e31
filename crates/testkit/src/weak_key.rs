//! A key blob that opens at once.
//!
//! Stretching a passphrase takes longer than everything else a small test does with a repository. The format leaves the
//! number of iterations to the blob, so that a test can have one of a single iteration, of a product that writes none.

use aes::Aes256Enc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use worldkeeper_core::msgpack::{Decoder, Encoder};

/// Puts the key in the text of a key blob under the same passphrase, stretched by one iteration only; `None` if the
/// passphrase does not open it.
///
/// # Panics
///
/// If it is no key blob.
pub fn weaken(blob: &str, passphrase: &str) -> Option<String> {
    rewritten(blob, passphrase, <[u8]>::to_vec)
}

/// The same, of a key that does not say whether manifests must be proven, as borg made them before 1.0.9.
///
/// # Panics
///
/// If it is no key blob.
pub fn of_old_borg(blob: &str, passphrase: &str) -> Option<String> {
    rewritten(blob, passphrase, without_tam_required)
}

fn without_tam_required(inner: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(inner);
    let pairs = (0..decoder.map().expect("a key is a map"))
        .map(|_| (decoder.skip().expect("a key"), decoder.skip().expect("a value")))
        .filter(|(key, _)| !key.ends_with(b"tam_required"))
        .collect::<Vec<_>>();
    let mut encoder = Encoder::new();
    encoder.map(pairs.len());
    for (key, value) in pairs {
        encoder.packed(key).packed(value);
    }
    encoder.finish()
}

/// Puts what `change` makes of the packed key under the passphrase, stretched by one iteration.
fn rewritten(blob: &str, passphrase: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Option<String> {
    let packed = BASE64.decode(blob.split_ascii_whitespace().collect::<String>()).expect("a key blob is base64");
    let mut decoder = Decoder::new(&packed);
    let (mut data, mut hash, mut iterations, mut salt) = (Vec::new(), Vec::new(), 0, Vec::new());
    for _ in 0..decoder.map().expect("a key blob is a map") {
        match decoder.raw().expect("its keys are text") {
            b"data" => data = decoder.raw().expect("bytes").to_vec(),
            b"hash" => hash = decoder.raw().expect("bytes").to_vec(),
            b"salt" => salt = decoder.raw().expect("bytes").to_vec(),
            b"iterations" => iterations = decoder.int_as().expect("a number"),
            _ => _ = decoder.skip().expect("a value"),
        }
    }
    let strong = stretch(passphrase, &salt, iterations);
    apply_keystream(&strong, &mut data);
    if digest(&strong, &data)[..] != hash {
        return None;
    }
    let mut data = change(&data);
    let weak = stretch(passphrase, &salt, 1);
    let digest = digest(&weak, &data);
    apply_keystream(&weak, &mut data);
    let mut encoder = Encoder::new();
    encoder.map(6).raw("algorithm").raw("sha256").raw("data").raw(&data).raw("hash").raw(digest);
    encoder.raw("iterations").uint(1).raw("salt").raw(&salt).raw("version").uint(1);
    Some(BASE64.encode(encoder.finish()))
}

fn stretch(passphrase: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.as_bytes(), salt, iterations, &mut key);
    key
}

fn digest(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn apply_keystream(key: &[u8; 32], data: &mut [u8]) {
    Ctr128BE::<Aes256Enc>::new(key.into(), &[0; 16].into()).apply_keystream(data);
}
