//! What an hour of play costs, in worlds that a simulator plays: held to its own estimate, and to what stock stores.

mod database;
mod growth;
mod regions;
mod simulator;
