//! What the game containers do, asked once.

use std::fmt;

use tokio::runtime::Builder;
use tracing::{info, warn};
use worldkeeper_docker::{Container, ContainerName, DockerError, State, inspect};

use crate::place::Place;
use crate::settings::Origin;

/// A container that should be there is not.
#[derive(Debug, thiserror::Error)]
#[error("there is no container {name}")]
pub(crate) struct ContainerError {
    /// The name that was looked for.
    pub(crate) name: ContainerName,
    /// Who said so.
    pub(crate) origin: Origin,
}

/// What each container does and has mounted; empty where none is to be watched, or there is no socket to ask through.
pub(super) fn states(place: &Place) -> anyhow::Result<Vec<(ContainerName, Result<Container, DockerError>)>> {
    let (containers, endpoint) = (&place.settings.containers.value, &place.settings.docker.value);
    if containers.is_empty() || place.settings.lack_docker() {
        return Ok(Vec::new());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let ask = |name: &ContainerName| (name.clone(), runtime.block_on(inspect(endpoint, name)));
    Ok(containers.iter().map(ask).collect())
}

/// A container that must not be taken to rest.
#[derive(Debug)]
pub(super) struct MayRun {
    /// Its name.
    pub(super) name: ContainerName,
    /// What it does, or why nobody knows.
    pub(super) state: Result<State, String>,
}

impl fmt::Display for MayRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.state {
            Ok(State::NotRunning(how)) => write!(f, "container {name} is {how}"),
            Ok(_) => write!(f, "container {name} runs"),
            Err(reason) => write!(f, "it is not known whether container {name} runs ({reason})"),
        }
    }
}

/// The containers whose games may write to their worlds: all that are watched, but for those that are known to rest.
pub(super) fn that_may_run(place: &Place) -> anyhow::Result<Vec<MayRun>> {
    if place.settings.lack_docker() {
        let unknown = |name: &ContainerName| MayRun { name: name.clone(), state: Err(NO_SOCKET.to_owned()) };
        return Ok(place.settings.containers.value.iter().map(unknown).collect());
    }
    Ok(states(place)?.into_iter().filter_map(|(name, found)| may_run(name, found)).collect())
}

const NO_SOCKET: &str = "there is no Docker socket to ask through";

fn may_run(name: ContainerName, found: Result<Container, DockerError>) -> Option<MayRun> {
    let state = match found {
        Ok(container) => Ok(container.state),
        Err(DockerError::NoSuchContainer(_)) => Ok(State::Missing),
        Err(error) => Err(error.to_string()),
    };
    state.as_ref().map_or(true, |state| state.may_run()).then_some(MayRun { name, state })
}

/// Requires that the containers exist: a name that is misspelt would never be noticed otherwise. Where nobody can be
/// asked, a backup too many is better than none.
pub(super) fn require(place: &Place) -> anyhow::Result<()> {
    warn_without_socket(place, "backups are made whether it runs or not");
    let states = states(place)?;
    let rests = |state: &Result<Container, _>| state.as_ref().is_ok_and(|container| container.state != State::Running);
    // Where no game is named, somebody has asked for a backup and waits for it.
    if !place.settings.containers.value.is_empty() {
        place.game_may_run(states.is_empty() || !states.iter().all(|(_, state)| rests(state)));
    }
    for (name, state) in states {
        match state {
            Ok(Container { state: State::Running, .. }) => {}
            Ok(_) => info!("container {name} does not run; as this backup was asked for, it is made all the same"),
            Err(DockerError::NoSuchContainer(name)) => {
                return Err(ContainerError { name, origin: place.settings.containers.origin }.into());
            }
            Err(error) => warn!("it is not known whether container {name} runs: {error}"),
        }
    }
    Ok(())
}

/// Says, loudly, that containers are to be watched and nothing is there to watch them through, and what comes of it.
pub(super) fn warn_without_socket(place: &Place, consequence: &str) {
    let settings = &place.settings;
    if settings.lack_docker()
        && let Some(name) = settings.containers.value.first()
    {
        warn!(
            "{} names container {name}, but there is no Docker socket to watch it through: {consequence}. Mount \
             /var/run/docker.sock, or set DOCKER_HOST",
            settings.containers.origin
        );
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_docker::Endpoint;

    use super::*;

    fn said(found: impl FnOnce(ContainerName) -> Result<State, DockerError>) -> Option<String> {
        let name: ContainerName = "mc".parse().unwrap();
        let found = found(name.clone()).map(|state| Container {
            name: name.clone(),
            state,
            mounts: Vec::new(),
            image: None,
            started: None,
            finished: None,
        });
        may_run(name, found).map(|game| game.to_string())
    }

    #[test]
    fn what_is_not_known_to_rest_may_run() {
        assert_eq!(said(|_| Ok(State::Running)).unwrap(), "container mc runs");
        assert_eq!(said(|_| Ok(State::NotRunning("paused"))).unwrap(), "container mc is paused");
        assert_eq!(said(|_| Ok(State::NotRunning("restarting"))).unwrap(), "container mc is restarting");
        assert_eq!(said(|_| Ok(State::NotRunning("exited"))), None);
        assert_eq!(said(|name| Err(DockerError::NoSuchContainer(name))), None);
        let silent = said(|_| {
            let endpoint = Endpoint::Unix("/run/docker.sock".into());
            Err(DockerError::Unreachable { action: "inspect".to_owned(), endpoint, reason: "no answer".to_owned() })
        });
        let expected =
            "it is not known whether container mc runs (cannot inspect through unix:///run/docker.sock: no answer)";
        assert_eq!(silent.unwrap(), expected);
    }
}
