//! The end of the pipeline: puts items and chunks where they belong, in order.

use std::collections::BTreeMap;

use bytes::Bytes;
use crossbeam_channel::Receiver;
use worldkeeper_archive::Item;

use super::sink::{Content, Sink, SinkError};
use super::taken::Replaced;
use super::{ExtractError, ExtractStats};
use crate::attributes::Escaped;
use crate::monitor::{Monitor, Notice, Progress};
use crate::objects::ObjectError;
use crate::paths::as_path;
use crate::pipeline::{Budget, InOrder, chunk_bytes, item_bytes, step_bytes};
use crate::restore::{Attribute, Unset};
use crate::session::{Session, SessionError};

/// One thing for the writer to do.
pub(super) enum Step {
    /// The next item; so many chunks with so many bytes follow if it has content.
    Item { item: Box<Item>, chunks: Option<usize>, size: u64 },
    /// The next chunk of the last item.
    Chunk { content: Result<Bytes, ObjectError>, size: u32 },
    /// The next item takes the place of an earlier one.
    Replaced(Replaced),
    /// A part of the list of items is lost here.
    Gap(SessionError),
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
            Self::Chunk { size, .. } => chunk_bytes(*size as usize),
            Self::Replaced(_) | Self::Gap(_) | Self::Broken(_) | Self::End => 0,
        })
    }
}

/// Does what the steps say.
pub(super) struct Writer<'a, S> {
    session: &'a Session,
    budget: &'a Budget,
    monitor: &'a dyn Monitor,
    sink: S,
    /// Attributes that could not be set, since somebody looked.
    unset: Receiver<Unset>,
    open: Option<OpenItem>,
    stats: ExtractStats,
}

/// An item whose chunks come next.
struct OpenItem {
    path: Vec<u8>,
    /// Without it the chunks are passed over: nobody needs them, or something went wrong.
    is_wanted: bool,
    /// A repair has put zeros in the place of some of its content.
    is_zeroed: bool,
    chunks_left: usize,
}

impl<'a, S: Sink> Writer<'a, S> {
    pub(super) fn new(
        session: &'a Session,
        budget: &'a Budget,
        monitor: &'a dyn Monitor,
        sink: S,
        unset: Receiver<Unset>,
    ) -> Self {
        Self { session, budget, monitor, sink, unset, open: None, stats: ExtractStats::default() }
    }

    /// Takes the steps until the last. When it returns, nobody listens to further steps.
    pub(super) fn run(mut self, steps: Receiver<Vec<Numbered>>) -> Result<ExtractStats, ExtractError> {
        let ended = self.steps(steps);
        let Self { sink, unset, mut stats, monitor, .. } = self;
        sink.finish();
        report_unset(&unset, &mut stats, monitor);
        ended.map(|()| stats)
    }

