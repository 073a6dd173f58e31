//! What was measured on: figures of two machines are not comparable, and those of a busy one prove little.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;
use worldkeeper_chunker::Instructions;

use crate::room::memory;

/// A machine, at the beginning of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    pub(crate) cores: usize,
    memory_gb: f64,
    instructions: String,
    /// How many wanted a core in the last minute.
    load: f64,
    /// Whether this program was compiled to be fast.
    optimised: bool,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processor: name.map_or("unknown processor", |(_, name)| name.trim()).to_owned(),
            cores: available_parallelism().map_or(1, usize::from),
            memory_gb: memory("MemTotal").unwrap_or_default() as f64 / 1e9,
            instructions: Instructions::best().to_string(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
            optimised: !cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, memory_gb, instructions, load, .. } = self;
        write!(f, "{processor}, {cores} cores, {instructions}, {memory_gb:.0} GB; load {load:.1} at the beginning")?;
        if *load > 0.5 {
            f.write_str(": others work beside, ratios hold, figures do not")?;
        }
        if !self.optimised {
            f.write_str(
                "\nthis program was not compiled to be fast: what it measures of its own parts proves nothing",
            )?;
        }
        Ok(())
    }
}
