//! The command line of Worldkeeper.
//!
//! One file per thing: [`args`] says what can be typed, [`settings`] what it means together with the environment,
//! [`secrets`] where the passphrase comes from. [`place`] puts these together for the [`commands`], [`open`] opens the
//! repository for them. [`report`] alone turns errors into text and exit codes. Called as [`borg`], it is a server for borg's
//! clients.

mod args;
mod borg;
mod commands;
mod courtesy;
mod demo;
mod hardening;
mod json;
mod key_files;
mod logging;
mod mounts;
mod open;
mod pages;
mod place;
mod progress;
mod report;
mod rights;
mod secrets;
mod settings;
mod system_clock;
mod words;

use std::process::ExitCode;

use indicatif::MultiProgress;
use worldkeeper_core::escape;
use worldkeeper_scheduler::Signals;

use args::{Args, Command};
use report::Done;
use settings::{Environment, Settings};

/// musl's own allocator makes threads wait for each other.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if borg::is_meant(&words) {
        return borg::run(&words);
    }
    // Before anything else, so that no signal is lost.
    let signals = Signals::listen(worldkeeper_remote::command::is_ours);
    let args = Args::read();
    report::end(signals.map_err(Into::into).and_then(|mut signals| run(args, &mut signals)))
}

fn run(args: Args, signals: &mut Signals) -> anyhow::Result<Done> {
    let environment = Environment::of_process();
    let settings = Settings::of(&args, &environment)?;
    let screen = MultiProgress::new();
    let stream = if matches!(args.command, Command::Run(_)) { logging::Stream::Output } else { logging::Stream::Error };
    logging::start(settings.log_level.value, stream, screen.clone());
    hardening::start();
    pages::start();
    if args.command.is_beside_a_game() {
        courtesy::start();
    }
    commands::run(args.command, settings, environment, screen, signals)
}
