//! What the create and extract pipelines share: steps that are worked on out of order and taken in order, with a bound
//! on the bytes that are under way.
//!
//! Whoever makes steps takes their weight from the [`Budget`] first, in order; whoever finishes them, in order too,
//! gives it back. So the earliest unfinished step always has its share, and a full budget can only mean that
//! somebody is at work.

mod budget;
mod in_order;

pub(crate) use budget::{Budget, CloseOnDrop, Closed};
pub(crate) use in_order::InOrder;

/// Starts a named thread.
pub(crate) fn spawn<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) {
    let thread = std::thread::Builder::new().name(name.into()).spawn_scoped(scope, work);
    thread.expect("the system starts a handful of threads");
}
