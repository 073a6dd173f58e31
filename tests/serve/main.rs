//! Our server, and whoever comes to it: stock's clients, upstream's own suite, and clients that mean harm.

mod ends;
mod hostile;
mod limits;
mod old_clients;
mod over_ssh;
mod recorded;
mod site;
mod spoiled;
mod stock;
mod talk;
mod upstream;
