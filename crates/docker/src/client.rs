//! The few requests that are made, each with a time limit and an error that says what was asked.

use std::collections::HashMap;
use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, EventMessage};
use bollard::query_parameters::EventsOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::Stream;

use crate::{Container, ContainerName, Endpoint, Mount, Pace, State, transport};

/// What happens to a container that can change whether it runs, or which one has the name.
const EVENTS: [&str; 7] = ["create", "start", "die", "pause", "unpause", "rename", "destroy"];

/// Why a container's state is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerError {
    /// The daemon answers, and has no such container.
    #[error("there is no container {0}")]
    NoSuchContainer(ContainerName),
    /// The daemon does not answer, refuses, or says what cannot be understood.
    #[error("cannot {action} through {endpoint}: {reason}")]
    Unreachable {
        /// What was asked, as a verb that fits "cannot …".
        action: String,
        /// Who was asked.
        endpoint: Endpoint,
        /// What came back.
        reason: String,
    },
}

/// Asks once what a container is doing, and what it has mounted; its state is never [`State::Missing`].
///
/// # Errors
///
/// [`DockerError::NoSuchContainer`] if it is missing, [`DockerError::Unreachable`] if the daemon cannot say.
pub async fn inspect(endpoint: &Endpoint, name: &ContainerName) -> Result<Container, DockerError> {
    match Client::new(endpoint, Pace::default().request_timeout)?.inspect(name).await?.container {
        Container { state: State::Missing, .. } => Err(DockerError::NoSuchContainer(name.clone())),
        container => Ok(container),
    }
}

/// What `inspect` found.
pub(crate) struct Inspected {
    pub(crate) container: Container,
    /// The id, if there is such a container.
    pub(crate) id: Option<String>,
}

impl Inspected {
    /// There is no such container.
    fn missing(name: &ContainerName) -> Self {
        let (name, mounts) = (name.clone(), Vec::new());
        let container = Container { name, state: State::Missing, mounts, image: None, started: None, finished: None };
        Self { container, id: None }
    }
}

/// A daemon that can be asked.
pub(crate) struct Client {
    docker: Docker,
    endpoint: Endpoint,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(endpoint: &Endpoint, timeout: Duration) -> Result<Self, DockerError> {
        // bollard limits the wait for a reply's head, in whole seconds; the limit on the whole stands below.
        let docker = transport::client(endpoint, timeout.as_secs().max(1), API_DEFAULT_VERSION)
            .map_err(|error| failed("make a client", endpoint, &error))?;
        Ok(Self { docker, endpoint: endpoint.clone(), timeout })
    }

    /// Agrees on an API version; a proxy that does not let the question through is taken as it is.
    pub(crate) async fn negotiate(&self) -> Result<(), DockerError> {
        match self.limited("ask for the version", self.docker.clone().negotiate_version()).await? {
            Ok(_) | Err(Error::DockerResponseServerError { .. }) => Ok(()),
            Err(error) => Err(failed("ask for the version", &self.endpoint, &error)),
        }
    }

    /// Asks what a container is doing.
    pub(crate) async fn inspect(&self, name: &ContainerName) -> Result<Inspected, DockerError> {
        let action = format!("inspect container {name}");
        match self.limited(&action, self.docker.inspect_container(name.as_str(), None)).await? {
            Ok(reply) if is_of_another(name, &reply) => Ok(Inspected::missing(name)),
            Ok(reply) => match State::of(&reply) {
                Some(state) => {
                    let mounts = Mount::all_of(&reply);
                    let image = reply.config.and_then(|config| config.image).filter(|image| !image.is_empty());
                    let (started, finished) =
                        reply.state.map(|state| (state.started_at, state.finished_at)).unwrap_or_default();
                    let container = Container { name: name.clone(), state, mounts, image, started, finished };
                    Ok(Inspected { container, id: reply.id })
                }
                None => Err(self.unreachable(action, "the reply says nothing of its state".to_owned())),
            },
            Err(error) if says_missing(&error) => Ok(Inspected::missing(name)),
            Err(error) => Err(failed(action, &self.endpoint, &error)),
        }
    }

    /// What happens to containers from `since` (in Docker's words for a time) on. Ends, or fails, whenever the
    /// daemon or a proxy likes.
    pub(crate) fn events(&self, since: Option<&str>) -> impl Stream<Item = Result<EventMessage, DockerError>> + use<> {
        use futures_util::StreamExt as _;
        let filters = HashMap::from([("type", vec!["container"]), ("event", EVENTS.to_vec())]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(since) = since {
            options = options.since(since);
        }
        let endpoint = self.endpoint.clone();
        self.docker
            .events(Some(options.build()))
            .map(move |event| event.map_err(|error| failed("follow the events", &endpoint, &error)))
    }

    /// Ends `request` when the time limit is up.
    async fn limited<T>(&self, action: &str, request: impl Future<Output = T>) -> Result<T, DockerError> {
        tokio::time::timeout(self.timeout, request)
            .await
            .map_err(|_| self.unreachable(action, format!("no answer within {} s", self.timeout.as_secs())))
    }

    fn unreachable(&self, action: impl Into<String>, reason: String) -> DockerError {
        unreachable(action, &self.endpoint, reason)
    }
}

fn unreachable(action: impl Into<String>, endpoint: &Endpoint, reason: String) -> DockerError {
    DockerError::Unreachable { action: action.into(), endpoint: endpoint.clone(), reason }
}

fn failed(action: impl Into<String>, endpoint: &Endpoint, error: &Error) -> DockerError {
    unreachable(action, endpoint, format!("{}{}", describe(error), remedy(error, endpoint)))
}

/// What to do about an error that does not tell: an engine makes its socket anew when it starts, and whoever has the file
/// mounted keeps the old one.
fn remedy(error: &Error, endpoint: &Endpoint) -> &'static str {
    match (error, endpoint) {
        (Error::IOError { err }, Endpoint::Unix(_)) if err.kind() == ErrorKind::ConnectionRefused => {
            ": the engine may have made a new socket since; if this is a container that has the old one mounted, it must be \
             restarted, too"
        }
        _ => "",
    }
}

/// Returns whether the engine says that there is no such container. A proxy whose engine is away may answer 404 as well,
/// and so does an engine that does not know the question: neither says anything of the container.
///
/// Docker: `{"message":"No such container: mc"}`; Podman: `{"cause":"no such container","message":"no container with name
/// or ID \"mc\" found: no such container","response":404}`.
fn says_missing(error: &Error) -> bool {
    let Error::DockerResponseServerError { status_code: 404, message } = error else { return false };
    message.to_ascii_lowercase().contains("no such container")
}

/// How many digits of an id engines show; fewer are more likely a name, as `bed` is.
const SHORT_ID: usize = 12;

/// Returns whether the reply is about another container, whose id begins like the name that was asked for: where no
/// container has the name, engines take it for that.
fn is_of_another(name: &ContainerName, reply: &ContainerInspectResponse) -> bool {
    let asked = name.as_str();
    let is_named_else = reply.name.as_deref().is_some_and(|known| known.trim_start_matches('/') != asked);
    is_named_else && asked.len() < SHORT_ID && reply.id.as_deref().is_some_and(|id| id.starts_with(asked))
}

/// The error and its causes in one line of bounded length; what a daemon says is quoted where it is no plain text.
fn describe(error: &Error) -> String {
    const MAX_CHARS: usize = 300;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
