//! Whole operations on a disk that fails: what survives, and that the next run goes on by itself.
//!
//! [`operations::ALL`] lists what is done to a repository; adding a verb is adding a line there. Each gate runs every
//! operation once on a disk that records, and then looks at what is left wherever it may have been interrupted.
//! [`survival`] says what must hold.

mod failing_calls;
mod full_disk;
mod house;
mod lying_disk;
mod operations;
mod power_loss;
mod stock;
mod survival;
mod torn_nonce;
