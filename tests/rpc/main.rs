//! Our half of the conversation against stock's other half, and stock's against ours.

mod stock_client;
mod stock_server;
