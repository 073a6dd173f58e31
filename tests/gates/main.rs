//! The long gates on the binary: a sample with each change, whole by `tests/nightly`.

mod beginning;
mod containers;
mod errors;
mod kill;
mod limits;
mod lockers;
mod many_files;
mod place;
mod stopped;
mod taking_turns;
