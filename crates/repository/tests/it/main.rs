//! The repository from outside: what it promises, on disks that work and disks that fail.

mod check;
mod common;
mod damage;
mod faults;
mod locks;
mod places;
mod sequences;
mod transactions;
