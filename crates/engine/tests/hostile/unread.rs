//! An archive that nobody can read, and that no repair takes away: backups go on beside it, and nothing is deleted until
//! somebody has given it up.

use std::sync::{Arc, Mutex};

use worldkeeper_archive::{ArchiveError, ArchiveName};
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::tam::Context;
use worldkeeper_engine::{
    ArchiveProblem, CheckOptions, DeleteError, Monitor, Notice, Progress, Session, SessionError, Silent, StateDir,
    check, delete, force_delete,
};
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::tree;

use crate::house::{House, replaced, signed, unsigned};

/// The archives that are said to be unread.
#[derive(Default)]
struct Unread(Mutex<Vec<ArchiveName>>);

impl Monitor for Unread {
    fn notice(&self, notice: Notice<'_>) {
        if let Notice::ArchiveUnread(name) = notice {
            self.0.lock().unwrap().push(name.clone());
        }
    }

    fn progress(&self, _: Progress) {}
}

/// Makes the first archive one of a version that nobody knows; returns its id.
fn of_version_two(house: &House) -> ChunkId {
    let packed = unsigned(&house.plaintext(house.id(0)));
    let packed = replaced(&packed, b"\xa7version\x01", b"\xa7version\x02");
    house.replace_archive(0, &signed(&house.key, Context::Archive, &packed));
    house.id(0)
}

/// The house of a client that has never seen the repository.
fn without_state(house: &mut House) {
    house.disk = MemoryDisk::new();
}

fn broken(error: DeleteError) -> (ArchiveName, ArchiveProblem) {
    match error {
        DeleteError::Session(SessionError::Archive(broken)) => (broken.name, broken.source),
        other => panic!("{other:?}"),
    }
}

fn restored(session: &Session, name: &ArchiveName) -> usize {
    let archive = session.open_archive(&session.archive_info(name).unwrap()).unwrap();
    session.items(&archive).map(Result::unwrap).count()
}

#[test]
fn beside_it_backups_go_on_and_nothing_is_deleted() {
    let mut house = House::new();
    let id = of_version_two(&house);
    without_state(&mut house);
    let before = house.repository.chunk_ids();
    let unread = Unread::default();
    let third = house.backup_told(&unread).unwrap();
    assert_eq!(*unread.0.lock().unwrap(), [house.archives[0].clone()]);
    assert!(house.repository.chunk_ids().is_superset(&before), "what it needs is not known, so all of it stays");
    // The index that was kept says so, too.
    let again = Unread::default();
    let fourth = house.backup_told(&again).unwrap();
    assert_eq!(*again.0.lock().unwrap(), [house.archives[0].clone()]);

    for name in [&third, &house.archives[1], &house.archives[0]] {
        let objects = house.repository.store().objects.clone();
        let (named, problem) =
            broken(delete(&mut house.open().unwrap(), std::slice::from_ref(name), &Silent).unwrap_err());
        assert_eq!(named, house.archives[0]);
        assert!(matches!(problem, ArchiveProblem::Metadata(ArchiveError::UnsupportedVersion(2))), "{problem:?}");
        assert!(house.repository.store().objects == objects);
    }

    // A repair keeps it, and everything that it might need.
    let before = house.repository.chunk_ids();
    let mut session = house.open().unwrap();
    let options = CheckOptions { repair: true, ..CheckOptions::default() };
    let report = check(&mut session, None, &options, &Silent).unwrap();
    assert!(report.remaining > 0 && !report.is_changed, "{report:?}");
    assert!(house.repository.chunk_ids() == before && session.archive_info(&house.archives[0]).unwrap().id == id);

    // Given up, it goes; a repair then clears away what nothing else needs.
    let stats = force_delete(&mut session, std::slice::from_ref(&house.archives[0]), &Silent).unwrap();
    assert_eq!((stats.archives, stats.unread, stats.objects), (1, 1, 0));
    assert_eq!(house.repository.chunk_ids(), before);
    let report = check(&mut session, None, &options, &Silent).unwrap();
    assert!(report.remaining == 0 && report.deleted_objects > 0, "{report:?}");
    for name in [&house.archives[1], &third, &fourth] {
        assert_eq!(restored(&session, name), 2, "{name}");
    }
    delete(&mut session, &[third, house.archives[1].clone()], &Silent).unwrap();
    let report = check(&mut session, None, &CheckOptions::default(), &Silent).unwrap();
    assert_eq!((report.problems, report.archives), (0, 1), "nothing is missing or left over");
}

