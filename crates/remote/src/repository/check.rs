//! A check that a server makes: it says what it finds on its error stream, and in the end whether all is well.

use worldkeeper_core::RepositoryError;
use worldkeeper_core::repository::{CheckEvent, CheckOptions, Finding, RepositoryCheck};
use worldkeeper_rpc::stderr::{Level, Line, LogMessage};
use worldkeeper_rpc::{Call, Check, Reply};

use super::{RemoteRepository, unexpected};

/// How many findings of a server are passed on, and how long each is in bytes: more is counted and not told.
const MAX_TOLD: usize = 10_000;
const MAX_WORDS: usize = 1_000;

pub(super) fn check(
    repository: &RemoteRepository,
    options: &CheckOptions,
    on_event: &mut dyn FnMut(CheckEvent<'_>),
) -> Result<RepositoryCheck, RepositoryError> {
    if options.repair && options.max_duration.is_some() {
        return Err(RepositoryError::NotWritable("a repair has no time limit".to_owned()));
    }
    if options.repair || options.max_duration.is_some() {
        repository.require_exclusive()?;
    }
    let max_duration = options.max_duration.map_or(0, |limit| limit.as_secs().max(1));
    let call = Call::Check(Check { repair: options.repair, max_duration, save_space: false });
    let mut found = RepositoryCheck::default();
    let mut told = 0;
    let mut tell = |mut finding: String, make: fn(String) -> Finding, on_event: &mut dyn FnMut(CheckEvent<'_>)| {
        told += 1;
        finding.truncate(finding.floor_char_boundary(MAX_WORDS));
        if told <= MAX_TOLD {
            on_event(CheckEvent::Found(&make(finding)));
        }
    };
    let mut each = |line: Line| match line {
        Line::Log(LogMessage { level, message, .. }) if level >= Level::Error => {
            found.problems += 1;
            tell(message, Finding::problem, on_event);
        }
        Line::Log(LogMessage { level: Level::Warning, message, .. }) => tell(message, Finding::note, on_event),
        Line::Progress(progress) => {
            if let Some((done, total)) = progress.steps {
                found.segments = total;
                on_event(CheckEvent::Progress { done, total });
            }
        }
        _ => {}
    };
    repository.keep_others_out()?;
    let conversation = repository.connected()?;
    let outcome = conversation.ask_listening(&call, repository.patiently(), &mut each);
    let reply = outcome.map_err(|broken| repository.broken(broken))?.map_err(|error| repository.refused(error))?;
    let Reply::Sound(is_sound) = reply else { return Err(unexpected(&reply)) };
    if !is_sound {
        found.problems = found.problems.max(1);
    }
    // A repair says that all is well when it has mended what it could.
    found.remaining = if is_sound && options.repair { 0 } else { found.problems };
    Ok(found)
}
