//! A session from its first call to its last.

use worldkeeper_core::{RepositoryError, Transaction};
use worldkeeper_rpc::stderr::Level;
use worldkeeper_rpc::{Call, Commit, Open, Outcome, RemoteError, Reply, Version, format_size};

use super::answer::{answer, no_repository, to_remote};
use super::conversation::{Conversation, Pipes, ServeError};
use super::{ErrorStream, Host, Hosted};

/// Serves one client until it ends the session.
///
/// # Errors
///
/// Whatever else ended it. In any case what was not committed is rolled back, and the lock given back.
pub fn serve(host: &mut dyn Host, version: &Version, pipes: &Pipes, errors: &ErrorStream) -> Result<(), ServeError> {
    let mut conversation = Conversation::new(version.clone(), pipes, errors);
    let mut next = conversation.next()?;
    loop {
        next = match next {
            None => return Ok(()),
            Some(Call::Open(open)) => with_repository(&mut conversation, host, &open)?,
            // A client that has destroyed its repository rolls back before it goes.
            Some(Call::Rollback) => {
                conversation.answer(&Ok(Reply::Done));
                conversation.next()?
            }
            Some(call) => {
                // It was open: it has been destroyed, or another one could not be opened.
                conversation.answer(&Err(no_repository(&call)));
                conversation.next()?
            }
        };
    }
}

/// Opens a repository and does what is asked of it; returns the call that is none of its business.
fn with_repository(
    conversation: &mut Conversation<'_>,
    host: &mut dyn Host,
    open: &Open,
) -> Result<Option<Call>, ServeError> {
    let mut hosted = match host.open(open) {
        Ok(hosted) => hosted,
        Err(error) => {
            conversation.answer(&Err(error.to_remote()));
            return conversation.next();
        }
    };
    conversation.answer(&Ok(Reply::Opened(hosted.repository().id())));
    let location = hosted.repository().location();
    let mut next = conversation.next()?;
    loop {
        next = match next {
            None | Some(Call::Open(_)) => return Ok(next),
            Some(Call::Destroy) if !hosted.is_append_only() => {
                let destroyed = hosted.destroy();
                conversation.answer(&destroyed.map(|()| Reply::Done).map_err(|error| to_remote(&error, &location)));
                return conversation.next();
            }
            Some(call @ (Call::Put { .. } | Call::Delete { .. } | Call::Commit(_))) => {
                // Very old clients say by this alone that they write.
                let prepared = hosted.prepare_to_write();
                match prepared.and_then(|()| hosted.repository().begin()) {
                    Ok(transaction) => within_transaction(conversation, &*hosted, transaction, call)?,
                    Err(error) => {
                        conversation.answer(&Err(to_remote(&error, &location)));
                        conversation.next()?
                    }
                }
            }
            Some(call) => {
                let outcome = answer(&*hosted, &call, conversation.errors);
                conversation.answer(&outcome);
                conversation.next()?
            }
        };
    }
}

/// Does what is asked of a transaction, from the call that began it on, until it is committed or rolled back; returns the
/// call after that.
fn within_transaction(
    conversation: &mut Conversation<'_>,
    hosted: &dyn Hosted,
    mut transaction: Box<dyn Transaction + '_>,
    first: Call,
) -> Result<Option<Call>, ServeError> {
    let location = hosted.repository().location();
    let mut doom: Option<RemoteError> = None;
    let mut call = first;
    loop {
        let outcome: Outcome = match call {
            Call::Put { id, data, .. } => in_spite_of(&mut doom, || {
                transaction.put(id, data.0).map_err(|error| (is_doom(&error), to_remote(&error, &location)))
            }),
            Call::Delete { id, .. } => in_spite_of(&mut doom, || {
                transaction.delete(id).map_err(|error| (is_doom(&error), to_remote(&error, &location)))
            }),
            Call::Commit(commit) => {
                let outcome = match doom {
                    Some(doom) => {
                        drop(transaction);
                        Err(doom)
                    }
                    None => committed(transaction, &commit, conversation.errors)
                        .map(|()| Reply::Done)
                        .map_err(|error| to_remote(&error, &location)),
                };
                hosted.reload();
                conversation.answer(&outcome);
                return conversation.next();
            }
            Call::Rollback => {
                drop(transaction);
                hosted.reload();
                conversation.answer(&Ok(Reply::Done));
                return conversation.next();
            }
            // Rolls back.
            Call::Open(_) | Call::Destroy => return Ok(Some(call)),
            // Stock asserts that there is none.
            Call::Check(_) => Err(RemoteError::python("AssertionError", "")),
            call => answer(hosted, &call, conversation.errors),
        };
        conversation.answer(&outcome);
        call = match conversation.next()? {
            Some(call) => call,
            None => return Ok(None),
        };
    }
}

/// Takes a step of a transaction, unless an earlier one has failed in such a way that nothing but a rollback is possible:
/// then that is what is said again.
fn in_spite_of(doom: &mut Option<RemoteError>, step: impl FnOnce() -> Result<(), (bool, RemoteError)>) -> Outcome {
    if let Some(doom) = doom {
        return Err(doom.clone());
    }
    step().map(|()| Reply::Done).map_err(|(is_doom, error)| {
        if is_doom {
            *doom = Some(error.clone());
        }
        error
    })
}

/// Whether a transaction cannot go on: for all but what is refused before anything is written.
fn is_doom(error: &RepositoryError) -> bool {
    !matches!(error, RepositoryError::ObjectNotFound(_) | RepositoryError::ObjectTooLarge(_))
}

fn committed(
    transaction: Box<dyn Transaction + '_>,
    commit: &Commit,
    errors: &ErrorStream,
) -> Result<(), RepositoryError> {
    if !commit.compact {
        return transaction.commit();
    }
    let stats = transaction.commit_and_compact((commit.threshold * 100.0).round() as u8)?;
    if stats.segments > 0 {
        let message = format!("compaction freed about {} repository space.", format_size(stats.freed_bytes));
        errors.log(Level::Info, "borg.repository", &message);
    }
    Ok(())
}
