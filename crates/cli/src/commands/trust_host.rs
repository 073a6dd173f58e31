//! `trust-host`: pins the key of a machine, after somebody has compared its fingerprint.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::Ipv6Addr;

use worldkeeper_core::disk::{self, parent};
use worldkeeper_core::{DiskError, Stop};
use worldkeeper_remote::RemoteLocation;
use worldkeeper_remote::ssh::known_hosts::{HostName, KnownHosts, KnownHostsError, Verdict, pin, unpin};
use worldkeeper_remote::ssh::{DEFAULT_PORT, ShownKey, SshOptions, scan};

use super::output::Output;
use crate::args::TrustHost;
use crate::place::Place;
use crate::report::Done;
use crate::settings::Location;

/// Why a host is not trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustProblem {
    /// No host is named, and the repository is here.
    #[error("the repository is on this machine, so there is no host to be trusted")]
    NoHost,
    /// A host cannot be called that.
    #[error("{host:?} is no host: {source}")]
    Host {
        /// What was said.
        host: String,
        /// What is wrong with it.
        source: worldkeeper_remote::LocationError,
    },
    /// It shows no key of a type we know.
    #[error("{0} shows no host key of a type that is supported")]
    NoKey(String),
    /// Nobody has said that one of the keys is the right one.
    #[error("none of the keys of {host} is trusted yet")]
    NotConfirmed {
        /// The host, as it is typed in.
        host: String,
        /// Its best key's fingerprint.
        fingerprint: String,
    },
    /// Another fingerprint than any of its keys has.
    #[error("no key of {host} has the fingerprint {fingerprint}")]
    NoMatch {
        /// The host, as it is typed in.
        host: String,
        /// What was said.
        fingerprint: String,
    },
    /// Another key is pinned.
    #[error("another key of {host} is pinned already: {known}")]
    Changed {
        /// The host, as it is typed in.
        host: String,
        /// Type, fingerprint and place of it.
        known: String,
    },
    /// It must not be accepted.
    #[error("this key of {host} is revoked by {place}")]
    Revoked {
        /// The host, as it is typed in.
        host: String,
        /// Where.
        place: String,
    },
    /// Our file.
    #[error("the keys that are pinned cannot be used")]
    Pins(#[from] KnownHostsError),
    /// Our file, on the disk.
    #[error("the pinned keys cannot be read or written")]
    Disk(#[from] DiskError),
    /// Standard input.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
}

/// Pins a key of a host, if it is the one that somebody was told.
pub(super) fn trust_host(place: &Place, said: &TrustHost, stop: &Stop) -> anyhow::Result<Done> {
    // A fingerprint alone is one of the repository's host.
    let (host, fingerprint) = match (&said.host, &said.fingerprint) {
        (Some(host), None) if host.starts_with(PREFIX) => (None, Some(host)),
        (host, fingerprint) => (host.as_deref(), fingerprint.as_ref()),
    };
    let (address, port) = named(place, host)?;
    let name = HostName::new(&address, port);
    let typed = name.typed();
    let keys = scan(&address, port, &SshOptions::default(), stop)?;
    let best = keys.first().ok_or_else(|| TrustProblem::NoKey(typed.clone()))?;
    let mut output = Output::new();
    for key in &keys {
        output.line(&format!("{typed} shows {} {}", key.key_type, key.fingerprint))?;
    }
    output.finish()?;
    let fingerprint = match fingerprint {
        Some(fingerprint) => fingerprint.clone(),
        None => ask(best, &typed)?
            .ok_or_else(|| TrustProblem::NotConfirmed { host: typed.clone(), fingerprint: best.fingerprint.clone() })?,
    };
    let key =
        matching(&keys, &fingerprint).ok_or_else(|| TrustProblem::NoMatch { host: typed.clone(), fingerprint })?;
    let is_new = write_pin(place, &name, key, said.replace)?;
    let mut output = Output::new();
    let already = if is_new { "" } else { " already" };
    output.line(&format!("{typed} is{already} trusted by its key {} {}", key.key_type, key.fingerprint))?;
    output.finish()?;
    Ok(Done::Well)
}

const PREFIX: &str = "SHA256:";

/// No file of pins is longer, in bytes.
const LIMIT: u64 = 1 << 20;

/// The address and port of a host, or of the repository's.
fn named(place: &Place, host: Option<&str>) -> Result<(String, u16), TrustProblem> {
    let location = match (host, &place.settings.repository.value) {
        (None, Location::Remote(location)) => location.clone(),
        (None, Location::Local(_)) => return Err(TrustProblem::NoHost),
        (Some(host), _) => parse(host).map_err(|source| TrustProblem::Host { host: host.to_owned(), source })?,
    };
    Ok((location.host, location.port.unwrap_or(DEFAULT_PORT)))
}

/// Reads a host as it stands in a location, with or without what follows it there.
fn parse(host: &str) -> Result<RemoteLocation, worldkeeper_remote::LocationError> {
    let host = host.strip_prefix("ssh://").unwrap_or(host);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    let bracketed = host.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    let location = RemoteLocation::parse(&format!("ssh://{}/x", bracketed.as_deref().unwrap_or(host)));
    location.expect("this is its form")
}

fn matching<'a>(keys: &'a [ShownKey], fingerprint: &str) -> Option<&'a ShownKey> {
    let bare = |text: &str| text.trim().trim_start_matches(PREFIX).trim_end_matches('=').to_owned();
    keys.iter().find(|key| bare(&key.fingerprint) == bare(fingerprint))
}

