//! The table.

use std::fmt;

use serde::Serialize;

use crate::measure::Usage;

/// How many times as fast the run over an unchanged tree must be.
const UNCHANGED: f64 = 5.0;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) stock: String,
    pub(crate) ours: String,
    pub(crate) runs: u32,
    pub(crate) rows: Vec<Row>,
}

/// One operation on one tree.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) corpus: String,
    pub(crate) operation: &'static str,
    pub(crate) stock: Usage,
    pub(crate) ours: Usage,
}

impl Row {
    /// How many times as fast ours is.
    fn speed(&self) -> f64 {
        self.stock.wall / self.ours.wall
    }

    fn holds(&self) -> bool {
        // The many small files are what the files cache is for; few large ones end both in no time.
        let floor = if self.operation == "unchanged" && self.corpus.starts_with("mixed") { UNCHANGED } else { 1.0 };
        self.speed() >= floor
    }
}

impl Report {
    /// Whether ours is nowhere slower, and the unchanged run over many files as fast as it should be.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stock, ours, runs, .. } = self;
        writeln!(f, "{ours} beside {stock}, {runs} runs each in turn, medians; a ratio above 1 is in our favour")?;
        writeln!(f, "{:34} {:>23} {:>23} {:>23}", "", "wall, s", "CPU, s", "peak, MiB")?;
        write!(f, "{:34}", "")?;
        for _ in 0..3 {
            write!(f, " {:>8} {:>8} {:>5}", "stock", "ours", "ratio")?;
        }
        writeln!(f)?;
        let mut corpus = "";
        for row in &self.rows {
            if row.corpus != corpus {
                corpus = &row.corpus;
                writeln!(f, "{corpus}")?;
            }
            write!(f, "  {:32}", row.operation)?;
            let figures: [fn(&Usage) -> f64; 3] = [|usage| usage.wall, |usage| usage.cpu, |usage| usage.peak];
            for figure in figures {
                let (stock, ours) = (figure(&row.stock), figure(&row.ours));
                write!(f, " {stock:>8.2} {ours:>8.2} {:>5.1}", stock / ours)?;
            }
            writeln!(f, "{}", if row.holds() { "" } else { "  too slow" })?;
        }
        Ok(())
    }
}
