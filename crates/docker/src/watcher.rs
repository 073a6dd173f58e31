//! Follows the named containers for as long as somebody listens.
//!
//! Events only say *when* to look; what a container is doing is always read by inspecting it: after every connect,
//! after every event that concerns it, and at a steady pace besides. So an event that is lost, doubled, late or out
//! of order costs at most a little time, and a daemon that restarts, a proxy that cuts streams, a container that is
//! removed, renamed or made anew need no case of their own.

use std::pin::pin;
use std::time::Duration;

use bollard::models::EventMessage;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::debug;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::{ContainerName, DockerError, Endpoint, Watch};

/// How often, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Limit for one request, from connecting to the last byte of the reply.
    pub request_timeout: Duration,
    /// How soon the containers are read again after the event stream was asked for: what happened between the first
    /// reading and the stream's begin is in neither.
    pub settle: Duration,
    /// How often the containers are read without an event. Proves that the daemon lives, and finds what was missed.
    pub check: Duration,
    /// First wait before connecting again; doubles.
    pub first_retry: Duration,
    /// Longest wait before connecting again.
    pub longest_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            settle: Duration::from_secs(1),
            check: Duration::from_secs(30),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
        }
    }
}

/// Watches containers by name.
#[derive(Debug)]
pub struct Watcher {
    endpoint: Endpoint,
    names: Vec<ContainerName>,
    pace: Pace,
    /// What was said last; only changes are said.
    said: Option<Watch>,
    /// The ids behind the names when they were last read: an event may carry the id alone.
    ids: Vec<String>,
    /// The last event seen, which the daemon repeats when it is asked for everything since then.
    last_event: Option<EventKey>,
}

/// What tells one event from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EventKey {
    time_ns: i64,
    action: Option<String>,
    id: Option<String>,
}

/// Why a session with the daemon ended.
enum End {
    /// Nobody listens any more.
    NobodyListens,
    /// The event stream ended, or could not be had; or a request failed.
    Lost,
}

impl Watcher {
    /// Makes a watcher; nothing is connected before [`run`](Self::run).
    pub fn new(endpoint: Endpoint, names: Vec<ContainerName>) -> Self {
        Self::with_pace(endpoint, names, Pace::default())
    }

    /// Like [`new`](Self::new), at another pace.
    pub fn with_pace(endpoint: Endpoint, names: Vec<ContainerName>, pace: Pace) -> Self {
        Self { endpoint, names, pace, said: None, ids: Vec::new(), last_event: None }
    }

    /// Says through `sender` what is known of the containers, first at once, then on every change, until the receiver
    /// is dropped. Needs a tokio runtime with I/O and time.
    pub async fn run(mut self, sender: Sender<Watch>) {
        let mut backoff = Backoff::new(self.pace.first_retry, self.pace.longest_retry);
        loop {
            let begun = Instant::now();
            if matches!(self.session(&sender).await, End::NobodyListens) {
                return;
            }
            // A session that lasted proves that all was well. One that is refused again and again (a proxy may forbid
            // the events) makes this a look every so often, which is the best that can be had then.
            if begun.elapsed() > self.pace.longest_retry {
                backoff.reset();
            }
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// Reads the containers, then follows them until the connection is lost.
    async fn session(&mut self, sender: &Sender<Watch>) -> End {
        let client = match Client::new(&self.endpoint, self.pace.request_timeout) {
            Ok(client) => client,
            Err(error) => return self.lost(error, sender).await,
        };
        if let Err(error) = client.negotiate().await {
            return self.lost(error, sender).await;
        }
        if let Err(end) = self.read(&client, sender).await {
            return end;
        }
        let since = self.last_event.as_ref().map(EventKey::as_since);
        let mut events = pin!(client.events(since.as_deref()));
        let mut check = interval_at(Instant::now() + self.pace.settle, self.pace.check);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = sender.closed() => return End::NobodyListens,
                event = events.next() => match event {
                    Some(Ok(event)) if !self.concerns_us(&event) => continue,
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        debug!("the Docker event stream was lost: {error}");
                        return End::Lost;
                    }
                    None => {
                        debug!("the Docker event stream ended");
                        return End::Lost;
                    }
                },
                _ = check.tick() => {}
            }
            if let Err(end) = self.read(&client, sender).await {
                return end;
            }
        }
    }

    /// Reads the state of every container and says it if it changed.
    async fn read(&mut self, client: &Client, sender: &Sender<Watch>) -> Result<(), End> {
        let mut containers = Vec::with_capacity(self.names.len());
        let mut ids = Vec::with_capacity(self.names.len());
        for name in &self.names {
            match client.inspect(name).await {
                Ok(inspected) => {
                    ids.extend(inspected.id);
                    containers.push(inspected.container);
                }
                Err(error) => return Err(self.lost(error, sender).await),
            }
        }
        self.ids = ids;
        self.say(Watch::Known(containers), sender).await
    }

    /// Says that nothing can be known at the moment.
    async fn lost(&mut self, error: DockerError, sender: &Sender<Watch>) -> End {
        match self.say(Watch::Unreachable { reason: error.to_string() }, sender).await {
            Ok(()) => End::Lost,
            Err(end) => end,
        }
    }

    async fn say(&mut self, watch: Watch, sender: &Sender<Watch>) -> Result<(), End> {
        if self.said.as_ref() == Some(&watch) {
            return Ok(());
        }
        self.said = Some(watch.clone());
        sender.send(watch).await.map_err(|_| End::NobodyListens)
    }

    /// Returns whether an event may have changed what is known, and remembers it.
    fn concerns_us(&mut self, event: &EventMessage) -> bool {
        let key = EventKey::of(event);
        if key.is_some() && self.last_event == key {
            return false;
        }
        // An event without a time is no point to go on from.
        self.last_event = key.or(self.last_event.take());
        let Some(actor) = &event.actor else { return false };
        let is_watched =
            |name: &String| self.names.iter().any(|watched| watched.as_str() == name.trim_start_matches('/'));
        let attributes = actor.attributes.iter().flatten();
        attributes.filter(|(key, _)| matches!(key.as_str(), "name" | "oldName")).any(|(_, name)| is_watched(name))
            || actor.id.as_ref().is_some_and(|id| self.ids.contains(id))
    }
}

impl EventKey {
    fn of(event: &EventMessage) -> Option<Self> {
        let id = event.actor.as_ref().and_then(|actor| actor.id.clone());
        Some(Self { time_ns: event.time_nano?, action: event.action.clone(), id })
    }

    /// The time in the words of the `since` parameter: seconds and nanoseconds.
    fn as_since(&self) -> String {
        format!("{}.{:09}", self.time_ns.max(0) / 1_000_000_000, self.time_ns.max(0) % 1_000_000_000)
    }
}
