//! What carries a conversation, over a real sshd and over commands: nothing is lost, nothing hangs, nothing stays behind.

mod both;
mod command;
mod host_keys;
mod life;
mod proxy;
mod ssh;
mod talk;