/// What it holds is all there: if a later version can read it, nothing of it was lost in the meantime.
#[test]
fn what_it_needs_is_there_when_it_can_be_read_again() {
    let mut house = House::new();
    let own = house.id(0);
    let old = house.repository.store().objects[&own].clone();
    let id = of_version_two(&house);
    without_state(&mut house);
    // Another world, so that nothing but the unread archive needs what was in the first one; and all that can be forced.
    tree::write(&house.world.path().join("level.dat"), b"another");
    let third = house.backup().unwrap();
    let named = [third, house.archives[1].clone()];
    let stats = force_delete(&mut house.open().unwrap(), &named, &Silent).unwrap();
    assert_eq!((stats.archives, stats.unread, stats.objects), (2, 0, 0));
    house.repository.store().objects.remove(&id);
    house.repository.store().objects.insert(own, old);
    house.change_manifest(|manifest| manifest.archives.get_mut(&house.archives[0]).unwrap().id = own);
    let mut session = house.open().unwrap();
    assert_eq!(restored(&session, &house.archives[0]), 2);
    let report = check(&mut session, None, &CheckOptions { verify_data: true, ..CheckOptions::default() }, &Silent);
    assert_eq!(report.unwrap().damaged_files, 0);
}

/// A disk that failed for a while must not leave anybody with an index that is partial for ever.
#[test]
fn what_can_be_read_again_stands_in_nobodys_way() {
    let mut house = House::new();
    let id = house.id(0);
    let object = house.repository.store().objects.remove(&id).unwrap();
    without_state(&mut house);
    let unread = Unread::default();
    let third = house.backup_told(&unread).unwrap();
    assert_eq!(*unread.0.lock().unwrap(), [house.archives[0].clone()]);
    let (_, problem) = broken(delete(&mut house.open().unwrap(), std::slice::from_ref(&third), &Silent).unwrap_err());
    assert!(matches!(problem, ArchiveProblem::Object(_)), "{problem:?}");
    house.repository.store().objects.insert(id, object);
    let mut session = house.open().unwrap();
    assert!(delete(&mut session, std::slice::from_ref(&third), &Silent).unwrap().objects > 0);
    let report = check(&mut session, None, &CheckOptions::default(), &Silent).unwrap();
    assert_eq!((report.problems, report.archives), (0, 2));
}

/// An index that knew the archive before it broke: it is complete, and what others need alone may go.
#[test]
fn an_archive_that_was_read_before_it_broke_can_be_given_up() {
    let house = House::new();
    let id = house.id(0);
    house.repository.store().objects.remove(&id).unwrap();
    let [first, second] = &house.archives;
    let mut session = house.open().unwrap();
    let (named, _) = broken(delete(&mut session, std::slice::from_ref(first), &Silent).unwrap_err());
    assert_eq!(named, *first);
    let both = [first.clone(), second.clone()];
    let stats = force_delete(&mut session, &both, &Silent).unwrap();
    assert!(stats.archives == 2 && stats.unread == 1 && stats.objects > 0, "{stats:?}");
    let options = CheckOptions { repair: true, ..CheckOptions::default() };
    check(&mut session, None, &options, &Silent).unwrap();
    assert_eq!(house.repository.chunk_ids().len(), 0, "nothing is left over");
}

/// Forced or not, an archive that is whole takes with it what nothing else needs, and no more.
#[test]
fn by_force_a_whole_archive_goes_as_always() {
    let (forced, plain) = (House::new(), House::new());
    let first = std::slice::from_ref(&forced.archives[0]);
    let one = force_delete(&mut forced.open().unwrap(), first, &Silent).unwrap();
    let other = delete(&mut plain.open().unwrap(), first, &Silent).unwrap();
    // Each house has a key of its own, and ids of other bytes are compressed to another length.
    assert_eq!((one.archives, one.objects, one.unread), (other.archives, other.objects, other.unread));
    assert_eq!(forced.repository.chunk_ids().len(), plain.repository.chunk_ids().len());
    let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
    let mut session = Session::open(Box::new(forced.repository.clone()), &forced.options(&state)).unwrap();
    assert_eq!(check(&mut session, None, &CheckOptions::default(), &Silent).unwrap().problems, 0);
}
