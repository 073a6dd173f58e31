//! A repository, wherever it is: whether it can be opened, read with our key, and written.

use worldkeeper_core::{ChunkId, Repository, RepositoryError, Stop};
use worldkeeper_engine::Session;
use worldkeeper_repository::Mode;
use worldkeeper_scheduler::history::Run;

use super::verdict::Check;
use crate::open::{AccessError, OpenRepository, not_there, others_deleted, there};
use crate::place::Place;
use crate::words::{self, is_ahead};

/// What these checks are called.
pub(super) const PATH: &str = "path";
const WRITING: &str = "writing";
const KEY: &str = "key";
const ARCHIVES: &str = "archives";

/// All of them, in order.
pub(super) const ALL: [&str; 4] = [PATH, WRITING, KEY, ARCHIVES];

/// Looks at the repository. `look_at_open` adds what only one kind of repository can tell.
pub(super) fn checks(
    place: &Place,
    stop: &Stop,
    look_at_open: impl FnOnce(&OpenRepository) -> Vec<Check>,
) -> Vec<Check> {
    // What is made from now on is not missed.
    let looked = place.clock.now();
    // Whoever can write can read; who cannot may have the rest looked at all the same.
    let (opened, not_writable) = match place.open_briefly(Mode::Exclusive, stop) {
        Ok(repository) => (Ok(repository), None),
        Err(error) if is_missing(&error) => return missing(place),
        Err(error) => (place.open_briefly(Mode::WithoutLock, stop), Some(error)),
    };
    let repository = match opened {
        Ok(repository) => repository,
        Err(error) if is_missing(&error) => return missing(place),
        Err(error) => {
            let rest = ALL[1..].iter().map(|name| Check::not_tried(name, "the repository cannot be opened"));
            return std::iter::once(Check::error(PATH, &error)).chain(rest).collect();
        }
    };
    let mut checks = vec![Check::ok(PATH, format!("there is a repository, {}", repository.id()))];
    checks.push(writing(&*repository, not_writable));
    let more = look_at_open(&repository);
    match place.look_inside(repository, stop) {
        Ok(Some(session)) => {
            checks.push(Check::ok(KEY, format!("it opens what is there, encryption {}", session.mode())));
            // After the wait for the lock: who held it has noted what it pruned.
            let runs = place.history().runs(place.series(), &place.location());
            checks.push(match runs {
                Ok(mut runs) => {
                    runs.retain(|run| run.end <= looked);
                    archives(place, &session, &runs)
                }
                Err(error) => Check::error(ARCHIVES, &error),
            });
        }
        Ok(None) => {
            checks.push(Check::not_tried(KEY, "there is none yet: the first backup makes it"));
            checks.push(Check::not_tried(ARCHIVES, "there are none yet"));
        }
        Err(error) => {
            checks.push(Check::error(KEY, &error));
            checks.push(Check::not_tried(ARCHIVES, "nothing opens them"));
        }
    }
    checks.extend(more);
    checks
}

fn is_missing(error: &AccessError) -> bool {
    matches!(error, AccessError::Repository(RepositoryError::DoesNotExist(_)))
}

/// There is no repository, which may be well if none was there before: to know it, one would have to be made.
fn missing(place: &Place) -> Vec<Check> {
    let path = match place.require_room_for_new() {
        Ok(()) => {
            Check::not_tried(PATH, format!("there is no repository yet: the first backup makes it{}", needs(place)))
        }
        Err(error) => Check::error(PATH, &error),
    };
    let rest = ALL[1..].iter().map(|name| Check::not_tried(name, "there is no repository yet"));
    std::iter::once(path).chain(rest).collect()
}

/// What there has to be for that, as far as nothing here knows whether it is.
fn needs(place: &Place) -> &'static str {
    match (place.settings.repository.value.local(), place.settings.make_parent_dirs.value) {
        (Some(_), _) => "",
        (None, true) => ", if the server lets it",
        (None, false) => {
            ", if the server lets it and the directory that it is to be made in is there; --make-parent-dirs makes that, too"
        }
    }
}

/// Whether it can be written, by a PUT that is rolled back; unless it is known already why not.
fn writing(repository: &dyn Repository, not_writable: Option<AccessError>) -> Check {
    let tried = not_writable.map_or_else(|| try_put(repository).map_err(AccessError::from), Err);
    match tried {
        Ok(()) => Check::ok(WRITING, "an object was stored, and rolled back"),
        Err(AccessError::Repository(error @ RepositoryError::LockTimeout { .. })) => {
            Check::unknown(WRITING, format!("somebody is at work: {error}"))
        }
        Err(error) => Check::error(WRITING, &error),
    }
}

/// Stores an object, sees that it is there, and rolls it back. It is random, and nothing is sealed for it: no counter value
/// is used.
fn try_put(repository: &dyn Repository) -> Result<(), RepositoryError> {
    let mut random = [0; 64];
    getrandom::fill(&mut random).map_err(|error| RepositoryError::Other(format!("no random numbers: {error}")))?;
    let (id, object) = random.split_at(32);
    let id = ChunkId(id.try_into().expect("it is half of 64"));
    let mut transaction = repository.begin()?;
    transaction.put(id, object.to_vec().into())?;
    match repository.get(&id) {
        Ok(stored) if stored == object => Ok(()),
        Ok(_) => Err(RepositoryError::Other("what was stored is read back as something else".to_owned())),
        // Why it was not stored is said to whoever goes on.
        Err(error) => transaction.delete(id).and(Err(error)),
    }
}

/// How many there are, whether the last good one is among them, whether others are not, and whether the newest is older than now: else this clock is
/// wrong, or one that made it was.
fn archives(place: &Place, session: &Session, runs: &[Run]) -> Check {
    let archives = session.archives();
    let now = place.clock.now();
    let count = words::count(archives.len() as u64, "archive");
    let is_there = there(session);
    let last_good = runs.iter().rev().find(|run| run.is_good_backup());
    let last_good = last_good.filter(|run| !is_there(run)).and_then(|run| run.archive.as_deref()).map(not_there);
    let gone = runs.iter().filter(|run| !run.is_deleted && !is_there(run)).count();
    if let Some(gone) = last_good.or_else(|| others_deleted(runs, gone as u64, now, &place.zone)) {
        return Check::warning(
            ARCHIVES,
            format!("{count}; {gone}"),
            "find out who else may delete here, then make another one: worldkeeper backup",
        );
    }
    let newest = archives.iter().map(|archive| archive.time).max();
    match newest.max(Some(session.last_modified())).filter(|time| is_ahead(*time, now)) {
        Some(time) => Check::warning(
            ARCHIVES,
            format!("{count}; the newest is from the future, {}", words::moment(time, &place.zone)),
            "set the clock right, of this machine or of the one that made it: as long as an archive is from the future, \
             nothing is pruned",
        ),
        None => Check::ok(
            ARCHIVES,
            newest.map_or_else(
                || count.clone(),
                |time| format!("{count}, the newest of {}", words::moment(time, &place.zone)),
            ),
        ),
    }
}
