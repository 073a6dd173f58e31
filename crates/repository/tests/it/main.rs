//! The repository from outside: what it promises, on disks that work and disks that fail.

mod check;
mod common;
mod damage;
mod evidence;
mod faults;
mod flips;
mod locks;
mod oracle;
mod places;
mod repair;
mod sequences;
mod served;
mod stock_repair;
mod transactions;
