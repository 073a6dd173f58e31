//! What the game containers do, asked once.

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

/// The containers that run, as far as somebody is there to ask.
pub(super) fn running(place: &Place) -> anyhow::Result<Vec<ContainerName>> {
    let runs = |state: &Result<Container, _>| state.as_ref().is_ok_and(|container| container.state == State::Running);
    Ok(states(place)?.into_iter().filter(|(_, state)| runs(state)).map(|(name, _)| name).collect())
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
