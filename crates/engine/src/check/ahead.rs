//! Walks over the items of an archive ahead of who examines them.
//!
//! A list of items is read and decoded in as much time as it takes to look at what it says. So both are done side by
//! side: a thread of its own walks, and hands over what it has found in batches. How far it is ahead is bounded by the
//! packed bytes that nobody has examined; decoded, they are some times as many. A short list is not worth a thread.

use crossbeam_channel::Sender;

use super::items::{ItemWalk, Step};
use crate::pipeline::{Budget, CloseOnDrop, Closed, spawn};
use crate::session::SessionError;

/// What was walked over in one go.
struct Batch {
    steps: Vec<Step>,
    /// The bytes it was packed in.
    bytes: usize,
    /// How the walk has ended behind it, if it has.
    end: Option<Result<(), SessionError>>,
}

impl ItemWalk<'_> {
    /// Walks to the end, and gives `each` all there is, in order, until it fails. With one worker neither is ahead of
    /// the other.
    pub(super) fn for_each(
        mut self,
        workers: usize,
        mut each: impl FnMut(Step) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        if workers <= 1 {
            while let Some(step) = self.next()? {
                each(step)?;
            }
            return Ok(());
        }
        let Batch { steps, end, .. } = self.batch();
        if let Some(end) = end {
            steps.into_iter().try_for_each(each)?;
            return end;
        }
        let budget = Budget::new(BUDGET);
        let (batches_in, batches) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            // Whatever ends this closure, by error or panic, ends the thread.
            let _close = CloseOnDrop(&budget);
            let walk = || {
                // It is closed when nobody takes it any more.
                let _ = self.go_ahead(&budget, &batches_in);
                // However this ends, nobody waits for more.
                drop(batches_in);
            };
            spawn(scope, &budget, "item reader", walk);
            steps.into_iter().try_for_each(&mut each)?;
            loop {
                let Batch { steps, bytes, end } = batches.recv().expect("who walks ahead has not panicked");
                steps.into_iter().try_for_each(&mut each)?;
                budget.give_back(share(bytes));
                if let Some(end) = end {
                    return end;
                }
            }
        })
    }

    /// Walks to the end, as far ahead as the budget lets it.
    fn go_ahead(&mut self, budget: &Budget, batches: &Sender<Batch>) -> Result<(), Closed> {
        loop {
            // Before it is decoded: of items that are larger than all this there is one at a time.
            budget.take(BATCH_BYTES)?;
            let batch = self.batch();
            budget.take(share(batch.bytes) - BATCH_BYTES)?;
            let is_end = batch.end.is_some();
            batches.send(batch).map_err(|_| Closed)?;
            if is_end {
                return Ok(());
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let begin = self.walked_bytes();
        let (mut steps, mut end) = (Vec::new(), None);
        while end.is_none() && steps.len() < BATCH && self.walked_bytes() - begin < BATCH_BYTES {
            match self.next() {
                Ok(Some(step)) => steps.push(step),
                Ok(None) => end = Some(Ok(())),
                Err(error) => end = Some(Err(error)),
            }
        }
        Batch { steps, bytes: self.walked_bytes() - begin, end }
    }
}

/// What a batch takes of the budget.
fn share(bytes: usize) -> usize {
    bytes.clamp(BATCH_BYTES, BUDGET)
}

/// How many things are handed over at a time.
const BATCH: usize = 256;

/// How many packed bytes are handed over at a time; the last item may go beyond.
const BATCH_BYTES: usize = 256 * 1024;

/// How many packed bytes there are that were not examined yet: four batches, or one large item.
const BUDGET: usize = 4 * BATCH_BYTES;
