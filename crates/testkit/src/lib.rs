//! Helpers for tests: fixtures, sample data, faulty disks, stock borg as the oracle. Never part of a product.

pub mod fixtures;