/// Asks for the fingerprint that somebody was told, if there is somebody to ask; a yes stands for the best key's.
fn ask(best: &ShownKey, host: &str) -> Result<Option<String>, TrustProblem> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    eprintln!("Is one of these what the owner of {host} has told you?");
    eprint!("Type the fingerprint that you were told, or yes for {}: ", best.fingerprint);
    io::stderr().flush().map_err(TrustProblem::Input)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(TrustProblem::Input)?;
    Ok(match answer.trim() {
        "yes" => Some(best.fingerprint.clone()),
        fingerprint if fingerprint.starts_with(PREFIX) => Some(fingerprint.to_owned()),
        _ => None,
    })
}

/// Adds the key to our file; `false` if it stands there already.
fn write_pin(place: &Place, host: &HostName, key: &ShownKey, replace: bool) -> Result<bool, TrustProblem> {
    let path = place.pinned_hosts_path();
    let disk = place.disk.as_ref();
    let mut text = disk::read_if_there(disk, &path, LIMIT)?.unwrap_or_default();
    let mut known = KnownHosts::default();
    known.read(&path.display().to_string(), &text)?;
    let is_alone = known.keys(host).all(|known| known.key == key.key);
    match known.judge(host, &key.key) {
        Verdict::Revoked(place) => {
            return Err(TrustProblem::Revoked { host: host.typed(), place: place.to_string() });
        }
        Verdict::Known if is_alone || !replace => return Ok(false),
        Verdict::Changed(known) if !replace => {
            let known: Vec<_> =
                known.iter().map(|key| format!("{} {} ({})", key.key_type, key.fingerprint(), key.place)).collect();
            return Err(TrustProblem::Changed { host: host.typed(), known: known.join(", ") });
        }
        Verdict::Known | Verdict::Changed(_) => text = unpin(&text, host),
        Verdict::Unknown => {}
    }
    disk::create_dir_all(disk, parent(&path))?;
    disk::replace(disk, &path, &pin(&text, host, &key.key_type, &key.key))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_be_typed_in_any_form_it_is_known_by() {
        for (text, host, port) in [
            ("nas", "nas", None),
            ("nas:2222", "nas", Some(2222)),
            ("u@nas", "nas", None),
            ("[::1]:2222", "::1", Some(2222)),
            ("::1", "::1", None),
            ("ssh://u@nas:22/./backups", "nas", Some(22)),
        ] {
            let location = parse(text).unwrap();
            assert_eq!((location.host.as_str(), location.port), (host, port), "{text}");
        }
        for text in ["", "-oProxyCommand=x", "nas:x", "a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
