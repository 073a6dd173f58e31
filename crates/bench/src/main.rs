//! `worldkeeper bench` for a binary that was built without it: `worldkeeper-bench --worldkeeper PROGRAM all --quick`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use worldkeeper_bench::Bench;
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
    let args = Args::parse();
    match worldkeeper_bench::run(&args.bench, &args.worldkeeper, &Stop::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
