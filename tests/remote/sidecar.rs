//! A run of the sidecar over a cable, without the binary around it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use worldkeeper_core::{Clock, Repository, Stop};
use worldkeeper_engine::{NoKeyFiles, Session, SessionOptions, StateDir};
use worldkeeper_remote::{RemoteMode, RemoteOptions, RemoteRepository, Window};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};

use crate::cable::Cable;

/// How one ends.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Opens the repository at the cable's end, some hours after everything that was done so far, and does something with it.
pub(crate) fn run<T>(
    keeper: &Worldkeeper,
    cable: &Cable,
    hour: u64,
    watch: impl FnOnce(Box<dyn Repository>) -> Box<dyn Repository>,
    act: impl FnOnce(&mut Session) -> Outcome<T>,
) -> Outcome<T> {
    let clock = Arc::new(ManualClock::at("2040-01-01T00:00:00Z"));
    clock.advance(Duration::from_hours(hour));
    let clock: Arc<dyn Clock> = clock;
    let state = StateDir::open(Arc::new(OsDisk), &keeper.state(), "world")?;
    let options = RemoteOptions {
        location: "ssh://backup.example/repository".to_owned(),
        path: keeper.repository().into_os_string().into_encoded_bytes(),
        mode: RemoteMode::Exclusive,
        wait: Some(Duration::from_mins(1)),
        on_wait: None,
        silence: None,
        patience: Duration::from_mins(5),
        window: Window::default(),
        clock: Arc::clone(&clock),
        stop: Stop::default(),
    };
    let repository = RemoteRepository::open(Arc::new(cable.clone()), options)?;
    let stop = Stop::default();
    let options = SessionOptions { state: &state, key_store: &NoKeyFiles, passphrase: Some(PASSPHRASE), clock, stop };
    let mut session = Session::open(watch(Box::new(repository)), &options)?;
    act(&mut session)
}