    fn steps(&mut self, steps: Receiver<Vec<Numbered>>) -> Result<(), ExtractError> {
        let mut in_order = InOrder::new();
        for steps in steps {
            for (number, step) in steps {
                in_order.insert(number, step);
            }
            while let Some(step) = in_order.pop() {
                self.session.check_stop()?;
                let weight = step.weight();
                match step {
                    Step::Item { item, chunks, size } => self.item(*item, chunks, size)?,
                    Step::Chunk { content, .. } => self.chunk(content)?,
                    Step::Replaced(replaced) => self.replaced(&replaced),
                    Step::Gap(error) => self.gap(error)?,
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

    fn item(&mut self, item: Item, chunks: Option<usize>, size: u64) -> Result<(), ExtractError> {
        let begun = self.sink.begin(&item, size);
        self.report_unset();
        let content = self.judge(&item.path, begun)?;
        if content == Some(Content::None) {
            self.stats.others += 1;
            self.monitor.done(as_path(&item.path));
        }
        let is_wanted = content == Some(Content::Wanted);
        // What needs no content has no chunks, unless an attacker says so: they are passed over.
        let is_zeroed = item.chunks_healthy.is_some();
        self.open = Some(OpenItem { path: item.path, is_wanted, is_zeroed, chunks_left: chunks.unwrap_or(0) });
        self.close_if_done()
    }

    /// What has lost its place is not restored, even if it was there for a moment.
    fn replaced(&mut self, Replaced { path, by }: &Replaced) {
        if self.sink.has_places() {
            let problem = format!("{} has come to the same place, and replaced it", Escaped(by));
            self.monitor.notice(Notice::NotRestored { path: as_path(path), problem: &problem });
            self.stats.failed += 1;
        }
    }

    /// What a lost part of the list held is not restored, whatever that was.
    fn gap(&mut self, error: SessionError) -> Result<(), ExtractError> {
        self.monitor.notice(Notice::ItemsLost { problem: &worldkeeper_core::error_text(&error) });
        self.stats.failed += 1;
        self.stats.damaged += 1;
        self.sink.gap(error)
    }

    fn chunk(&mut self, content: Result<Bytes, ObjectError>) -> Result<(), ExtractError> {
        let open = self.open.as_mut().expect("chunks follow their item");
        open.chunks_left -= 1;
        if open.is_wanted {
            let len = content.as_ref().map_or(0, Bytes::len);
            self.stats.damaged += u64::from(content.as_ref().is_err_and(ObjectError::is_damage));
            let written = content.map_err(SinkError::item).and_then(|content| self.sink.write(&content));
            if let Err(error) = written {
                open.is_wanted = false;
                let path = std::mem::take(&mut open.path);
                self.judge::<()>(&path, Err(error))?;
                self.sink.abandon()?;
            } else {
                self.stats.size += len as u64;
            }
        }
        self.close_if_done()
    }

    fn close_if_done(&mut self) -> Result<(), ExtractError> {
        let Some(item) = self.open.take_if(|item| item.chunks_left == 0) else { return Ok(()) };
        if item.is_wanted {
            let ended = self.sink.end();
            self.report_unset();
            self.stats.damaged += u64::from(item.is_zeroed);
            if self.judge(&item.path, ended)?.is_some() {
                self.stats.files += 1;
                if item.is_zeroed {
                    report(&Unset::content(item.path.clone()), &mut self.stats, self.monitor);
                }
                self.monitor.done(as_path(&item.path));
            }
        }
        Ok(())
    }

    /// One item that cannot be restored is a notice, a target that takes nothing more is the end.
    fn judge<T>(&mut self, path: &[u8], done: Result<T, SinkError>) -> Result<Option<T>, ExtractError> {
        let (count, error) = match done {
            Ok(done) => return Ok(Some(done)),
            Err(SinkError::LeftOut(error)) => (&mut self.stats.left_out, error),
            Err(SinkError::Item(error)) => (&mut self.stats.failed, error),
            Err(SinkError::End(error)) => return Err(error),
        };
        *count += 1;
        let problem = worldkeeper_core::error_text(&*error);
        self.monitor.notice(Notice::NotRestored { path: as_path(path), problem: &problem });
        Ok(None)
    }

    fn report_unset(&mut self) {
        report_unset(&self.unset, &mut self.stats, self.monitor);
    }
}

fn report_unset(unset: &Receiver<Unset>, stats: &mut ExtractStats, monitor: &dyn Monitor) {
    unset.try_iter().for_each(|unset| report(&unset, stats, monitor));
}

fn report(unset: &Unset, stats: &mut ExtractStats, monitor: &dyn Monitor) {
    let counts: &mut BTreeMap<_, u64> = &mut stats.unset;
    *counts.entry(unset.attribute.kind()).or_default() += 1;
    let problem = worldkeeper_core::error_text(unset);
    let (path, problem) = (as_path(&unset.path), problem.as_str());
    monitor.notice(match unset.attribute {
        Attribute::LostContent => Notice::NotRestored { path, problem },
        _ => Notice::NotSet { path, problem },
    });
}
