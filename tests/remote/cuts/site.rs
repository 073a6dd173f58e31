//! A repository behind a cable, and what is done with it.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use worldkeeper_core::error_text;
use worldkeeper_engine::{CreateOptions, Silent, compact, create, delete};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::{gate, tree};

use crate::Server;
use crate::cable::{Cable, Cut, Start, Way};
use crate::sidecar::{self, Outcome};

/// What is done while the cable is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Prune,
    Compact,
}

impl Operation {
    pub(super) const ALL: [Self; 3] = [Self::Create, Self::Prune, Self::Compact];
}

/// Repositories to begin from, and a server.
pub(super) struct Site {
    folder: TempDir,
    server: Start,
    counters: Counters,
    stock: Vec<Mutex<Borg>>,
    edges: Vec<[Vec<u64>; 2]>,
    cuts: AtomicUsize,
}

impl Site {
    /// Makes a repository of three archives, and another of which one was deleted.
    pub(super) fn new(server: &Server) -> Self {
        let folder = gate::folder();
        let server = server.start(folder.path());
        let keeper = Worldkeeper::at(&folder.path().join("full"));
        for version in 1..=3 {
            for file in 0..6 {
                // Each has content that stays, and content of its own.
                let text = format!("file {file} of {}", if file < 3 { 0 } else { version });
                tree::write(&keeper.world().join(format!("region/{file}")), &sha_stream(&text, 30_000));
            }
            let _ = keeper.backup();
        }
        copy(&folder.path().join("full"), &folder.path().join("deleted"));
        let keeper = Worldkeeper::at(&folder.path().join("deleted"));
        let oldest = keeper.archives().remove(0);
        let _ = keeper.run(["delete", &oldest]);
        tree::write(&folder.path().join("full/world/region/new"), &sha_stream("new", 300_000));
        tree::write(&folder.path().join("deleted/world/region/new"), &sha_stream("new", 300_000));
        let counters = Counters::default();
        let stock = Borg::all().into_iter().map(|borg| Mutex::new(borg.with_passphrase(PASSPHRASE).warmed())).collect();
        let mut site = Self { folder, server, counters, stock, edges: Vec::new(), cuts: AtomicUsize::new(0) };
        for operation in Operation::ALL {
            let case = site.case(operation);
            let cable = Cable::new(&site.server, None);
            run(&case, operation, &cable, 1).expect("nothing is cut");
            site.edges.push([cable.edges(Way::There), cable.edges(Way::Back)]);
        }
        site
    }

    /// Where messages end, there and back, when nothing is cut.
    pub(super) fn edges(&self, operation: Operation) -> [Vec<u64>; 2] {
        self.edges[operation as usize].clone()
    }

    /// How many cuts were made.
    pub(super) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }

    fn case(&self, operation: Operation) -> Case {
        let folder = gate::folder();
        let from = if operation == Operation::Compact { "deleted" } else { "full" };
        copy(&self.folder.path().join(from), &folder.path().join("case"));
        let keeper = Worldkeeper::at(&folder.path().join("case"));
        let counters = self.counters.branch();
        counters.directory(&keeper.repository());
        Case { _folder: folder, keeper, counters }
    }

    /// Does it with a cable that is cut there, and requires that nothing is lost, nothing is half done, and nothing is told
    /// that is not so.
    pub(super) fn try_cut(&self, operation: Operation, cut: Cut, asks_stock: bool) {
        let case = self.case(operation);
        let before = case.keeper.archives();
        let cable = Cable::new(&self.server, Some(cut));
        let result = run(&case, operation, &cable, 1);
        self.cuts.fetch_add(usize::from(cable.was_cut()), Ordering::Relaxed);
        let after = case.keeper.archives();
        match (&result, operation) {
            (Ok(()), Operation::Create) => assert_eq!(after[..3], before[..], "the new one, and it is there"),
            (Ok(()), Operation::Prune) => assert_eq!(after[..], before[2..]),
            (Ok(()), Operation::Compact) => assert_eq!(after, before),
            (Err(error), _) => {
                let text = error_text(error.as_ref());
                assert!(text.contains("connection") || text.contains("cannot reach"), "{text}");
                assert_eq!(after, before, "{text}");
            }
        }
        let is_made = result.is_ok() && operation == Operation::Create;
        assert_eq!(after.len() > before.len(), is_made, "no second archive");

        run(&case, Operation::Create, &Cable::new(&self.server, None), 2).expect("the next run goes well");
        let keeper = &case.keeper;
        assert_eq!(keeper.archives().len(), after.len() + 1);
        let _ = keeper.run(["check", "--verify-data"]);
        let target = keeper.folder().join("restored");
        let _ = keeper.restore("latest", &target);
        tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
        if asks_stock {
            for borg in &self.stock {
                let borg = borg.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let _ = borg.run(["check".as_ref(), "--verify-data".as_ref(), keeper.repository().as_os_str()]);
            }
        }
    }
}

/// A copy of a repository, its state directory and its world.
struct Case {
    _folder: TempDir,
    keeper: Worldkeeper,
    counters: Counters,
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp is there");
    assert!(copied.success(), "{} cannot be copied", from.display());
}

/// One run of the sidecar, some hours after everything that was done so far.
fn run(case: &Case, operation: Operation, cable: &Cable, hour: u64) -> Outcome {
    let watch = |repository| case.counters.watch(repository);
    sidecar::run(&case.keeper, cable, hour, watch, |session| {
        match operation {
            Operation::Create => {
                let options = CreateOptions { sealers: 2, ..CreateOptions::new("world", [case.keeper.world()]) };
                create(session, &options, &Silent)?;
            }
            Operation::Prune => {
                let oldest: Vec<_> = session.archives().into_iter().take(2).map(|archive| archive.name).collect();
                delete(session, &oldest, &Silent)?;
            }
            Operation::Compact => _ = compact(session, 1)?,
        }
        Ok(())
    })
}
