//! The calls that change nothing but what needs no transaction.

use std::time::Duration;

use worldkeeper_core::repository::{CheckEvent, CheckOptions, Severity};
use worldkeeper_core::{ChunkId, RepositoryError};
use worldkeeper_rpc::stderr::{Level, Progress};
use worldkeeper_rpc::{Call, Check, Outcome, Payload, RemoteError, Reply};

use super::{ErrorStream, Hosted};

/// What log lines about a repository stand under.
const LOGGER: &str = "borg.repository";

/// Answers a call that is not part of a transaction.
pub(super) fn answer(hosted: &dyn Hosted, call: &Call, errors: &ErrorStream) -> Outcome {
    let repository = hosted.repository();
    let answered = match call {
        Call::Len => hosted.count().map(Reply::Count),
        Call::Get { id } => repository.get(id).map(|object| Reply::Data(Payload(object))),
        Call::List(page) => return ids(&repository.location(), hosted.list(page)),
        Call::Scan(page) if page.limit == Some(0) => {
            return Err(RemoteError::python("ValueError", "please use limit > 0 or limit = None"));
        }
        Call::Scan(page) => return ids(&repository.location(), hosted.scan(page)),
        Call::Check(options) if options.repair && hosted.is_append_only() => {
            return Err(append_only(&repository.location()));
        }
        Call::Check(options) => check(hosted, options, errors).map(Reply::Sound),
        Call::Destroy => return Err(append_only(&repository.location())),
        Call::SaveKey { keydata } => match std::str::from_utf8(&keydata.0) {
            Ok(key) => hosted.store_key(key).map(|()| Reply::Done),
            Err(error) => return Err(RemoteError::python("UnicodeDecodeError", error.to_string())),
        },
        Call::LoadKey => {
            repository.load_key().map(|key| Reply::Data(Payload(key.unwrap_or_default().into_bytes().into())))
        }
        Call::GetFreeNonce => repository.free_nonce().map(Reply::FreeNonce),
        Call::CommitNonceReservation { next_unreserved, start_nonce } => {
            hosted.reserve_nonce(*next_unreserved, *start_nonce).map(|()| Reply::Done)
        }
        Call::BreakLock => hosted.break_lock().map(|()| Reply::Done),
        Call::Rollback => {
            hosted.reload();
            Ok(Reply::Done)
        }
        // They are answered where they are acted on.
        Call::Open(_) | Call::Put { .. } | Call::Delete { .. } | Call::Commit(_) => Ok(Reply::Done),
    };
    answered.map_err(|error| to_remote(&error, &repository.location()))
}

/// Borg's word for an error of the repository at `location`.
pub(super) fn to_remote(error: &RepositoryError, location: &str) -> RemoteError {
    RemoteError::from_repository_error(error, location)
}

/// What a call is answered that needs a repository, where there is none.
pub(super) fn no_repository(call: &Call) -> RemoteError {
    RemoteError::python("AttributeError", format!("'NoneType' object has no attribute '{}'", call.method()))
}

fn append_only(location: &str) -> RemoteError {
    RemoteError::python("ValueError", format!("{location} is in append-only mode"))
}

fn ids(location: &str, page: Result<Option<Vec<ChunkId>>, RepositoryError>) -> Outcome {
    match page {
        Ok(Some(ids)) => Ok(Reply::Ids(ids)),
        Ok(None) => Err(RemoteError::python("KeyError", "marker not found")),
        Err(error) => Err(to_remote(&error, location)),
    }
}

/// Checks, and tells the client what is found, in stock's words where they are not about something.
///
/// Source: borg 1.4 `repository.py`, `check`.
fn check(hosted: &dyn Hosted, options: &Check, errors: &ErrorStream) -> Result<bool, RepositoryError> {
    let max_duration = (options.max_duration > 0).then(|| Duration::from_secs(options.max_duration));
    let mode = if max_duration.is_some() { "partial" } else { "full" };
    let progress = |message: Option<String>, steps: Option<(u64, u64)>| Progress {
        operation: 1,
        msgid: Some("repository.check".to_owned()),
        finished: message.is_none(),
        message,
        steps,
    };
    errors.log(Level::Info, LOGGER, "Starting repository check");
    let mut told = None;
    if !options.repair
        && let Some(lost) = hosted.give_up_lost_commit()?
    {
        let message =
            format!("the commit of transaction {lost}, of which there were state files, is lost; it is given up");
        errors.log(Level::Warning, LOGGER, &message);
    }
    let checked =
        hosted.repository().check(&CheckOptions { repair: options.repair, max_duration }, &mut |event| match event {
            CheckEvent::Found(finding) => {
                let level = if finding.severity == Severity::Problem { Level::Error } else { Level::Info };
                errors.log(level, LOGGER, &finding.to_string());
            }
            CheckEvent::Progress { done, total } => {
                // Stock tells each tenth of a percent.
                let thousandths = done.saturating_mul(1000) / total.max(1);
                if told != Some(thousandths) {
                    told = Some(thousandths);
                    let message = format!("Checking segments {}.{}%", thousandths / 10, thousandths % 10);
                    errors.progress(&progress(Some(message), Some((done, total))));
                }
            }
            _ => {}
        });
    errors.progress(&progress(None, None));
    let checked = checked?;
    let (level, how) = match (checked.problems, options.repair) {
        (0, _) => (Level::Info, "no problems found"),
        (_, true) => (Level::Info, "errors found and repaired"),
        (_, false) => (Level::Error, "errors found"),
    };
    errors.log(level, LOGGER, &format!("Finished {mode} repository check, {how}."));
    // A client goes on to the archives only if it hears that all is well. What a repair leaves, it has said.
    Ok(checked.problems == 0 || options.repair)
}
