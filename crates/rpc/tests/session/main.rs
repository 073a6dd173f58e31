//! Both halves: against what stock's client and server said to each other, against each other, and against those who
//! mean harm.

mod arbitrary;
mod errors;
mod halves;
mod hostile;
mod old_clients;
mod pair;
mod recordings;
mod replay;
mod repository_errors;
