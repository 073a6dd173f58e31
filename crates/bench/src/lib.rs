//! Measures Worldkeeper: its parts alone, and the whole beside stock borg, restic and rustic.
//!
//! Users reach it as `worldkeeper bench`, a feature of the command line that the image leaves out; `worldkeeper-bench` is
//! the same for tests, with a binary that was built apart. [`Bench`] is what can be typed, [`run`] does it. Whatever is
//! measured as a whole is a process of its own, with an environment that holds nothing but what it needs, on data that are
//! made from fixed seeds in a folder that goes away at the end.

mod args;
mod comparison;
mod corpus;
mod measure;
mod primitives;
mod remote;
mod report;
mod room;
mod scale;
mod statistics;
mod tool;
mod world;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::ensure;
use worldkeeper_core::Stop;

pub use args::Bench;
pub use measure::Stopped;

use args::{Compare, What};
use comparison::Operation;
use remote::FarEnd;
use report::{Machine, show};

/// The programs that measuring needs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary that is measured.
    pub ours: PathBuf,
    /// How this program is called, up to the words of [`Bench`]: what needs much memory is measured in a process of its own.
    pub bench: Vec<OsString>,
}

/// Measures what was asked for and prints it.
///
/// # Errors
///
/// [`Stopped`] if that was asked for; otherwise what could not be done. Nothing is left behind then, either.
pub fn run(bench: &Bench, programs: &Programs, stop: &Stop) -> anyhow::Result<()> {
    let machine = Machine::look();
    let ours = &programs.ours;
    let compare = |options: &Compare, operations: &[Operation], far: Option<&FarEnd>| {
        let comparison = comparison::compare(options, operations, far, programs, &machine, stop)?;
        show(&comparison, &machine, &options.common)?;
        ensure!(!options.demand || comparison.holds(), "stock borg is faster somewhere");
        Ok(())
    };
    match &bench.what {
        What::Primitives(options) => show(&primitives::measure(options, stop)?, &machine, &options.common),
        What::Create(options) => compare(options, &[Operation::Create], None),
        What::Rerun(options) => compare(options, &[Operation::Rerun], None),
        What::Check(options) => compare(options, &[Operation::Check], None),
        What::Extract(options) => compare(options, &[Operation::Extract], None),
        What::List(options) => compare(options, &[Operation::List], None),
        What::Prune(options) => compare(options, &[Operation::Prune], None),
        What::All(options) => compare(options, &Operation::ALL, None),
        What::Remote(options) => {
            let far = FarEnd::parse(&options.url, &options.far_borg, &options.far_worldkeeper)?;
            compare(&options.compare, &[Operation::Create, Operation::Rerun], Some(&far))
        }
        What::World(options) => show(&world::measure(options, ours, stop)?, &machine, &options.common),
        What::Scale(options) => show(&scale::measure(options, ours, stop)?, &machine, &options.common),
    }
}
