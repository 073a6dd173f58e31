//! The repository from outside: what it promises, on disks that work and disks that fail.

mod common;
mod faults;
mod transactions;
