//! The first phase of a check: are the stored bytes what was written?

use worldkeeper_core::Repository;
use worldkeeper_core::repository::{CheckEvent, CheckOptions, RepositoryCheck};

use crate::session::SessionError;
use crate::state::StateDir;

/// Checks a repository, and mends it if that is asked for: [`Repository::check`], after which nobody believes that chunks are there
/// that are not.
///
/// A repair may lose objects and leaves the manifest as it was; and it may end anywhere, by a stop, a full disk or a lost
/// connection, when it has. So the chunk index is given up before it begins: the next backup finds out what there is, and
/// stores again what the world still has.
///
/// # Errors
///
/// Those of [`Repository::check`]; and if the chunk index cannot be given up, in which case nothing is repaired.
pub fn check_stored(
    repository: &dyn Repository,
    state: &StateDir,
    options: &CheckOptions,
    on_event: &mut dyn FnMut(CheckEvent<'_>),
) -> Result<RepositoryCheck, SessionError> {
    let state = state.repository(repository.id());
    if options.repair {
        state.forget_chunk_index()?;
    }
    let found = repository.check(options, on_event)?;
    if found.problems > 0 {
        state.forget_chunk_index()?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use worldkeeper_core::{ChunkId, RepositoryError, RepositoryId, Stop};
    use worldkeeper_repository::{CreateOptions, LocalRepository, Mode, OpenOptions};
    use worldkeeper_testkit::clock::ManualClock;
    use worldkeeper_testkit::disk::MemoryDisk;

    use super::*;

    #[test]
    fn a_repair_that_ends_early_leaves_no_index_that_may_be_wrong() {
        let (disk, path) = (Arc::new(MemoryDisk::new()), Path::new("/repository"));
        let state = StateDir::open(Arc::clone(&disk) as _, Path::new("/state"), "test").unwrap();
        let id = RepositoryId([7; 32]);
        LocalRepository::create(&*disk, path, &CreateOptions::new(id)).unwrap();
        let open = OpenOptions {
            mode: Mode::Exclusive,
            wait: None,
            on_wait: None,
            identity: state.identity(),
            clock: Arc::new(ManualClock::at("2026-01-01T00:00:00Z")),
            stop: Stop::default(),
        };
        let repository = LocalRepository::open(Arc::clone(&disk) as _, path, &open).unwrap();
        let mut transaction = repository.begin().unwrap();
        transaction.put(ChunkId([1; 32]), vec![1; 100].into()).unwrap();
        transaction.commit().unwrap();
        open.stop.request();
        let index = state.repository(id).file("chunks");
        for (repair, is_left) in [(false, true), (true, false)] {
            state.repository(id).write("chunks", b"an index").unwrap();
            let options = CheckOptions { repair, ..CheckOptions::default() };
            let ended = check_stored(&repository, &state, &options, &mut |_| {});
            assert!(matches!(ended, Err(SessionError::Repository(RepositoryError::Stopped))), "{ended:?}");
            assert_eq!(worldkeeper_core::disk::read(&*disk, &index, 100).is_ok(), is_left, "repair: {repair}");
        }
    }
}
