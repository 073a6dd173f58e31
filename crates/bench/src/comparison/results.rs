//! What a comparison says: medians, ratios, and how near we are to what our parts can do.

use serde::Serialize;

use crate::corpus::{Corpus, Kind};
use crate::measure::Usage;
use crate::report::{Bar, Plot, Report, Table};
use crate::statistics::{median, median_ratio};
use crate::tool::{self, Tool};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Create,
    Rerun,
    Check,
    Extract,
    List,
    Prune,
}

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(super) runs: u32,
    pub(super) rows: Vec<Row>,
}

/// One operation on one corpus.
#[derive(Serialize)]
pub(super) struct Row {
    corpus: String,
    kind: Kind,
    bytes: u64,
    operation: Operation,
    /// We are the first.
    tools: Vec<Figures>,
    /// What our first archive of noise would have taken if nothing stood still, by what the parts needed right after it, to what
    /// it took, run by run.
    efficiency: Vec<f64>,
}

/// What one tool needed.
#[derive(Serialize)]
struct Figures {
    tool: tool::Kind,
    version: String,
    median: Usage,
    /// What the repository takes, in MB, afterwards.
    stored: Option<f64>,
    /// How many times as much as ours: the median of pairs.
    to_ours: Option<Ratios>,
    runs: Vec<Usage>,
}

#[derive(Clone, Copy, Serialize)]
struct Ratios {
    wall: Option<f64>,
    cpu: Option<f64>,
    peak: Option<f64>,
}

/// One tool, and what it measured in one operation.
pub(super) struct Runs<'a> {
    pub(super) tool: &'a Tool,
    pub(super) usages: Vec<Usage>,
    /// What its repository took after each, in MB.
    pub(super) stored: Vec<f64>,
}

impl Row {
    /// Puts together what everybody measured; we are the first.
    pub(super) fn of(corpus: &Corpus, operation: Operation, runs: &[Runs<'_>], efficiency: Vec<f64>) -> Self {
        let tools = runs.iter().map(|theirs| theirs.figures(&runs[0])).collect();
        Self {
            corpus: corpus.to_string(),
            kind: corpus.kind(),
            bytes: corpus.total().bytes,
            operation,
            tools,
            efficiency,
        }
    }
}

impl Runs<'_> {
    fn figures(&self, ours: &Self) -> Figures {
        let ratio = |figure: fn(&Usage) -> f64| {
            median_ratio(self.usages.iter().map(figure).zip(ours.usages.iter().map(figure)))
        };
        let ratios = || Ratios {
            wall: ratio(|usage| usage.wall),
            cpu: ratio(|usage| usage.cpu),
            peak: ratio(|usage| usage.peak),
        };
        Figures {
            tool: self.tool.kind,
            version: self.tool.version.clone(),
            median: Usage::median(&self.usages),
            stored: median(self.stored.iter().copied()),
            to_ours: (self.tool.kind != tool::Kind::Worldkeeper).then(ratios),
            runs: self.usages.clone(),
        }
    }
}

impl Comparison {
    /// Whether stock borg is nowhere faster than we are.
    pub(crate) fn holds(&self) -> bool {
        let stock = self.rows.iter().flat_map(|row| &row.tools).filter(|figures| figures.tool == tool::Kind::Borg);
        stock.filter_map(|figures| figures.to_ours?.wall).all(|ratio| ratio >= 1.0)
    }
}

impl Report for Comparison {
    fn text(&self) -> String {
        let head = format!("{} runs each in turn, medians; × is how many times ours, the median of pairs\n", self.runs);
        let (mut corpus, mut efficiencies) = ("", Vec::new());
        let headings = ["", "wall, s", "×", "CPU, s", "×", "peak, MiB", "×", "written, MB", "stored, MB"];
        let mut table = Table::new(headings);
        for row in &self.rows {
            if row.corpus != corpus {
                corpus = &row.corpus;
                table.row([format!("**{corpus}**")]);
            }
            for Figures { version, median, stored, to_ours, .. } in &row.tools {
                let ratio = |figure: fn(&Ratios) -> Option<f64>| {
                    to_ours.as_ref().and_then(figure).map(|ratio| format!("{ratio:.2}")).unwrap_or_default()
                };
                table.row([
                    format!("{}, {version}", row.operation.name()),
                    format!("{:.2}", median.wall),
                    ratio(|ratios| ratios.wall),
                    format!("{:.2}", median.cpu),
                    ratio(|ratios| ratios.cpu),
                    format!("{:.0}", median.peak),
                    ratio(|ratios| ratios.peak),
                    format!("{:.1}", median.written),
                    stored.map(|stored| format!("{stored:.1}")).unwrap_or_default(),
                ]);
            }
            let all = || row.efficiency.iter().copied();
            efficiencies.extend(median(all()).map(|middle| {
                let (least, most) = all().fold((middle, middle), |(least, most), one| (least.min(one), most.max(one)));
                format!(
                    "\npipeline efficiency of {}: {middle:.2} ({least:.2} to {most:.2}; what its parts need, to what it took)\n",
                    row.corpus
                )
            }));
        }
        format!("{head}\n{table}{}", efficiencies.concat())
    }

