//! A key of our own.

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use zeroize::Zeroizing;

/// An ed25519 key pair.
pub struct KeyPair(PrivateKey);

/// What cannot be done with a key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyPairError(russh::keys::ssh_key::Error);

impl KeyPair {
    /// Draws one.
    pub fn generate(comment: &str) -> Result<Self, KeyPairError> {
        let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(KeyPairError)?;
        key.set_comment(comment);
        Ok(Self(key))
    }

    /// Reads what [`private`](Self::private) has written.
    pub fn read(text: &[u8]) -> Result<Self, KeyPairError> {
        PrivateKey::from_openssh(text).map(Self).map_err(KeyPairError)
    }

    /// The private key as OpenSSH keeps it, not encrypted: nobody is there to be asked.
    pub fn private(&self) -> Result<Zeroizing<String>, KeyPairError> {
        self.0.to_openssh(LineEnding::LF).map_err(KeyPairError)
    }

    /// The public key as it stands in a line of `authorized_keys`: type, base64, comment.
    pub fn public(&self) -> Result<String, KeyPairError> {
        self.0.public_key().to_openssh().map_err(KeyPairError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_no_two_are_alike() {
        let key = KeyPair::generate("worldkeeper").unwrap();
        let again = KeyPair::read(key.private().unwrap().as_bytes()).unwrap();
        let public = key.public().unwrap();
        assert_eq!(again.public().unwrap(), public);
        assert!(public.starts_with("ssh-ed25519 ") && public.ends_with(" worldkeeper"), "{public}");
        assert_ne!(KeyPair::generate("worldkeeper").unwrap().public().unwrap(), public);
        assert!(KeyPair::read(b"none").is_err());
    }
}
