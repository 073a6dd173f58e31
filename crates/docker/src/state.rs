//! What can be known of a container.

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};

use crate::{ContainerName, Mount};

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its processes run.
    Running,
    /// It is there and does not run; Docker's word for how: `paused`, `exited`, `created`, `restarting`, …
    NotRunning(&'static str),
    /// No container has the name.
    Missing,
}

/// One of the watched containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The name it is watched by.
    pub name: ContainerName,
    /// What it is doing.
    pub state: State,
    /// What it has mounted.
    pub mounts: Vec<Mount>,
    /// What it was made of, by the name that was given for it, if the engine says so.
    pub image: Option<String>,
    /// When it was last started, in the engine's words.
    pub started: Option<String>,
    /// When it last ended, in the engine's words; of one that never has, Docker says the year 1.
    pub finished: Option<String>,
}

/// What is known of the watched containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The state of each, in the order they were named.
    Known(Vec<Container>),
    /// The daemon does not answer, or not in a way that can be understood.
    Unreachable {
        /// What it was asked and what came back.
        reason: String,
    },
}

impl State {
    /// Returns whether its processes run, or may run again without anybody's doing: all is so that is not known to rest.
    pub fn may_run(self) -> bool {
        !matches!(self, Self::Missing | Self::NotRunning("created" | "exited" | "dead" | "stopped"))
    }

    /// Reads what `inspect` replied; `None` if the reply says nothing of a state.
    pub(crate) fn of(reply: &ContainerInspectResponse) -> Option<Self> {
        use ContainerStateStatusEnum as Status;
        let state: &ContainerState = reply.state.as_ref()?;
        // `Running` is also true of a container that is paused or about to be restarted: the status decides, and the
        // flags only speak where an engine leaves the status out.
        Some(match state.status {
            Some(Status::RUNNING) if state.paused != Some(true) => Self::Running,
            Some(Status::RUNNING | Status::PAUSED) => Self::NotRunning("paused"),
            Some(Status::CREATED) => Self::NotRunning("created"),
            Some(Status::RESTARTING) => Self::NotRunning("restarting"),
            Some(Status::REMOVING) => Self::NotRunning("removing"),
            Some(Status::EXITED) => Self::NotRunning("exited"),
            Some(Status::DEAD) => Self::NotRunning("dead"),
            Some(Status::STOPPING) => Self::NotRunning("stopping"),
            Some(Status::EMPTY) | None => match (state.running?, state.paused, state.restarting) {
                (true, Some(true), _) => Self::NotRunning("paused"),
                (true, _, Some(true)) => Self::NotRunning("restarting"),
                (true, ..) => Self::Running,
                (false, ..) => Self::NotRunning("stopped"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(change: impl FnOnce(&mut ContainerState)) -> Option<State> {
        let mut state = ContainerState::default();
        change(&mut state);
        State::of(&ContainerInspectResponse { state: Some(state), ..Default::default() })
    }

    #[test]
    fn paused_and_restarting_containers_do_not_run_although_docker_says_so_too() {
        use ContainerStateStatusEnum as Status;
        for (status, paused, expected) in [
            (Status::RUNNING, false, State::Running),
            (Status::RUNNING, true, State::NotRunning("paused")),
            (Status::PAUSED, true, State::NotRunning("paused")),
            (Status::RESTARTING, false, State::NotRunning("restarting")),
            (Status::EXITED, false, State::NotRunning("exited")),
        ] {
            let found = state(|state| {
                state.status = Some(status);
                state.running = Some(true);
                state.paused = Some(paused);
            });
            assert_eq!(found, Some(expected), "{status:?}");
        }
    }

    #[test]
    fn the_flags_speak_where_the_status_is_left_out() {
        assert_eq!(state(|state| state.running = Some(true)), Some(State::Running));
        assert_eq!(state(|state| state.running = Some(false)), Some(State::NotRunning("stopped")));
        assert_eq!(
            state(|state| {
                state.running = Some(true);
                state.paused = Some(true);
            }),
            Some(State::NotRunning("paused"))
        );
    }

    #[test]
    fn only_what_is_known_to_rest_cannot_run() {
        let how = ["created", "exited", "dead", "stopped"].map(State::NotRunning);
        assert!(!how.iter().chain([&State::Missing]).any(|state| state.may_run()));
        let how = ["paused", "restarting", "stopping", "removing"].map(State::NotRunning);
        assert!(how.iter().chain([&State::Running]).all(|state| state.may_run()));
    }

    #[test]
    fn a_reply_without_a_state_is_no_state() {
        assert_eq!(state(|_| ()), None);
        assert_eq!(State::of(&ContainerInspectResponse::default()), None);
    }
}
