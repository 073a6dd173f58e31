//! What a file and a chunk cost when there are many: it must not be more than when there are few.
//!
//! A start costs something, too, so it is the cost of one more that is compared: what a step of ten adds, by how many it
//! adds. Files are small ones of one chunk each. Chunks are of 64 bytes, so that ten million of them fit into memory.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use worldkeeper_core::Stop;

use crate::args;
use crate::corpus::{Corpus, Kind, Size};
use crate::measure::{self, Usage, go_on};
use crate::report::{Line, Plot, Report, Table, progress};
use crate::room::Room;
use crate::tool::{self, Place, Tool, Work};

/// What was measured, each series from the smallest on.
#[derive(Serialize)]
pub(crate) struct Growth {
    series: Vec<Series>,
}

/// One operation over trees that grow.
#[derive(Serialize)]
struct Series {
    unit: &'static str,
    operation: &'static str,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Serialize)]
struct Step {
    number: u64,
    median: Usage,
}

/// What one more costs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct More {
    /// Microseconds.
    wall: f64,
    /// Microseconds.
    cpu: f64,
    /// Bytes.
    peak: f64,
}

/// Of what there are more and more.
struct Unit {
    name: &'static str,
    kind: Kind,
    first: u64,
    last: u64,
    /// How files are cut.
    chunker_params: &'static str,
    /// Bytes a repository may take for each, with its index and what the state directory keeps.
    stored: u64,
}

/// Backs up trees of more and more files, then of more and more chunks.
pub(crate) fn measure(options: &args::Scale, ours: &Path, stop: &Stop) -> anyhow::Result<Growth> {
    let tool = Tool::at(tool::Kind::Worldkeeper, ours)?;
    let units = [
        Unit {
            name: "file",
            kind: Kind::Small,
            first: 1000,
            last: options.files,
            chunker_params: "default",
            stored: 2000,
        },
        Unit {
            name: "chunk",
            kind: Kind::Tiny,
            first: 10_000,
            last: options.chunks,
            chunker_params: "fixed,64",
            stored: 500,
        },
    ];
    let mut series = Vec::new();
    for unit in units {
        let needed = unit.kind.room(Size { mebibytes: 0, files: unit.last }) + unit.last * unit.stored + (64 << 20);
        let room = Room::make(options.common.dir.as_deref(), needed)?;
        let [mut create, mut rerun] =
            ["create", "rerun"].map(|operation| Series { unit: unit.name, operation, steps: Vec::new() });
        let mut number = unit.first;
        while number <= unit.last {
            let folder = room.place()?;
            let corpus = Corpus::make(unit.kind, folder.path(), Size { mebibytes: 0, files: number })?;
            let mut usages = [Vec::new(), Vec::new()];
            for _ in 0..options.runs {
                let place = room.place()?;
                for usages in &mut usages {
                    go_on(stop)?;
                    let work = Work::Create(corpus.root(), 0);
                    let mut command = tool.command(&Place::here(place.path()), work).context("it can make archives")?;
                    command.env("BORG_CHUNKER_PARAMS", unit.chunker_params);
                    let usage = measure::run(command, stop)?;
                    progress(&format!("{number} {}s, {:.2} s", unit.name, usage.wall));
                    usages.push(usage);
                }
            }
            for (series, usages) in [&mut create, &mut rerun].into_iter().zip(usages) {
                series.steps.push(Step { number, median: Usage::median(&usages) });
            }
            number *= 10;
        }
        series.extend([create, rerun]);
    }
    Ok(Growth { series })
}

impl Series {
    /// What one more costs, at each step but the first.
    fn more(&self) -> Vec<More> {
        let pairs = self.steps.windows(2);
        pairs
            .map(|pair| {
                let (few, many) = (pair[0], pair[1]);
                let each = |figure: fn(&Usage) -> f64, unit: f64| {
                    (figure(&many.median) - figure(&few.median)) * unit / (many.number - few.number) as f64
                };
                More {
                    wall: each(|usage| usage.wall, 1e6),
                    cpu: each(|usage| usage.cpu, 1e6),
                    peak: each(|usage| usage.peak, f64::from(1 << 20)),
                }
            })
            .collect()
    }

    /// How many times as much CPU one more costs at the end as at the beginning; `None` where there are no two steps.
    fn steepness(&self) -> Option<f64> {
        let more = self.more();
        let (first, rest) = more.split_first()?;
        Some(rest.last()?.cpu / first.cpu)
    }
}

impl Report for Growth {
    fn text(&self) -> String {
        let headings = ["", "number", "wall, s", "CPU, s", "peak, MiB", "one more: µs", "µs of CPU", "bytes of memory"];
        let mut table = Table::new(headings);
        let mut last = Vec::new();
        for series in &self.series {
            // The first step has nothing that it is more than.
            let more = [None].into_iter().chain(series.more().into_iter().map(Some));
            for (Step { number, median }, more) in series.steps.iter().zip(more) {
                let mut row = vec![
                    format!("{}, {}s", series.operation, series.unit),
                    number.to_string(),
                    format!("{:.3}", median.wall),
                    format!("{:.3}", median.cpu),
                    format!("{:.0}", median.peak),
                ];
                if let Some(more) = more {
                    row.extend([format!("{:.2}", more.wall), format!("{:.2}", more.cpu), format!("{:.0}", more.peak)]);
                }
                table.row(row);
            }
            if let Some(steepness) = series.steepness() {
                let Series { unit, operation, .. } = series;
                last.push(format!("{operation}: the last {unit}s cost {steepness:.2} times the CPU of the first\n"));
            }
        }
        format!("{table}\n{}", last.concat())
    }

    fn plot(&self) -> Plot {
        let line = |series: &Series| {
            let ends = series.steps.iter().skip(1).map(|step| step.number as f64);
            Line {
                label: format!("{}, {}s", series.operation, series.unit),
                points: ends.zip(series.more()).map(|(number, more)| (number, more.wall)).collect(),
            }
        };
        Plot::Lines {
            title: "What one more costs when there are many".to_owned(),
            x: "how many there are".to_owned(),
            y: "µs".to_owned(),
            lines: self.series.iter().map(line).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(walls: &[f64]) -> Series {
        let steps = walls.iter().zip(3..).map(|(wall, power)| Step {
            number: 10_u64.pow(power),
            median: Usage { wall: *wall, cpu: *wall, peak: 20.0, ..Usage::default() },
        });
        Series { unit: "file", operation: "create", steps: steps.collect() }
    }

    #[test]
    fn a_start_is_no_part_of_what_one_more_costs() {
        // Half a second to start, then a millisecond each.
        let flat = series(&[1.5, 10.5, 100.5]);
        let more = flat.more();
        assert_eq!(more.len(), 2);
        assert!(more.iter().all(|more| (more.wall - 1000.0).abs() < 1e-6 && more.peak == 0.0), "{more:?}");
        assert!((flat.steepness().unwrap() - 1.0).abs() < 1e-9);
        assert!(series(&[1.5, 10.5, 190.5]).steepness().unwrap() > 1.9);
        assert_eq!(series(&[1.5, 10.5]).steepness(), None);
        assert!(Growth { series: vec![flat] }.text().contains("1.00 times the CPU of the first"));
    }
}
