//! The long gates on the binary: a sample with each change, whole by `tests/nightly`.

mod kill;
mod lockers;
mod place;
mod taking_turns;
