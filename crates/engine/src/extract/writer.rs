//! The end of the pipeline: puts items and chunks where they belong, in order.

use std::path::Path;

use crossbeam_channel::Receiver;
use worldkeeper_archive::Item;

use super::{ExtractError, ExtractOptions, ExtractStats};
use crate::monitor::{Monitor, Notice, Progress};
use crate::objects::ObjectError;
use crate::paths::as_path;
use crate::pipeline::{Budget, InOrder, item_bytes, step_bytes};
use crate::restore::{FileWriter, Options, RestoreError, Target, Unset};
use crate::session::Session;

/// One thing for the writer to do.
pub(super) enum Step {
    /// The next item; so many chunks follow if it has content.
    Item { item: Box<Item>, chunks: Option<usize> },
    /// The next chunk of the last item.
    Chunk { content: Result<Vec<u8>, ObjectError>, size: u32 },
    /// The list of items ends here, before its end.
    Broken(ExtractError),
    /// That was all.
    End,
}

/// A step and its place.
pub(super) type Numbered = (u64, Step);

impl Step {
    /// What the step takes of the budget, from where it is made to where it is done.
    pub(super) fn weight(&self) -> usize {
        step_bytes(match self {
            Self::Item { item, .. } => item_bytes(item),
            Self::Chunk { size, .. } => *size as usize,
            Self::Broken(_) | Self::End => 0,
        })
    }
}

/// Restores what the steps say.
pub(super) struct Writer<'a> {
    session: &'a Session,
    budget: &'a Budget,
    monitor: &'a dyn Monitor,
    target: Target,
    /// Attributes that could not be set, since somebody looked.
    unset: Receiver<Unset>,
    file: Option<OpenFile>,
    stats: ExtractStats,
}

/// A file whose chunks come next.
struct OpenFile {
    path: Vec<u8>,
    /// `None` once something went wrong: the rest of the chunks is passed over.
    writer: Option<FileWriter>,
    chunks_left: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn open(
        session: &'a Session,
        target: &Path,
        options: &ExtractOptions,
        budget: &'a Budget,
        monitor: &'a dyn Monitor,
    ) -> Result<Self, ExtractError> {
        let (unset_in, unset) = crossbeam_channel::unbounded();
        let report = move |attribute| _ = unset_in.send(attribute);
        let target = Target::open(target, Options { numeric_ids: options.numeric_ids }, report)?;
        Ok(Self { session, budget, monitor, target, unset, file: None, stats: ExtractStats::default() })
    }

    /// Takes the steps until the last. When it returns, nobody listens to further steps.
    pub(super) fn run(mut self, steps: Receiver<Numbered>) -> Result<ExtractStats, ExtractError> {
        let ended = self.steps(steps);
        // Directories wait for their attributes until their content is there. What is there by now gets them even if
        // no more comes.
        let Self { target, unset, mut stats, monitor, file, .. } = self;
        drop(file);
        target.finish();
        report_unset(&unset, &mut stats, monitor);
        ended.map(|()| stats)
    }

    fn steps(&mut self, steps: Receiver<Numbered>) -> Result<(), ExtractError> {
        let mut in_order = InOrder::new();
        for (number, step) in steps {
            in_order.insert(number, step);
            while let Some(step) = in_order.pop() {
                self.session.check_stop()?;
                let weight = step.weight();
                match step {
                    Step::Item { item, chunks } => self.item(*item, chunks)?,
                    Step::Chunk { content, .. } => self.chunk(content)?,
                    Step::Broken(error) => return Err(error),
                    Step::End => return Ok(()),
                }
                self.budget.give_back(weight);
                let files = self.stats.files + self.stats.others;
                self.monitor.progress(Progress { files, bytes: self.stats.size, stored_bytes: 0 });
            }
        }
        unreachable!("the planner ends with a step that says so, and a thread that panics ends the scope");
    }

    fn item(&mut self, item: Item, chunks: Option<usize>) -> Result<(), ExtractError> {
        let placed = self.target.place(&item);
        self.report_unset();
        match placed {
            Ok(None) => {
                self.stats.others += 1;
                // What needs no content has no chunks, unless an attacker says so: they are passed over.
                self.file = chunks.map(|chunks_left| OpenFile { path: item.path, writer: None, chunks_left });
                Ok(())
            }
            Ok(Some(writer)) => {
                let chunks_left = chunks.unwrap_or(0);
                self.file = Some(OpenFile { path: item.path, writer: Some(writer), chunks_left });
                self.close_if_done()
            }
            Err(error) => {
                self.failed(&item.path, error)?;
                self.file = chunks.map(|chunks_left| OpenFile { path: item.path, writer: None, chunks_left });
                Ok(())
            }
        }
    }

    fn chunk(&mut self, content: Result<Vec<u8>, ObjectError>) -> Result<(), ExtractError> {
        let file = self.file.as_mut().expect("chunks follow their item");
        file.chunks_left -= 1;
        let Some(writer) = &mut file.writer else { return Ok(()) };
        let problem = match content {
            Ok(content) => match writer.write(&content) {
                Ok(()) => {
                    self.stats.size += content.len() as u64;
                    return self.close_if_done();
                }
                Err(error) => Err(error),
            },
            Err(error) => Ok(error),
        };
        // Dropping the writer leaves what was there before: half a file must not pass for a whole one.
        file.writer = None;
        let path = std::mem::take(&mut file.path);
        match problem {
            Ok(error) => {
                self.not_restored(&path, &error);
                Ok(())
            }
            Err(error) => self.failed(&path, error),
        }
    }

    fn close_if_done(&mut self) -> Result<(), ExtractError> {
        let Some(file) = self.file.take_if(|file| file.chunks_left == 0) else { return Ok(()) };
        let Some(writer) = file.writer else { return Ok(()) };
        let finished = writer.finish(&mut self.target);
        self.report_unset();
        match finished {
            Ok(()) => {
                self.stats.files += 1;
                Ok(())
            }
            Err(error) => self.failed(&file.path, error),
        }
    }

    /// One item that cannot be restored is a notice, a target that takes nothing more is the end.
    fn failed(&mut self, path: &[u8], error: RestoreError) -> Result<(), ExtractError> {
        if error.concerns_target() {
            return Err(error.into());
        }
        self.not_restored(path, &error);
        Ok(())
    }

    fn not_restored(&mut self, path: &[u8], error: &dyn std::error::Error) {
        self.stats.failed += 1;
        let problem = worldkeeper_core::error_text(error);
        self.monitor.notice(Notice::NotRestored { path: as_path(path), problem: &problem });
    }

    fn report_unset(&mut self) {
        report_unset(&self.unset, &mut self.stats, self.monitor);
    }
}

fn report_unset(unset: &Receiver<Unset>, stats: &mut ExtractStats, monitor: &dyn Monitor) {
    for unset in unset.try_iter() {
        stats.unset += 1;
        let problem = worldkeeper_core::error_text(&unset);
        monitor.notice(Notice::NotSet { path: as_path(&unset.path), problem: &problem });
    }
}
