//! What is offered to a server, and in which order.

use std::borrow::Cow;

use russh::client::Config;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Limits, Preferred, cipher};

use super::SshOptions;

/// How many bytes may be under way to us: 16 MiB at 200 ms there and back are 80 MB/s.
const WINDOW_BYTES: u32 = 16 << 20;

/// How many packets of at most 32 KiB wait to be passed on, while the connection is read on.
const CHANNEL_PACKETS: usize = 256;

/// How often a silent server is asked whether it is there.
pub(super) const KEEPALIVES: u32 = 3;

/// All we know, best first. `ssh-rsa`, which is signed with SHA-1, is not among them.
pub(super) const HOST_KEY_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What connections are made with, for a server that may show host keys of these types, or such certificates.
pub(super) fn config(options: &SshOptions, host_keys: Vec<Algorithm>, certificates: Vec<Algorithm>) -> Config {
    Config {
        limits: Limits::new(options.rekey_bytes, options.rekey_bytes, Limits::default().rekey_time_limit),
        window_size: WINDOW_BYTES,
        channel_buffer_size: CHANNEL_PACKETS,
        preferred: Preferred {
            key: host_keys.into(),
            host_key_certificates: certificates.into(),
            cipher: Cow::Borrowed(ciphers()),
            ..Preferred::DEFAULT
        },
        // A server that compacts is silent for minutes, except for its answers to these. Whatever comes counts as one.
        keepalive_interval: Some(options.keepalive),
        keepalive_max: KEEPALIVES as usize,
        inactivity_timeout: None,
        ..Config::default()
    }
}

/// The types of all host keys, those of `known` first: else a server that has several would show one that we do not know.
///
/// Source: OpenSSH `sshconnect2.c`, `order_hostkeyalgs`.
pub(super) fn ordered(known: &[String]) -> Vec<Algorithm> {
    let (mut first, rest): (Vec<_>, Vec<_>) = HOST_KEY_ALGORITHMS.into_iter().partition(|algorithm| {
        // An entry for `ssh-rsa` is one for the key, however it signs.
        let key_type = if matches!(algorithm, Algorithm::Rsa { .. }) { "ssh-rsa" } else { algorithm.as_str() };
        known.iter().any(|known| known == key_type)
    });
    first.extend(rest);
    first
}

/// AES where the processor does it by itself; without, ChaCha20 is faster.
fn ciphers() -> &'static [cipher::Name] {
    const AES_FIRST: &[cipher::Name] = &[
        cipher::AES_256_GCM,
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    const AES_LATER: &[cipher::Name] = &[
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_GCM,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    if has_aes() { AES_FIRST } else { AES_LATER }
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_known_come_first_and_rsa_in_both_its_forms() {
        let names = |known: &[&str]| {
            let known: Vec<_> = known.iter().map(|&name| name.to_owned()).collect();
            ordered(&known).iter().map(|algorithm| algorithm.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[])[0], "ssh-ed25519");
        assert_eq!(names(&["ssh-rsa"])[..3], ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
        assert_eq!(names(&["ecdsa-sha2-nistp384", "ssh-dss"])[..2], ["ecdsa-sha2-nistp384", "ssh-ed25519"]);
        assert_eq!(names(&["ssh-rsa"]).len(), 6);
    }
}
