//! Whether a server is who we mean: its key, or its certificate, against what is known.

use std::path::Path;
use std::time::SystemTime;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};
use worldkeeper_core::escape;

use super::known_hosts::{HostName, KnownHosts, KnownKey, Verdict, matches};
use super::{SshOptions, algorithms};
use crate::ConnectError;

/// What is known of the host that is called.
#[derive(Debug)]
pub(super) struct HostKeys {
    known: KnownHosts,
    host: HostName,
    /// Where a pin would go.
    pinned: String,
}

impl HostKeys {
    /// Reads the files. One that is named and cannot be read is an error: it may revoke what another one trusts.
    pub(super) fn read(options: &SshOptions, host: HostName) -> Result<Self, ConnectError> {
        let mut known = KnownHosts::default();
        let pinned = [(options.pinned.as_path(), true)];
        for (path, may_be_missing) in pinned.into_iter().chain(options.known_hosts.iter().map(|path| (&**path, false)))
        {
            read(path, may_be_missing, &mut known)?;
        }
        Ok(Self { known, host, pinned: options.pinned.display().to_string() })
    }

    /// The types of host keys to ask for, best first.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let types: Vec<_> = self.known.keys(&self.host).map(|known| known.key_type).collect();
        algorithms::ordered(&types)
    }

    /// The types of certificates to ask for: none, unless somebody may vouch for the host.
    pub(super) fn certificates(&self) -> Vec<Algorithm> {
        let has_authority = self.known.authorities(&self.host).next().is_some();
        if has_authority { algorithms::HOST_KEY_ALGORITHMS.to_vec() } else { Vec::new() }
    }

    /// Accepts what a server has shown, and proven to have, or says why not.
    pub(super) fn check(&self, shown: &PublicKeyOrCertificate) -> Result<(), ConnectError> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.check_key(key),
            PublicKeyOrCertificate::Certificate(certificate) => match self.check_certificate(certificate) {
                Ok(()) => Ok(()),
                // Its key may be known by itself, as it was before there was a certificate.
                Err(error) if error.is_final => Err(error.refusal),
                Err(error) => self.check_key(&shown.public_key()).map_err(|_| error.refusal),
            },
        }
    }

    fn check_key(&self, key: &PublicKey) -> Result<(), ConnectError> {
        let bytes = key.to_bytes().map_err(|error| refused(format!("the host key cannot be read: {error}"), None))?;
        let (host, fingerprint) = (self.host.typed(), key.fingerprint(HashAlg::Sha256));
        let offered = format!("{} {fingerprint}", key.algorithm());
        match self.known.judge(&self.host, &bytes) {
            Verdict::Known => Ok(()),
            Verdict::Unknown => Err(refused(
                format!("{host} is not known: it shows the host key {offered}"),
                Some(format!(
                    "if that is the fingerprint its owner has told you, trust it with \
                     `worldkeeper trust-host {host} {fingerprint}`"
                )),
            )),
            Verdict::Changed(known) => Err(self.changed(&offered, &fingerprint.to_string(), &known)),
            Verdict::Revoked(place) => {
                Err(refused(format!("the host key {offered} of {host} is revoked by {place}"), None))
            }
        }
    }

    fn changed(&self, offered: &str, fingerprint: &str, known: &[KnownKey]) -> ConnectError {
        let host = self.host.typed();
        let pins: Vec<_> =
            known.iter().map(|known| format!("{} {} ({})", known.key_type, known.fingerprint(), known.place)).collect();
        let is_ours = known.iter().all(|known| *known.place.file == *self.pinned);
        let remedy = if is_ours {
            format!(
                "somebody may be between you and {host}. Ask its owner; only if the key was changed on purpose, trust the \
                 new one with `worldkeeper trust-host --replace {host} {fingerprint}`"
            )
        } else {
            format!(
                "somebody may be between you and {host}. Ask its owner; only if the key was changed on purpose, remove \
                 the old one where it stands"
            )
        };
        let pins = pins.join(", ");
        refused(format!("the host key of {host} has changed: it shows {offered}, known is {pins}"), Some(remedy))
    }

    fn check_certificate(&self, certificate: &Certificate) -> Result<(), BadCertificate> {
        let host = self.host.typed();
        let id = escape::escape(certificate.key_id());
        let bad = |is_final, why: String| BadCertificate {
            is_final,
            refusal: refused(format!("{host} shows the certificate \"{id}\", which {why}"), None),
        };
        let encoded = |key: &PublicKey| key.to_bytes().map_err(|error| bad(true, format!("cannot be read: {error}")));
        let authority = PublicKey::from(certificate.signature_key().clone());
        let authority_bytes = encoded(&authority)?;
        for key in [&authority_bytes, &encoded(&PublicKey::from(certificate.public_key().clone()))?] {
            if let Some(place) = self.known.revokes(&self.host, key) {
                return Err(bad(true, format!("is revoked by {place}")));
            }
        }
        if !self.known.authorities(&self.host).any(|known| *known == *authority_bytes) {
            return Err(bad(false, "nobody we know has signed".to_owned()));
        }
        if certificate.cert_type() != CertType::Host {
            return Err(bad(false, "is none for a host".to_owned()));
        }
        let is_named = |name: &String| matches(name.as_bytes(), self.host.name().as_bytes());
        if !certificate.valid_principals().iter().any(is_named) {
            return Err(bad(false, "was made for another host".to_owned()));
        }
        if certificate.critical_options().iter().next().is_some() {
            return Err(bad(false, "has conditions we do not know".to_owned()));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        certificate
            .validate_at(now, [&authority.fingerprint(HashAlg::Sha256)])
            .map_err(|_| bad(false, "is not valid now, or not signed as it should be".to_owned()))
    }
}

/// Why a certificate proves nothing.
struct BadCertificate {
    /// The key in it proves nothing either.
    is_final: bool,
    refusal: ConnectError,
}

fn read(path: &Path, may_be_missing: bool, known: &mut KnownHosts) -> Result<(), ConnectError> {
    let name = path.display().to_string();
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if may_be_missing && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(format!("cannot read the known hosts in {name}: {error}"), None)),
    };
    known.read(&name, &text).map_err(|error| refused(error.to_string(), None))
}

/// Trying again would not help.
fn refused(message: String, remedy: Option<String>) -> ConnectError {
    ConnectError { message, remedy, may_pass: false }
}
