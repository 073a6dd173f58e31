//! What an hour of a game's world costs: stored as stock would cut it, and as we do.
//!
//! Each state of a directory is stored twice, in a repository of stock's cuts and in one of ours; by how much the
//! repository grows is what the state costs. The first one is the whole directory, all others are what has changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use worldkeeper_core::Stop;

use crate::args;
use crate::corpus::{self, Kind, Size, Total};
use crate::measure::{self, go_on};
use crate::report::{Bar, Plot, Report, Table, progress};
use crate::room::Room;
use crate::tool::{self, Place, Tool, Work};

/// What every state cost.
#[derive(Serialize)]
pub(crate) struct Costs {
    directory: PathBuf,
    states: Vec<State>,
}

/// What one state cost.
#[derive(Serialize)]
struct State {
    label: String,
    /// What there is, in MB.
    size: f64,
    /// In the order of [`CUTS`].
    stored: [Stored; 2],
}

#[derive(Clone, Copy, Default, Serialize)]
struct Stored {
    /// By how much the repository's segments grew, in MB. What lies beside them is written anew each time, and does not add up.
    megabytes: f64,
    /// How long it took, in seconds.
    wall: f64,
    cpu: f64,
}

/// Each way to cut: its name, and what the setting says.
const CUTS: [(&str, &str); 2] = [("stock's cuts", "off"), ("ours", "on")];

/// Stores one state after the other.
pub(crate) fn measure(options: &args::World, ours: &Path, stop: &Stop) -> anyhow::Result<Costs> {
    let tool = Tool::at(tool::Kind::Worldkeeper, ours)?;
    let sizes = options.states.iter().map(|state| size(state)).collect::<anyhow::Result<Vec<_>>>()?;
    let demo = options.demo.map_or(0, |regions| Kind::World.room(Size { mebibytes: regions * 8, files: 0 }));
    // Two repositories, and what they grow by.
    let largest = sizes.into_iter().max().unwrap_or_default().max(demo);
    let room = Room::make(options.common.dir.as_deref(), demo + largest * 3 + (64 << 20))?;
    let mut source = Source::new(options, &room)?;
    let places = CUTS.map(|(_, setting)| Place::here(&room.path().join(setting)));
    for place in &places {
        std::fs::create_dir(&place.root)?;
    }
    let mut states = Vec::new();
    while let Some((label, directory)) = source.next(states.len(), stop)? {
        let mut stored = [Stored::default(); 2];
        for ((stored, place), (_, setting)) in stored.iter_mut().zip(&places).zip(CUTS) {
            *stored = store(&tool, place, setting, &directory, stop)?;
        }
        progress(&format!("{label}: stored"));
        states.push(State { label, size: size(&directory)? as f64 / 1e6, stored });
    }
    Ok(Costs { directory: source.directory().to_owned(), states })
}

/// Makes an archive of a directory, whose name is not stored: states may lie in different ones.
fn store(tool: &Tool, place: &Place, setting: &str, directory: &Path, stop: &Stop) -> anyhow::Result<Stored> {
    let segments = Path::new(&place.repository).join("data");
    let before = Total::of(&segments).unwrap_or_default();
    let mut command = tool.command(place, Work::Create(".".as_ref(), 0)).context("it can make archives")?;
    command.current_dir(directory).env("WORLD_CUTS", setting);
    let usage = measure::run(command, stop)?;
    let after = Total::of(&segments).context("the repository cannot be read")?;
    Ok(Stored { megabytes: (after.bytes as f64 - before.bytes as f64) / 1e6, wall: usage.wall, cpu: usage.cpu })
}

fn size(directory: &Path) -> anyhow::Result<u64> {
    Ok(Total::of(directory).with_context(|| format!("{} cannot be read", directory.display()))?.bytes)
}

