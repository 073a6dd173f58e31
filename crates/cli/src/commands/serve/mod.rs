//! `serve`: a server for borg clients, over standard input and output.
//!
//! Nothing but the command line says what it does: there is no configuration, no state directory and no passphrase. What
//! the client is told goes to standard error in the form that clients understand; standard output is the protocol's.

mod ending;
mod host;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::fs::Mode;
use worldkeeper_core::Clock;
use worldkeeper_remote::serve::{ErrorStream, Level, Paths, ServeError, Stdio, Version, serve as serve_client};
use worldkeeper_repository::Limits;

use crate::args::{Common, Serve};
use crate::system_clock::SystemClock;
use crate::{logging, pages};
use ending::Ending;
use host::LocalHost;

/// What log lines about the session stand under.
const LOGGER: &str = "borg.remote";

/// The exit code of a session that failed.
const FAILED: u8 = 2;
/// What a shell makes of the number of a signal.
const BY_SIGNAL: u8 = 128;

/// Serves the client at this process's streams. The exit codes are stock's.
pub(crate) fn serve(options: &Serve, common: &Common) -> ExitCode {
    rustix::process::umask(Mode::from_raw_mode(common.umask));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let errors = ErrorStream::new(io::stderr(), common.level(), Arc::clone(&clock));
    if common.log_json {
        errors.speak_json();
    }
    logging::start_for_client(errors.clone());
    pages::start();
    match session(options, clock, &errors) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            errors.log(Level::Error, LOGGER, &format!("cannot serve: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn session(options: &Serve, clock: Arc<dyn Clock>, errors: &ErrorStream) -> io::Result<u8> {
    let ending = Ending::listen()?;
    let current = std::env::current_dir()?;
    let paths = Paths {
        home: home(),
        within: options.restrict_to_paths.clone(),
        only: options.restrict_to_repositories.clone(),
        current,
    };
    let limits = Limits { append_only: options.append_only, storage_quota: options.storage_quota, strict_quota: true };
    let mut host = LocalHost::new(paths, limits, clock, ending.stop.clone());
    let stdio = Stdio::open(ending.end.clone(), ending.stop.clone())?;
    let served = serve_client(&mut host, &Version::release(1, 4, 5), &stdio.pipes, errors);
    stdio.finish();
    Ok(match served {
        Ok(()) => 0,
        Err(ServeError::Stopped) => {
            let signal = ending.signal();
            errors.log(Level::Error, LOGGER, &format!("Received {}", ending::name(signal)));
            BY_SIGNAL.saturating_add(signal)
        }
        Err(error) => {
            let text = worldkeeper_core::error_text(&error);
            errors.log(Level::Error, LOGGER, &worldkeeper_core::escape::escape(&text));
            FAILED
        }
    })
}

/// Where `~` is, as borg has it.
fn home() -> std::path::PathBuf {
    let named = ["BORG_BASE_DIR", "HOME"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    named.map_or_else(|| "/".into(), Into::into)
}
