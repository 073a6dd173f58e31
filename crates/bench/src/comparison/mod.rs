//! We and the others beside each other: the same trees, run by run in turn.
//!
//! Whoever goes first warms the machine for the next, so they take turns at that, too. The figures are medians, and a
//! ratio is the median of what pairs of runs say, so that a hiccup of the machine counts for nobody.

mod results;

use std::path::Path;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use worldkeeper_core::Stop;

use crate::Programs;
use crate::args::{Compare, Peers};
use crate::corpus::{self, Corpus, Total};
use crate::measure::{self, Usage, go_on};
use crate::primitives;
use crate::remote::FarEnd;
use crate::report::{Machine, progress};
use crate::room::Room;
use crate::tool::{self, Place, Tool, Work};

use results::{Row, Runs};

pub(crate) use results::{Comparison, Operation};

/// How many archives are pruned at a time.
const PRUNED: usize = 3;

/// A repository and the folder it lies in, both removed at the end.
struct Repository {
    place: Place,
    _folder: TempDir,
    /// How many archives there are.
    archives: u32,
}

impl Drop for Repository {
    fn drop(&mut self) {
        if let Some(far) = &self.place.far
            && let Err(error) = far.remove()
        {
            eprintln!("{error:#}");
        }
    }
}

/// Ours, and those of the others that are there.
pub(crate) fn tools(ours: &Path, peers: &Peers) -> anyhow::Result<Vec<Tool>> {
    let mut tools = vec![Tool::at(tool::Kind::Worldkeeper, ours)?];
    for kind in &peers.against {
        let named = match kind {
            tool::Kind::Worldkeeper => None,
            tool::Kind::Borg => peers.borg.as_deref(),
            tool::Kind::Restic => peers.restic.as_deref(),
            tool::Kind::Rustic => peers.rustic.as_deref(),
        };
        tools.extend(Tool::find(*kind, named)?);
    }
    Ok(tools)
}

/// Measures some operations.
pub(crate) fn compare(
    options: &Compare,
    operations: &[Operation],
    far: Option<&FarEnd>,
    programs: &Programs,
    machine: &Machine,
    stop: &Stop,
) -> anyhow::Result<Comparison> {
    let mut tools = tools(&programs.ours, &options.peers)?;
    tools.retain(|tool| far.is_none() || tool.kind != tool::Kind::Rustic);
    let room = Room::make(options.common.dir.as_deref(), needed(options, tools.len() as u64))?;
    let mut rows = Vec::new();
    for kind in &options.corpora {
        go_on(stop)?;
        // The tree of one corpus goes before the next one comes.
        let folder = room.place()?;
        let corpus = Corpus::make(*kind, folder.path(), options.size())?;
        let bench = Bench { tools: &tools, corpus: &corpus, room: &room, far, runs: options.runs(), stop };
        // What our parts need is known for an archive that is made here, of what does not compress.
        let is_reckoned = *kind == corpus::Kind::Noise && far.is_none();
        let ideal = || primitives::ideal_apart(&programs.bench, &room, options.quick, stop);
        let mut kept = None;
        for operation in operations {
            let mut efficiency = Vec::new();
            let runs = if *operation == Operation::Create {
                bench.create(|ours| {
                    if is_reckoned {
                        efficiency.push(ideal()?.seconds(corpus.total().bytes, machine.cores) / ours.wall);
                    }
                    Ok(())
                })?
            } else {
                let kept = match &mut kept {
                    Some(kept) => kept,
                    none => none.insert(bench.repositories()?),
                };
                bench.again(*operation, kept)?
            };
            rows.push(Row::of(&corpus, *operation, &runs, efficiency));
        }
    }
    Ok(Comparison { runs: options.runs(), rows })
}

/// What must be there at once: a tree, and of each tool a repository and what it extracts.
fn needed(options: &Compare, tools: u64) -> u64 {
    let largest = options.corpora.iter().map(|kind| kind.room(options.size())).max().unwrap_or_default();
    largest * (2 + tools) + (256 << 20)
}

/// What stays the same while one corpus is measured.
struct Bench<'a> {
    tools: &'a [Tool],
    corpus: &'a Corpus,
    room: &'a Room,
    far: Option<&'a FarEnd>,
    runs: u32,
    stop: &'a Stop,
}

