//! How often a run waits for the other side: as often for a thousand files and twenty archives as for one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use worldkeeper_core::{Clock, Stop};
use worldkeeper_engine::{CreateOptions, NoKeyFiles, Session, SessionOptions, Silent, StateDir, create};
use worldkeeper_remote::{RemoteMode, RemoteOptions, RemoteRepository, Window};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};
use worldkeeper_testkit::{gate, tree};

use crate::Server;
use crate::cable::Cable;

/// Backs up over a cable, and returns how many round trips that took.
fn backup(keeper: &Worldkeeper, hour: u64) -> usize {
    let cable = Cable::new(&Server::Ours.start(keeper.folder()), None);
    let clock = Arc::new(ManualClock::at("2040-01-01T00:00:00Z"));
    clock.advance(Duration::from_hours(hour));
    let clock: Arc<dyn Clock> = clock;
    let state = StateDir::open(Arc::new(OsDisk), &keeper.state(), "world").unwrap();
    let options = RemoteOptions {
        location: "ssh://backup.example/repository".to_owned(),
        path: keeper.repository().into_os_string().into_encoded_bytes(),
        mode: RemoteMode::Exclusive,
        wait: None,
        on_wait: None,
        silence: None,
        patience: Duration::ZERO,
        window: Window::default(),
        clock: Arc::clone(&clock),
        stop: Stop::default(),
    };
    let repository = RemoteRepository::open(Arc::new(cable.clone()), options).unwrap();
    let stop = Stop::default();
    let options = SessionOptions { state: &state, key_store: &NoKeyFiles, passphrase: Some(PASSPHRASE), clock, stop };
    let mut session = Session::open(Box::new(repository), &options).unwrap();
    let _ = session.escrow(&NoKeyFiles).unwrap();
    let options = CreateOptions { sealers: 2, ..CreateOptions::new("world", [keeper.world()]) };
    let _ = create(&mut session, &options, &Silent).unwrap();
    drop(session);
    cable.round_trips()
}

fn place(folder: &Path, files: usize) -> Worldkeeper {
    let keeper = Worldkeeper::at(folder);
    tree::world(&keeper.world(), files, "round trips");
    let _ = keeper.backup();
    keeper
}

#[test]
fn a_run_that_changes_nothing_takes_a_dozen_round_trips_however_much_there_is() {
    let mut counts = Vec::new();
    for (files, archives) in [(3, 1), (1500, 20)] {
        let folder = gate::folder();
        let keeper = place(folder.path(), files);
        // The first one finds a repository that was somewhere else.
        for hour in 0..archives {
            let _ = backup(&keeper, hour);
        }
        let count = (0..3).map(|hour| backup(&keeper, 100 + hour)).min().unwrap();
        eprintln!("{files} files, {archives} archives: {count} round trips");
        counts.push(count);
    }
    assert!(counts.iter().all(|count| *count <= 12), "{counts:?}");
    assert!(counts[0].abs_diff(counts[1]) <= 1, "{counts:?}");
}
