//! What the create and extract pipelines share: steps that are worked on out of order and taken in order, with a bound
//! on the bytes that are under way.
//!
//! Whoever makes steps takes their weight from the [`Budget`] first, in order; whoever finishes them, in order too,
//! gives it back. So the earliest unfinished step always has its share, and a full budget can only mean that
//! somebody is at work.

mod budget;
mod buffers;
mod in_order;
mod pool;
mod slabs;
mod weight;

pub(crate) use budget::{Budget, CloseOnDrop, Closed};
pub(crate) use buffers::{Buffer, Buffers};
pub(crate) use in_order::InOrder;
pub(crate) use slabs::Dealer;
pub(crate) use weight::{chunk_bytes, item_bytes, step_bytes};

/// How many threads do work that can be shared, if nobody says otherwise: as many as the system lets run at once.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Starts a named thread of a pipeline. It ends when there is nothing more for it to do; so its end, by a panic too,
/// is the end of what may be taken from the budget. Else whoever waits for what a dead thread held would wait for ever.
pub(crate) fn spawn<'scope, 'env: 'scope>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    budget: &'scope Budget,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) {
    let work = move || {
        let _close = CloseOnDrop(budget);
        work();
    };
    let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, work);
    thread.expect("the system starts a handful of threads");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_lets_nobody_wait_for_what_it_held() {
        let budget = Budget::new(10);
        budget.take(10).unwrap();
        let ended = std::panic::catch_unwind(|| {
            std::thread::scope(|scope| {
                spawn(scope, &budget, "sealer", || panic!("as a test wants it"));
                assert_eq!(budget.take(1), Err(Closed));
            });
        });
        assert!(ended.is_err(), "the panic is not lost");
    }
}