    fn plot(&self) -> Plot {
        let bars = self.rows.iter().flat_map(|row| {
            let group = format!("{}: {}", row.operation.name(), row.corpus);
            row.tools.iter().filter_map(move |figures| {
                let value = figures.to_ours?.wall?;
                Some(Bar { group: group.clone(), label: figures.version.clone(), value })
            })
        });
        Plot::Bars { title: "How many times as long as worldkeeper".to_owned(), bars: bars.collect() }
    }
}

impl Operation {
    pub(crate) const ALL: [Self; 6] = [Self::Create, Self::Rerun, Self::Check, Self::Extract, Self::List, Self::Prune];

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Rerun => "rerun",
            Self::Check => "check",
            Self::Extract => "extract",
            Self::List => "list",
            Self::Prune => "prune",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tool(kind: tool::Kind) -> Tool {
        Tool { kind, version: format!("{} 1.0", kind.name()), program: Path::new("/nowhere").to_owned() }
    }

    fn row(operation: Operation, ours: &[f64], theirs: &[f64]) -> Row {
        let tools = [tool::Kind::Worldkeeper, tool::Kind::Borg].map(tool);
        let runs = tools.iter().zip([ours, theirs]).map(|(tool, walls)| {
            let usages = walls.iter().map(|wall| Usage { wall: *wall, cpu: 2.0, peak: 50.0, written: 1.0 }).collect();
            Runs { tool, usages, stored: vec![100.0; walls.len()] }
        });
        let tools = runs.collect::<Vec<_>>();
        let tools = tools.iter().map(|runs| runs.figures(&tools[0])).collect();
        Row {
            corpus: "noise".into(),
            kind: Kind::Noise,
            bytes: 1_000_000_000,
            operation,
            tools,
            efficiency: Vec::new(),
        }
    }

    #[test]
    fn ratios_are_of_pairs_and_ours_has_none() {
        let row = row(Operation::Create, &[1.0, 8.0, 1.0], &[4.0, 8.0, 5.0]);
        assert!(row.tools[0].to_ours.is_none());
        let ratios = row.tools[1].to_ours.unwrap();
        assert_eq!((ratios.wall, ratios.cpu, ratios.peak), (Some(4.0), Some(1.0), Some(1.0)));
        let comparison = Comparison { runs: 3, rows: vec![row] };
        assert!(comparison.holds());
        let text = comparison.text();
        assert!(text.contains("create, borg 1.0") && text.contains(" 5.00 | 4.00 |"), "{text}");
        let Plot::Bars { bars, .. } = comparison.plot() else { panic!("these are bars") };
        assert_eq!(bars.iter().map(|bar| (bar.label.as_str(), bar.value)).collect::<Vec<_>>(), [("borg 1.0", 4.0)]);
    }

    #[test]
    fn where_stock_is_faster_it_does_not_hold() {
        let rows = vec![row(Operation::Create, &[1.0], &[2.0]), row(Operation::Check, &[1.0], &[0.9])];
        assert!(!Comparison { runs: 1, rows }.holds());
    }

    #[test]
    fn the_efficiency_is_the_median_of_runs_and_told_only_where_it_is_known() {
        let [create, rerun] = [Operation::Create, Operation::Rerun].map(|operation| row(operation, &[1.25], &[2.0]));
        let rows = vec![Row { efficiency: vec![0.75, 0.5, 0.875], ..create }, rerun];
        let text = Comparison { runs: 3, rows }.text();
        assert_eq!(text.matches("pipeline efficiency").count(), 1, "{text}");
        assert!(text.contains("of noise: 0.75 (0.50 to 0.88;"), "{text}");
    }
}
