//! `worldkeeper bench` for a binary that was built without it: `worldkeeper-bench --worldkeeper PROGRAM all --quick`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use worldkeeper_bench::{Bench, Programs};
use worldkeeper_core::Stop;

/// Measures worldkeeper, its parts alone and the whole beside others.
#[derive(Parser)]
#[command(max_term_width = 110)]
struct Args {
    /// Our binary
    #[arg(long, default_value = "target/release/worldkeeper")]
    worldkeeper: PathBuf,
    #[command(flatten)]
    bench: Bench,
}

fn main() -> ExitCode {
    let Args { worldkeeper, bench } = Args::parse();
    let this = std::env::args_os().next().into_iter().collect();
    match worldkeeper_bench::run(&bench, &Programs { ours: worldkeeper, bench: this }, &Stop::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
