//! The way into the pipeline, for whoever makes its steps: numbers them, takes their weight, cuts content into chunks.

use std::sync::Arc;

use crossbeam_channel::Sender;
use worldkeeper_archive::Item;
use worldkeeper_chunker::Chunker;

use super::CreateOptions;
use super::pending::Pending;
use super::sealer::{Job, Plain};
use super::shared::Shared;
use super::step::{Step, Steps};
use crate::pipeline::{Closed, chunk_bytes, step_bytes};
use crate::session::SessionError;

/// Takes the steps of an archive, in order. It borrows nothing: whoever has it may outlive the run.
pub(crate) struct Feed {
    pub(super) shared: Arc<Shared>,
    steps: Sender<Steps>,
    next_number: u64,
    waiting: Waiting,
    pub(super) chunker: Chunker,
    pub(super) pending: Pending,
    /// How many chunks were handed out of the file whose content comes.
    chunks: usize,
}

/// What waits for company: to hand each small thing over would cost more than to do it.
#[derive(Default)]
struct Waiting {
    /// Chunks.
    jobs: Vec<Job>,
    /// Steps between and before them.
    steps: Steps,
    /// Steps behind them, that have no place yet.
    last: Vec<Step>,
    /// Of all of it.
    weight: usize,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, options: &CreateOptions, steps: Sender<Steps>) -> Self {
        let chunker = Chunker::new(&options.chunker_params, shared.key.chunk_seed());
        let pending = Pending::new(chunker.max_chunk_size(), Arc::clone(&shared.buffers));
        Self { shared, steps, next_number: 0, waiting: Waiting::default(), chunker, pending, chunks: 0 }
    }

    /// Begins a file: what comes is its content.
    pub(crate) fn begin_file(&mut self) {
        self.chunks = 0;
    }

    /// Returns whether the content that came is more than an item can list.
    pub(crate) fn has_too_many_chunks(&self) -> bool {
        self.chunks > Item::MAX_CHUNKS
    }

    /// Cuts content that comes as one stream; `fill` adds to what is pending, and returns how much: 0 at the end.
    pub(crate) fn stream<E: From<Closed>>(
        &mut self,
        mut fill: impl FnMut(&mut Pending) -> Result<u64, E>,
    ) -> Result<(), E> {
        loop {
            let at_end = fill(&mut self.pending)? == 0;
            if self.has_too_many_chunks() {
                // The rest has to come out of the stream, and goes nowhere.
                self.pending.clear();
                self.chunker.restart();
            }
            while let Some(len) = self.chunker.next_cut(self.pending.bytes(), at_end) {
                self.send_chunk(len)?;
            }
            if at_end {
                return Ok(());
            }
            self.go_on()?;
        }
    }

    /// Hands out the next `len` bytes of what is pending.
    pub(super) fn send_chunk(&mut self, len: usize) -> Result<(), Closed> {
        if len < SMALL {
            let plain = Plain::Bytes(self.pending.take(len));
            return self.add_job(plain);
        }
        // What is large takes its room first, and its memory only then.
        self.begin_large(len)?;
        let plain = Plain::Bytes(self.pending.take(len));
        self.send_large(plain)
    }

    /// Hands out as many zeros.
    pub(super) fn send_zeros(&mut self, len: usize) -> Result<(), Closed> {
        self.begin_large(len)?;
        self.send_large(Plain::Zeros(len))
    }

    fn begin_large(&mut self, len: usize) -> Result<(), Closed> {
        self.flush()?;
        self.shared.take_room(step_bytes(chunk_bytes(len)))
    }

    fn send_large(&mut self, plain: Plain) -> Result<(), Closed> {
        self.chunks += 1;
        let number = self.take_number();
        self.shared.jobs.push([Job { number, plain }])
    }

    /// Hands over a small chunk, now or with what comes next.
    fn add_job(&mut self, plain: Plain) -> Result<(), Closed> {
        self.chunks += 1;
        self.place_last();
        self.waiting.weight += step_bytes(chunk_bytes(plain.len()));
        let number = self.take_number();
        self.waiting.jobs.push(Job { number, plain });
        self.flush_if_enough()
    }

    /// Ends the work if that was asked for.
    pub(crate) fn go_on(&mut self) -> Result<(), Closed> {
        if self.shared.is_stopped() { self.send_error(SessionError::Stopped).and(Err(Closed)) } else { Ok(()) }
    }

    /// Hands over a step, now or with the next ones.
    pub(crate) fn send(&mut self, step: Step) -> Result<(), Closed> {
        let is_last = matches!(step, Step::End | Step::RootFailed(_));
        self.waiting.weight += step.weight();
        self.waiting.last.push(step);
        if is_last { self.flush() } else { self.flush_if_enough() }
    }

    fn flush_if_enough(&mut self) -> Result<(), Closed> {
        let Waiting { jobs, last, weight, .. } = &self.waiting;
        if jobs.len() + last.len() >= TOGETHER || *weight >= TOGETHER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Gives the steps that have none a place, one for all.
    fn place_last(&mut self) {
        if !self.waiting.last.is_empty() {
            let several = Step::Several(std::mem::take(&mut self.waiting.last));
            self.waiting.weight += step_bytes(0);
            let number = self.take_number();
            self.waiting.steps.push((number, Ok(several)));
        }
    }

    /// Hands over what waits.
    fn flush(&mut self) -> Result<(), Closed> {
        self.place_last();
        let Waiting { jobs, steps, weight, .. } = std::mem::take(&mut self.waiting);
        match (jobs.is_empty(), weight) {
            (_, 0) => {}
            (true, _) => self.shared.take_room(weight)?,
            (false, _) => self.shared.take_room_of_small(weight)?,
        }
        if !jobs.is_empty() {
            self.shared.jobs.push(jobs)?;
        }
        if steps.is_empty() { Ok(()) } else { self.steps.send(steps).map_err(|_| Closed) }
    }

    /// Ends the pipeline without an archive.
    pub(crate) fn send_error(&mut self, error: SessionError) -> Result<(), Closed> {
        self.flush()?;
        let number = self.take_number();
        self.steps.send(vec![(number, Err(error))]).map_err(|_| Closed)
    }

    /// The place of the next step.
    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.jobs.complete();
    }
}

/// Chunks of fewer bytes wait for one another.
const SMALL: usize = 32 * 1024;
/// How many steps and chunks do at most: most files of a world do not change, and are steps of microseconds.
const TOGETHER: usize = 400;
/// How much they may weigh together, in bytes.
const TOGETHER_BYTES: usize = 256 * 1024;
