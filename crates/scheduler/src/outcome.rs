//! What a job is to those who run it.

use jiff::Timestamp;
use worldkeeper_core::Stop;

/// What is known of the game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GameState {
    /// It does not run.
    Rests,
    /// It runs, or nobody knows that it does not.
    MayRun,
    /// Nothing has been known of it for so long that it is taken to run; it may have rested all the time.
    Presumed,
}

impl GameState {
    /// Returns whether it runs, or nobody knows that it does not.
    pub fn may_run(self) -> bool {
        self != Self::Rests
    }
}

/// One backup from beginning to end, over and over.
pub trait Job: Send + Sync {
    /// Makes an archive, and does what belongs to a good one: retention, compaction.
    ///
    /// Runs on a thread of its own and may take as long as it needs, but looks at `stop` between steps and, once it is
    /// requested, rolls back, gives its locks back and returns within a few seconds. Never called twice at a time.
    fn run(&self, stop: &Stop) -> JobOutcome;

    /// Takes in what is known of the game: while it may run, a backup takes less of what it needs, and while that is all that is
    /// known, nothing is pruned. Called before the first run and at each change, during a run too.
    fn game_is(&self, _known: GameState) {}

    /// When the last good archive of the series was begun, as far as the records of this and other processes tell; the
    /// interval counts from it. Called before and after a run, not during one.
    fn last_good(&self) -> Option<Timestamp>;

    /// How many runs in a row, the last ones, were cut off with their processes; who asks has them recorded. Called once,
    /// before anything else.
    fn cut_off(&self) -> u32 {
        0
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// An archive was made. Retention may follow a good archive, and nothing else.
    Good {
        /// The archive's name.
        archive: String,
        /// How many files could not be read, or changed meanwhile, and what else was amiss without spoiling the archive.
        warnings: u64,
    },
    /// No archive was made.
    Failed {
        /// What failed and why, in words for people.
        error: String,
        /// What to do about it, if somebody can do something.
        hint: Option<String>,
        /// Whether it may go well if it is tried again soon. A wrong passphrase does not mend itself, a connection does.
        retry: bool,
    },
    /// It was asked to stop, and did, before an archive was made.
    Stopped,
}