/// Where states come from.
enum Source<'a> {
    /// Somebody has kept them.
    Kept(&'a [PathBuf]),
    /// A command makes one of the last.
    Then { directory: &'a Path, command: &'a str, times: usize },
    /// Time does.
    Wait { directory: &'a Path, seconds: u64, times: usize },
    /// We play ourselves.
    Demo { world: corpus::World, times: usize },
}

impl<'a> Source<'a> {
    fn new(options: &'a args::World, room: &Room) -> anyhow::Result<Self> {
        let times = options.times as usize;
        if let Some(regions) = options.demo {
            let world = corpus::World::generate(&room.path().join("world"), regions).context("no world can be made")?;
            return Ok(Self::Demo { world, times });
        }
        let directory = options.states.first().context("a directory is missing")?;
        let is_one = options.states.len() == 1;
        Ok(match (&options.then, options.wait) {
            (Some(command), _) if is_one => Self::Then { directory, command, times },
            (_, Some(seconds)) if is_one => Self::Wait { directory, seconds, times },
            (None, None) => Self::Kept(&options.states),
            _ => anyhow::bail!("--then and --wait make states of one directory, {} are named", options.states.len()),
        })
    }

    fn directory(&self) -> &Path {
        match self {
            Self::Kept(directories) => directories.first().map_or(Path::new(""), |path| path),
            Self::Then { directory, .. } | Self::Wait { directory, .. } => directory,
            Self::Demo { world, .. } => world.root(),
        }
    }

    /// Brings about the next state, if there is another one.
    fn next(&mut self, number: usize, stop: &Stop) -> anyhow::Result<Option<(String, PathBuf)>> {
        go_on(stop)?;
        let is_first = number == 0;
        match self {
            Self::Kept(states) => return Ok(states.get(number).map(|path| (path.display().to_string(), path.clone()))),
            Self::Then { times, .. } | Self::Wait { times, .. } | Self::Demo { times, .. } if number > *times => {
                return Ok(None);
            }
            _ if is_first => {}
            Self::Then { directory, command, .. } => {
                // It is the user's own, in the user's own environment.
                let status = Command::new("sh").args(["-c", command]).current_dir(directory).status();
                let status = status.context("cannot start sh")?;
                ensure!(status.success(), "`{command}` ended with {status}");
            }
            Self::Wait { seconds, .. } => {
                for _ in 0..*seconds * 10 {
                    go_on(stop)?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
            Self::Demo { world, .. } => world.play().context("nobody can play in the world")?,
        }
        let label = if is_first { "the whole of it".to_owned() } else { format!("{number} later") };
        Ok(Some((label, self.directory().to_owned())))
    }
}

impl Costs {
    /// What a change costs on the average, in MB, in each way; `None` where nothing has changed.
    fn mean(&self) -> Option<[f64; 2]> {
        let changes = self.states.get(1..).filter(|changes| !changes.is_empty())?;
        let sum = |way: usize| changes.iter().map(|state| state.stored[way].megabytes).sum::<f64>();
        Some([sum(0), sum(1)].map(|sum| sum / changes.len() as f64))
    }
}

impl Report for Costs {
    fn text(&self) -> String {
        let headings = ["MB stored", "there is", "stock's cuts", "ours", "× less", "s, stock's cuts", "s, ours"];
        let mut table = Table::new(headings);
        for State { label, size, stored: [stock, ours] } in &self.states {
            table.row([
                label.clone(),
                format!("{size:.1}"),
                format!("{:.2}", stock.megabytes),
                format!("{:.2}", ours.megabytes),
                format!("{:.2}", stock.megabytes / ours.megabytes),
                format!("{:.2}", stock.wall),
                format!("{:.2}", ours.wall),
            ]);
        }
        let mean = self.mean().map(|[stock, ours]| {
            let ratio = stock / ours;
            format!("\na change costs {stock:.2} MB with stock's cuts, {ours:.2} MB with ours: {ratio:.2} times less\n")
        });
        format!("{}\n\n{table}{}", self.directory.display(), mean.unwrap_or_default())
    }

    fn plot(&self) -> Plot {
        // What comes first would hide all others.
        let shown = if self.states.len() > 1 { &self.states[1..] } else { &self.states[..] };
        let bars = shown.iter().flat_map(|state| {
            let bar = |((label, _), stored): ((&str, _), &Stored)| Bar {
                group: state.label.clone(),
                label: label.to_owned(),
                value: stored.megabytes,
            };
            CUTS.into_iter().zip(&state.stored).map(bar).collect::<Vec<_>>()
        });
        Plot::Bars { title: "MB stored for each change".to_owned(), bars: bars.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_costs_the_mean_of_all_but_the_first() {
        let state = |stock, ours| State {
            label: "x".to_owned(),
            size: 100.0,
            stored: [stock, ours].map(|megabytes| Stored { megabytes, ..Stored::default() }),
        };
        let mut costs = Costs { directory: "world".into(), states: vec![state(50.0, 60.0)] };
        assert_eq!(costs.mean(), None);
        costs.states.extend([state(10.0, 2.0), state(20.0, 4.0)]);
        assert_eq!(costs.mean(), Some([15.0, 3.0]));
        assert!(costs.text().contains("15.00 MB with stock's cuts, 3.00 MB with ours: 5.00 times less"));
        let Plot::Bars { bars, .. } = costs.plot() else { panic!("these are bars") };
        assert_eq!(bars.iter().map(|bar| bar.value).collect::<Vec<_>>(), [10.0, 2.0, 20.0, 4.0]);
    }
}
