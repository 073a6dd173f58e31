//! Worlds that are played in. What an hour costs, by a simulator: held to its own estimate, and to what stock stores. And
//! what a backup holds that was made while a server wrote.

mod database;
mod growth;
mod played_in;
mod regions;
mod simulator;
