//! The way into the pipeline, for whoever makes its steps: numbers them, takes their weight, cuts content into chunks.

use std::sync::Arc;

use crossbeam_channel::Sender;
use worldkeeper_chunker::Chunker;

use super::CreateOptions;
use super::pending::Pending;
use super::sealer::{Job, Plain};
use super::shared::Shared;
use super::step::{Numbered, Step};
use crate::pipeline::{Closed, step_bytes};
use crate::session::SessionError;

/// Takes the steps of an archive, in order. It borrows nothing: whoever has it may outlive the run.
pub(crate) struct Feed {
    pub(super) shared: Arc<Shared>,
    steps: Sender<Numbered>,
    next_number: u64,
    /// Steps that wait for company, and their weight.
    waiting: Vec<Step>,
    waiting_weight: usize,
    pub(super) chunker: Chunker,
    pub(super) pending: Pending,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>, options: &CreateOptions, steps: Sender<Numbered>) -> Self {
        let chunker = Chunker::new(&options.chunker_params, shared.key.chunk_seed());
        let pending = Pending::new(chunker.max_chunk_size(), Arc::clone(&shared.buffers));
        let (next_number, waiting, waiting_weight) = (0, Vec::new(), 0);
        Self { shared, steps, next_number, waiting, waiting_weight, chunker, pending }
    }

    /// Cuts content that comes as one stream; `fill` adds to what is pending, and returns how much: 0 at the end.
    pub(crate) fn stream<E: From<Closed>>(
        &mut self,
        mut fill: impl FnMut(&mut Pending) -> Result<u64, E>,
    ) -> Result<(), E> {
        loop {
            let at_end = fill(&mut self.pending)? == 0;
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
        self.begin_job(len)?;
        let plain = Plain::Bytes(self.pending.take(len));
        self.send_job(plain)
    }

    /// Hands out as many zeros.
    pub(super) fn send_zeros(&mut self, len: usize) -> Result<(), Closed> {
        self.begin_job(len)?;
        self.send_job(Plain::Zeros(len))
    }

    fn begin_job(&mut self, len: usize) -> Result<(), Closed> {
        self.flush()?;
        self.shared.take_room(step_bytes(len))
    }

    fn send_job(&mut self, plain: Plain) -> Result<(), Closed> {
        let number = self.take_number();
        self.shared.jobs.push(Job { number, plain })
    }

    /// Ends the work if that was asked for.
    pub(crate) fn go_on(&mut self) -> Result<(), Closed> {
        if self.shared.is_stopped() { self.send_error(SessionError::Stopped).and(Err(Closed)) } else { Ok(()) }
    }

    /// Hands over a step, now or with the next ones.
    pub(crate) fn send(&mut self, step: Step) -> Result<(), Closed> {
        let is_last = matches!(step, Step::End | Step::RootFailed(_));
        self.waiting_weight += step.weight();
        self.waiting.push(step);
        if is_last || self.waiting.len() >= TOGETHER || self.waiting_weight >= TOGETHER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Hands the waiting steps over.
    fn flush(&mut self) -> Result<(), Closed> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting_weight = 0;
        let several = Step::Several(std::mem::take(&mut self.waiting));
        self.shared.take_room(several.weight())?;
        self.send_unweighed(Ok(several))
    }

    /// Ends the pipeline without an archive.
    pub(crate) fn send_error(&mut self, error: SessionError) -> Result<(), Closed> {
        self.send_unweighed(Err(error))
    }

    fn send_unweighed(&mut self, step: Result<Step, SessionError>) -> Result<(), Closed> {
        let number = self.take_number();
        self.steps.send((number, step)).map_err(|_| Closed)
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

/// How many steps wait for one another at most: most files of a world do not change, and are steps of microseconds.
const TOGETHER: usize = 100;
/// How much they may weigh together.
const TOGETHER_BYTES: usize = 256 * 1024;