impl<'a> Bench<'a> {
    /// Measures the first archive, each time into a new repository of somebody who knows nothing. After each of ours something
    /// else is done, so that it meets the same machine.
    fn create(&self, mut after_ours: impl FnMut(&Usage) -> anyhow::Result<()>) -> anyhow::Result<Vec<Runs<'a>>> {
        self.in_turn(|_, tool| {
            let mut repository = self.repository(tool)?;
            let usage = self.archive(tool, &mut repository)?;
            if tool.kind == tool::Kind::Worldkeeper {
                after_ours(&usage)?;
            }
            Ok((usage, stored(&repository.place)?))
        })
    }

    /// Measures what needs an archive, each time in the same repository.
    fn again(&self, operation: Operation, kept: &mut [Repository]) -> anyhow::Result<Vec<Runs<'a>>> {
        self.in_turn(|index, tool| {
            let repository = &mut kept[index];
            let usage = match operation {
                Operation::Create | Operation::Rerun => self.archive(tool, repository)?,
                Operation::Check => self.run(tool, &repository.place, Work::Check)?,
                Operation::Extract => {
                    let target = self.room.place()?;
                    let usage = self.run(tool, &repository.place, Work::Extract(target.path(), repository.archives))?;
                    let stored_path =
                        self.corpus.root().strip_prefix("/").context("the corpus has no absolute path")?;
                    self.corpus.expect_in(&target.path().join(stored_path))?;
                    usage
                }
                Operation::List => {
                    let (usage, lines) = self.hear(tool, &repository.place, Work::List(repository.archives))?;
                    let files = self.corpus.total().files;
                    ensure!(lines >= files, "{} lists {lines} lines of {files} files", tool.kind.name());
                    usage
                }
                Operation::Prune => {
                    for _ in 0..PRUNED {
                        self.archive(tool, repository)?;
                    }
                    let usage = self.run(tool, &repository.place, Work::Prune)?;
                    if tool.kind == tool::Kind::Borg {
                        usage.and(self.run(tool, &repository.place, Work::Compact)?)
                    } else {
                        usage
                    }
                }
            };
            Ok((usage, stored(&repository.place)?))
        })
    }

    /// Lets everybody do something, in turn, and the first one is another each time.
    fn in_turn(
        &self,
        mut work: impl FnMut(usize, &Tool) -> anyhow::Result<(Usage, Option<f64>)>,
    ) -> anyhow::Result<Vec<Runs<'a>>> {
        let runs = |tool| Runs { tool, usages: Vec::new(), stored: Vec::new() };
        let mut all: Vec<Runs<'a>> = self.tools.iter().map(runs).collect();
        for run in 0..self.runs as usize {
            for turn in 0..all.len() {
                let index = (run + turn) % all.len();
                let (usage, stored) = work(index, all[index].tool)?;
                all[index].usages.push(usage);
                all[index].stored.extend(stored);
            }
        }
        Ok(all)
    }

    /// A repository of each tool, with one archive.
    fn repositories(&self) -> anyhow::Result<Vec<Repository>> {
        let repositories = self.tools.iter().map(|tool| {
            let mut repository = self.repository(tool)?;
            self.archive(tool, &mut repository)?;
            Ok(repository)
        });
        repositories.collect()
    }

    /// A new repository.
    fn repository(&self, tool: &Tool) -> anyhow::Result<Repository> {
        let folder = self.room.place()?;
        let mut place = Place::here(folder.path());
        if let Some(far) = self.far {
            let far =
                far.below(&folder.path().file_name().unwrap_or_default().to_string_lossy().replace('.', "bench-"));
            place.repository = if tool.kind == tool::Kind::Restic { far.sftp_url() } else { far.ssh_url() };
            place.far = Some(far);
        }
        let repository = Repository { place, _folder: folder, archives: 0 };
        tool.init(&repository.place)?;
        Ok(repository)
    }

    fn archive(&self, tool: &Tool, repository: &mut Repository) -> anyhow::Result<Usage> {
        repository.archives += 1;
        self.run(tool, &repository.place, Work::Create(self.corpus.root(), repository.archives))
    }

    fn run(&self, tool: &Tool, place: &Place, work: Work<'_>) -> anyhow::Result<Usage> {
        Ok(self.hear(tool, place, work)?.0)
    }

    /// Runs it, and tells how many lines it said.
    fn hear(&self, tool: &Tool, place: &Place, work: Work<'_>) -> anyhow::Result<(Usage, u64)> {
        let command = tool.command(place, work).with_context(|| format!("{} cannot do this", tool.kind.name()))?;
        let (usage, lines) = measure::run_and_hear(command, self.stop)?;
        progress(&format!("{}: {work}, {}, {:.2} s", self.corpus, tool.version, usage.wall));
        Ok((usage, lines))
    }
}

/// What a repository takes, in MB; of one on another machine nobody knows.
fn stored(place: &Place) -> anyhow::Result<Option<f64>> {
    if place.far.is_some() {
        return Ok(None);
    }
    let path = Path::new(&place.repository);
    let total = Total::of(path).with_context(|| format!("{} cannot be read", path.display()))?;
    ensure!(total.bytes > 0, "nothing was stored in {}", path.display());
    Ok(Some(total.bytes as f64 / 1e6))
}
