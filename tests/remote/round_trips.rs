//! How often a run waits for the other side: as often for a thousand files and twenty archives as for one.

use std::path::Path;

use worldkeeper_engine::{CreateOptions, NoKeyFiles, Session, Silent, create};
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{gate, tree};

use crate::cable::Cable;
use crate::{Server, sidecar};

/// Backs up over a cable, and returns how many round trips that took.
fn backup(keeper: &Worldkeeper, hour: u64) -> usize {
    let cable = Cable::new(&Server::Ours.start(keeper.folder()), None);
    let backup = |session: &mut Session| {
        let _ = session.escrow(&NoKeyFiles)?;
        let options = CreateOptions { sealers: 2, ..CreateOptions::new("world", [keeper.world()]) };
        Ok(create(session, &options, &Silent)?)
    };
    let _ = sidecar::run(keeper, &cable, hour, |repository| repository, backup).unwrap();
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
