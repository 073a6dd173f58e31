//! Measures Worldkeeper beside stock borg: the same trees, the same options, run by run in turn on the same machine.
//!
//! Three operations are timed for each tree: the first archive, another one of the unchanged tree, and the extraction.
//! The figures are medians, so that a hiccup of the machine counts for nobody.

mod corpus;
mod measure;
mod report;
mod tool;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::corpus::Corpus;
use crate::measure::Usage;
use crate::report::{Report, Row};
use crate::tool::Tool;

/// Compares worldkeeper with stock borg and prints a table.
#[derive(Parser)]
struct Args {
    /// The stock borg
    #[arg(long, default_value = "borg")]
    borg: PathBuf,
    /// Our binary
    #[arg(long, default_value = "target/release/worldkeeper")]
    worldkeeper: PathBuf,
    /// How often each operation is run; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Size of the incompressible tree, in MiB
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    /// Number of files of the mixed tree
    #[arg(long, default_value_t = 45_000)]
    files: u32,
    /// One run on small trees: shows that it works, proves no figure
    #[arg(long)]
    quick: bool,
    /// Where trees and repositories are made [default: memory, if there is enough]
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// Prints JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Fails where we are slower, or where the unchanged run is not five times as fast
    #[arg(long)]
    demand: bool,
}

fn main() -> ExitCode {
    match bench(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures, prints, and returns whether what was demanded holds.
fn bench(mut args: Args) -> Result<bool, Box<dyn Error>> {
    if args.quick {
        (args.runs, args.mebibytes, args.files) = (1, args.mebibytes.min(128), args.files.min(5000));
    }
    let folder = work_folder(args.work_dir.as_deref(), args.mebibytes)?;
    let corpora = [
        Corpus::incompressible(&folder.path().join("incompressible"), args.mebibytes)?,
        Corpus::mixed(&folder.path().join("mixed"), args.files)?,
    ];
    let tools = [Tool::borg(&args.borg)?, Tool::worldkeeper(&args.worldkeeper)?];
    let mut rows = Vec::new();
    for corpus in &corpora {
        // usages[tool][operation]: one figure for each run.
        let mut usages = [[(); 3].map(|()| Vec::new()), [(); 3].map(|()| Vec::new())];
        for run in 0..args.runs {
            // Whoever goes first warms the machine for the other, so they take turns at that too.
            let order = if run % 2 == 0 { [0, 1] } else { [1, 0] };
            for index in order {
                let measured = one_run(&tools[index], corpus, folder.path())?;
                for (list, usage) in usages[index].iter_mut().zip(measured) {
                    list.push(usage);
                }
            }
        }
        let [stock, ours] = usages.map(|operations| operations.map(|list| Usage::median(&list)));
        for ((operation, stock), ours) in OPERATIONS.into_iter().zip(stock).zip(ours) {
            rows.push(Row { corpus: corpus.to_string(), operation, stock, ours });
        }
    }
    let [stock, ours] = tools.map(|tool| tool.version);
    let report = Report { stock, ours, runs: args.runs, rows };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(!args.demand || report.holds())
}

const OPERATIONS: [&str; 3] = ["create", "unchanged", "extract"];

/// All operations of one tool from an empty repository and empty caches on.
fn one_run(tool: &Tool, corpus: &Corpus, folder: &Path) -> Result<[Usage; 3], Box<dyn Error>> {
    let place = tempfile::tempdir_in(folder)?;
    tool.prepare(place.path())?;
    let create = measure::run(tool.create(place.path(), corpus.root(), "1"))?;
    let unchanged = measure::run(tool.create(place.path(), corpus.root(), "2"))?;
    let target = place.path().join("target");
    std::fs::create_dir(&target)?;
    let extract = measure::run(tool.extract(place.path(), &target, "2"))?;
    // A tool that did nothing would be the fastest.
    corpus.expect_in(&target.join(corpus.root().strip_prefix("/")?))?;
    Ok([create, unchanged, extract])
}

/// A folder in memory if there is room for a tree, two repositories and what was extracted, else on the disk.
fn work_folder(asked: Option<&Path>, mebibytes: u64) -> Result<tempfile::TempDir, Box<dyn Error>> {
    let memory = Path::new("/dev/shm");
    let enough = |space: rustix::fs::StatVfs| (space.f_bavail * space.f_frsize) >> 20 > 4 * mebibytes + 4096;
    let parent = match asked {
        Some(asked) => asked.to_owned(),
        None if rustix::fs::statvfs(memory).is_ok_and(enough) => memory.to_owned(),
        None => std::env::temp_dir(),
    };
    Ok(tempfile::Builder::new().prefix("worldkeeper-bench").tempdir_in(parent.canonicalize()?)?)
}
