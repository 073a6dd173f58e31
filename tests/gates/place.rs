//! A world, a repository and a state directory in memory, and what each archive must bring back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree::{self, Entry, assert_listed, listing};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::worlds;

/// What a tree was.
pub(crate) type Listing = BTreeMap<PathBuf, Entry>;

/// One set-up with its archives.
pub(crate) struct Place {
    pub(crate) keeper: Worldkeeper,
    /// What each archive was made of.
    pub(crate) trees: BTreeMap<String, Listing>,
    /// What the key of the repository has sealed, whoever used it.
    counters: Counters,
    folder: TempDir,
}

impl Place {
    /// An empty one, whose repository will be encrypted in `mode`.
    pub(crate) fn new(mode: &str) -> Self {
        let folder = gate::folder();
        // A lock that nobody clears must fail the gate, not stall it.
        let keeper = Worldkeeper::at(folder.path()).with("LOCK_WAIT", "5s").with("BORG_ENCRYPTION", mode);
        let keeper = keeper.with(KEYS_DIR, folder.path().join("keys"));
        let place = Self { keeper, trees: BTreeMap::new(), counters: Counters::default(), folder };
        fs::create_dir_all(place.folder().join("keys")).expect("folders can be made");
        fs::create_dir_all(place.keeper.world()).expect("folders can be made");
        place
    }

    /// Where everything of it lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the world another one: small files, and one of several chunks.
    pub(crate) fn change_world(&self, seed: &str) {
        tree::world(&self.keeper.world(), 20, seed);
        tree::write(&self.keeper.world().join("region/r.0.0.mca"), &worlds::region(seed, 40_000));
        tree::write(&self.keeper.world().join("region/zeros"), &vec![0; 50_000]);
    }

    /// Makes the world another one and backs it up.
    pub(crate) fn archive(&mut self, seed: &str) -> String {
        self.change_world(seed);
        let is_first = self.trees.is_empty();
        let name = self.keeper.backup();
        self.trees.insert(name.clone(), listing(&self.keeper.world()));
        if is_first {
            self.split();
        }
        name
    }

    /// Lets segments be small, so that little data makes many of them.
    pub(crate) fn split(&self) {
        let config = self.keeper.repository().join("config");
        let text = fs::read_to_string(&config).expect("the config can be read");
        let smaller = text.replace("max_segment_size = 524288000", "max_segment_size = 20000");
        assert_ne!(smaller, text, "the config names another size");
        fs::write(config, smaller).expect("the config can be written");
    }

    /// Asserts that no counter value was used twice, by us or by stock: not in what the segments hold now, committed or
    /// not, nor in that and what they held whenever this was asked before.
    #[track_caller]
    pub(crate) fn assert_counter_never_reused(&self) {
        self.counters.directory(&self.keeper.repository());
    }

    /// Forgets what was sealed since: everything is as it was at an earlier time, and takes another course from there.
    pub(crate) fn count_anew(&mut self) {
        self.counters = Counters::default();
        self.assert_counter_never_reused();
    }

    /// Asserts that we bring back what `archive` was made of.
    #[track_caller]
    pub(crate) fn restores(&self, archive: &str, tree: &Listing) {
        let target = self.folder().join("restored");
        let _ = self.keeper.restore(archive, &target);
        assert_listed(tree, &below(&target, &self.keeper.world()));
        fs::remove_dir_all(target).expect("what was restored can be removed");
    }

    /// Runs a stock borg under some passphrase.
    pub(crate) fn stock(&self, borg: &Borg, passphrase: &str, args: &[&str]) -> Outcome {
        let target = self.folder().join("extracted");
        fs::create_dir_all(&target).expect("folders can be made");
        let mut command = borg.command();
        command.args(args).env("BORG_PASSPHRASE", passphrase).env(KEYS_DIR, self.folder().join("keys"));
        borg.outcome(command.current_dir(target))
    }

    /// Asserts that stock, too, brings back what `archive` was made of.
    #[track_caller]
    pub(crate) fn stock_restores(&self, borg: &Borg, passphrase: &str, archive: &str, tree: &Listing) {
        let location = worldkeeper_testkit::borg::location(&self.keeper.repository(), archive);
        let _ = self.stock(borg, passphrase, &["extract", borg.numeric_ids(), &location]).exits(0);
        let target = self.folder().join("extracted");
        assert_listed(tree, &below(&target, &self.keeper.world()));
        fs::remove_dir_all(target).expect("what was extracted can be removed");
    }
}

/// Where key files lie, for us and for stock.
const KEYS_DIR: &str = "BORG_KEYS_DIR";

/// The passphrase that [`Place`]s begin with, and the one that their keys are changed to.
pub(crate) const PASSPHRASES: [&str; 2] = [PASSPHRASE, "another pässphrase"];
