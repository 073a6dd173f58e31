//! Helpers for tests: fixtures, sample data, faulty disks, stock borg as the oracle. Never part of a product.

pub mod borg;
pub mod clock;
pub mod counters;
pub mod disk;
pub mod docker;
pub mod fixtures;
pub mod gate;
pub mod memory_repository;
pub mod outcome;
pub mod peers;
pub mod process;
pub mod random;
pub mod repositories;
pub mod segments;
pub mod sshd;
pub mod strace;
pub mod tree;
pub mod weak_key;
pub mod worldkeeper;
pub mod worlds;
