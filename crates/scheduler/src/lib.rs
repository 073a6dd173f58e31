//! Decides what to do when and sees it through.
//!
//! [`policy`] is the decision alone: events and the time go in, actions come out, nothing happens. [`daemon`] makes
//! the events happen and carries the actions out. [`history`] remembers how the runs went, for the schedule to count
//! from and for people to look at. What a run does is a [`Job`], which somebody else brings; [`job`] has the usual one.

pub mod daemon;
pub mod history;
pub mod job;
mod outcome;
pub mod policy;
mod whereabouts;
pub mod words;

pub use daemon::{Daemon, DaemonError, Signals, Watched};
pub use history::History;
pub use outcome::{GameState, Job, JobOutcome};
pub use policy::Scheduler;
pub use whereabouts::{Lookout, Whereabouts};
