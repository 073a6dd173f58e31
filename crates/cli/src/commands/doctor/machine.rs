//! What all repositories need of this machine: state, passphrase, clock, sources, containers.

use jiff::Timestamp;
use worldkeeper_core::{DiskError, Stop};
use worldkeeper_docker::{Container, DockerError, State};
use worldkeeper_engine::StateError;

use super::super::elsewhere::{Elsewhere, Finding};
use super::super::{backup, containers};
use super::local;
use super::verdict::Check;
use crate::place::Place;
use crate::rights::require_writable;
use crate::words;

const STATE: &str = "state";
const PASSPHRASE: &str = "passphrase";
const CLOCK: &str = "clock";
const SOURCES: &str = "sources";
const CONTAINERS: &str = "containers";

/// Looks at this machine.
pub(super) fn checks(place: &Place, stop: &Stop) -> anyhow::Result<Vec<Check>> {
    let mut checks = vec![state(place), passphrase(place), clock(place.clock.now(), place), sources(place, stop)];
    checks.extend(watched(place)?);
    Ok(checks)
}

/// Whether the state directory can be written, and outlives the container.
fn state(place: &Place) -> Check {
    let path = place.state.path();
    if let Err(error) = require_writable(path) {
        return Check::error(STATE, &StateError::from(DiskError::new("write to", path, error)));
    }
    if place.state_is_fleeting() {
        return Check::warning(
            STATE,
            format!("{} goes when this container goes, and what is in it", path.display()),
            "mount a volume there, else a generated passphrase, the key's copy and caches are lost with the container",
        );
    }
    local::space(place, STATE, path)
}

/// Where it is from.
fn passphrase(place: &Place) -> Check {
    match place.known_passphrase() {
        Ok((Some(_), origin)) => Check::ok(PASSPHRASE, format!("there is one {origin}")),
        Ok((None, _)) => Check::ok(PASSPHRASE, "there is none: one is generated for a new repository that needs it"),
        Err(error) => Check::error(PASSPHRASE, &error),
    }
}

/// Whether it can be now.
fn clock(now: Timestamp, place: &Place) -> Check {
    let text = format!("it is {}", words::moment(now, &place.zone));
    if is_sane(now) {
        Check::ok(CLOCK, text)
    } else {
        Check::failed(CLOCK, text, "set the clock of this machine right")
    }
}

/// Returns whether a clock that says so may be right: not one that began at zero, nor one beyond what archives can hold.
fn is_sane(now: Timestamp) -> bool {
    /// 2024-01-01 and 2038-01-19, in seconds.
    const SANE: std::ops::Range<i64> = 1_704_067_200..(1 << 31);
    SANE.contains(&now.as_second())
}

/// Whether there is something to back up.
fn sources(place: &Place, stop: &Stop) -> Check {
    match backup::require_readable_sources(place, stop) {
        Ok(()) => {
            let list: Vec<_> = place.settings.sources.value.iter().map(|path| path.display().to_string()).collect();
            Check::ok(SOURCES, list.join(", "))
        }
        Err(error) => Check::error(SOURCES, error.as_ref()),
    }
}

/// Whether the containers are there, and somebody to ask.
fn watched(place: &Place) -> anyhow::Result<Vec<Check>> {
    let names = &place.settings.containers;
    if names.value.is_empty() {
        return Ok(vec![Check::ok(CONTAINERS, "none is watched: backups are always made")]);
    }
    if place.settings.lack_docker() {
        return Ok(vec![Check::warning(
            CONTAINERS,
            "there is no Docker socket to watch them through: backups are made whether they run or not",
            "mount /var/run/docker.sock, or set DOCKER_HOST",
        )]);
    }
    let check = |(name, found): (_, Result<Container, DockerError>)| match found {
        Ok(Container { state: State::Running, .. }) => Check::ok(CONTAINERS, format!("{name} runs")),
        Ok(_) => Check::ok(CONTAINERS, format!("{name} does not run: no backups are made on schedule until one does")),
        Err(error @ DockerError::NoSuchContainer(_)) => {
            let remedy = format!("look at the names in `docker ps --all`, and mend {}", names.origin);
            Check::failed(CONTAINERS, error.to_string(), remedy)
        }
        Err(error) => Check::warning(CONTAINERS, error.to_string(), "see that the Docker socket can be used from here"),
    };
    let found = containers::states(place)?;
    let known: Option<Vec<_>> = found.iter().map(|(_, found)| found.as_ref().ok().cloned()).collect();
    let elsewhere = known.and_then(|containers| Elsewhere::of(place).judge(&containers).ok()?);
    let mut checks: Vec<_> = found.into_iter().map(check).collect();
    checks.extend(elsewhere.map(|Finding { found, remedy }| Check::warning(CONTAINERS, found, remedy)));
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_began_at_zero_is_wrong() {
        let sane = |text: &str| is_sane(text.parse().unwrap());
        assert!(!sane("1970-01-01T00:05:00Z") && !sane("2023-12-31T23:59:59Z"));
        assert!(sane("2026-11-21T12:00:00Z"));
        assert!(!sane("2106-01-01T00:00:00Z"));
    }
}
