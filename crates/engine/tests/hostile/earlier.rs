//! Whoever may only append has deleted archives, and put other things under the ids of what they were made of: as long as
//! nothing is compacted, they come back.

use std::collections::BTreeSet;

use bytes::Bytes;
use worldkeeper_archive::{ArchiveName, Manifest, ManifestError, TamPolicy};
use worldkeeper_core::{ChunkId, Clock, Repository, Transaction};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_crypto::tam::Context;
use worldkeeper_engine::{
    CheckOptions, Monitor, Notice, Progress, Session, SessionError, Silent, UndeleteError, check as check_archives,
    delete, deleted_archives, undelete,
};

use crate::house::{House, replaced, signed};

/// Whoever brings something back hears no complaint of what comes back by that.
struct Content;

impl Monitor for Content {
    fn notice(&self, notice: Notice<'_>) {
        assert!(!matches!(notice, Notice::ArchiveUnread(_) | Notice::ChunksMissing { .. }), "{notice:?}");
    }

    fn progress(&self, _: Progress) {}
}

impl House {
    /// Does what only somebody does who has no archive in mind.
    fn append(&self, change: impl FnOnce(&mut dyn Transaction)) {
        let mut transaction = self.repository.begin().unwrap();
        change(&mut *transaction);
        transaction.commit().unwrap();
    }

    /// What an archive is made of: its own object, its list of items, its files.
    fn parts(&self, number: usize) -> BTreeSet<ChunkId> {
        let session = self.open().unwrap();
        let info = session.archive_info(&self.archives[number]).unwrap();
        let archive = session.open_archive(&info).unwrap();
        let files = session.items(&archive).flat_map(|item| item.unwrap().chunks.unwrap_or_default());
        let files: Vec<_> = files.map(|chunk| chunk.id).collect();
        files.into_iter().chain(archive.metadata.items.iter().copied()).chain([info.id]).collect()
    }

    /// What is put in the place of something else: nothing, noise, and what the key has sealed for another place.
    fn rubbish(&self) -> [Bytes; 3] {
        let session = self.open_anyhow();
        let other = session.archive_info(&self.archives[1]).unwrap().id;
        let other = self.repository.store().objects[&other].clone();
        [Bytes::new(), Bytes::from_static(b"\x07 rubbish of a type that there is"), other]
    }

    fn delete(&self, number: usize) {
        delete(&mut self.open().unwrap(), std::slice::from_ref(&self.archives[number]), &Silent).unwrap();
    }

    /// Opens it even if the manifest is lost.
    fn open_anyhow(&self) -> Session {
        let repository = Box::new(self.repository.clone());
        Session::open_for_undelete(repository, &self.options(&self.state())).unwrap().0
    }

    /// The archives that can be brought back whole.
    fn whole(&self) -> Vec<ArchiveName> {
        let archives = deleted_archives(&self.open_anyhow()).unwrap().archives;
        archives.into_iter().filter(|archive| archive.missing.is_nothing()).map(|archive| archive.name).collect()
    }

    fn undelete(&self, number: usize) -> Result<(), UndeleteError> {
        undelete(&mut self.open_anyhow(), &[self.archives[number].to_string()], &Content).map(drop)
    }

    /// Nothing is wrong with any of both archives, read with all that is in them.
    #[track_caller]
    fn is_whole(&self) {
        let options = CheckOptions { verify_data: true, ..CheckOptions::default() };
        let report = check_archives(&mut self.open().unwrap(), None, &options, &Silent).unwrap();
        assert_eq!((report.archives, report.problems), (2, 0), "{report:?}");
        self.backup().unwrap();
    }
}

#[test]
fn what_was_deleted_comes_back_from_under_what_was_put_and_deleted_since() {
    let house = House::new();
    let parts = house.parts(0);
    house.delete(0);
    let gone: Vec<_> = parts.iter().filter(|id| !house.repository.store().objects.contains_key(id)).copied().collect();
    assert!(gone.len() >= 3, "its own object, its list of items, a file");
    for rubbish in house.rubbish() {
        house.append(|transaction| gone.iter().for_each(|id| transaction.put(*id, rubbish.clone()).unwrap()));
        house.append(|transaction| gone.iter().for_each(|id| transaction.delete(*id).unwrap()));
    }
    assert_eq!(house.whole(), house.archives[..1]);
    house.undelete(0).unwrap();
    house.is_whole();
}

#[test]
fn what_was_deleted_comes_back_from_under_what_is_there_now() {
    let house = House::new();
    let parts = house.parts(0);
    house.delete(0);
    for rubbish in house.rubbish() {
        house.append(|transaction| parts.iter().for_each(|id| transaction.put(*id, rubbish.clone()).unwrap()));
    }
    assert_eq!(house.whole(), house.archives[..1]);
    house.undelete(0).unwrap();
    house.is_whole();
}

/// Listed as ever, an archive has nothing left of it, or lacks one thing.
#[test]
fn what_is_listed_comes_back_from_under_what_took_its_place() {
    let parts = House::new().parts(0).len();
    for which in (0..=parts).map(|number| Some(number).filter(|number| *number < parts)) {
        let house = House::new();
        let own: BTreeSet<_> = house.parts(0).difference(&house.parts(1)).copied().collect();
        let harmed: Vec<_> =
            own.into_iter().enumerate().filter(|(number, _)| which.is_none_or(|it| it == *number)).collect();
        for rubbish in house.rubbish() {
            house
                .append(|transaction| harmed.iter().for_each(|(_, id)| transaction.put(*id, rubbish.clone()).unwrap()));
        }
        if which.is_some_and(|number| number % 2 == 0) {
            house.append(|transaction| harmed.iter().for_each(|(_, id)| transaction.delete(*id).unwrap()));
        }
        if harmed.is_empty() {
            // It is the other one's, too.
            continue;
        }
        assert_eq!(house.whole(), house.archives[..1], "{which:?}");
        house.undelete(0).unwrap();
        assert!(house.whole().is_empty());
        let again = house.undelete(0).unwrap_err();
        assert!(matches!(again, UndeleteError::NoSuchArchive(_)), "{again:?}");
        house.is_whole();
    }
}

/// That something is there under its id does not make an archive whole.
#[test]
fn what_is_there_and_is_something_else_is_missing() {
    let house = House::new();
    let (id, parts) = (house.id(0), house.parts(0));
    house.delete(0);
    for part in parts.iter().filter(|part| **part != id) {
        let mut store = house.repository.store();
        store.objects.insert(*part, Bytes::from_static(b"rubbish"));
        store.earlier.remove(part);
    }
    assert!(house.whole().is_empty());
    let refused = house.undelete(0).unwrap_err();
    assert!(matches!(refused, UndeleteError::Incomplete { .. }), "{refused:?}");
}

#[test]
fn a_check_says_that_what_was_there_before_can_be_had() {
    let house = House::new();
    let own: Vec<_> = house.parts(0).difference(&house.parts(1)).copied().collect();
    for rubbish in house.rubbish() {
        house.append(|transaction| own.iter().for_each(|id| transaction.put(*id, rubbish.clone()).unwrap()));
    }
    for repair in [false, true] {
        let (report, findings) = house.checked(&CheckOptions { repair, ..CheckOptions::default() });
        assert!(report.problems > 0 && report.earlier_objects > 0, "{findings:?}");
        let told = findings.iter().filter(|finding| finding.contains("an earlier version of it is whole")).count();
        assert_eq!(told as u64, report.earlier_objects, "{findings:?}");
    }
    // What a repair has taken from the list is what was deleted.
    assert_eq!(house.whole(), house.archives[..1]);
    house.undelete(0).unwrap();
    house.is_whole();
    let (report, findings) = house.checked(&CheckOptions::default());
    assert_eq!(report.earlier_objects, 0, "{findings:?}");
}

/// That is a look besides: whatever comes of it, what was found and mended counts.
#[test]
fn a_check_that_cannot_look_for_what_was_there_before_ends_as_it_would() {
    let house = House::new();
    let id = house.id(0);
    house.repository.store().objects.remove(&id);
    house.repository.store().earlier_fails = true;
    for repair in [false, true] {
        let (report, findings) = house.checked(&CheckOptions { repair, ..CheckOptions::default() });
        assert!(report.problems > 0 && report.earlier_objects == 0, "{findings:?}");
        assert_eq!(report.remaining > 0, !repair, "{findings:?}");
        assert!(findings.iter().any(|finding| finding.contains("could not be looked for")), "{findings:?}");
    }
    let (report, findings) = house.checked(&CheckOptions::default());
    assert_eq!((report.archives, report.problems), (1, 0), "{findings:?}");
}

/// As in the place of all others, so in that of the manifest: noise, what the key has sealed for another place, what says that
/// it needs no key.
#[test]
fn what_took_the_place_of_the_manifest_is_no_manifest() {
    for harms_archives in [false, true] {
        let house = House::new();
        let plain = House::of_mode(EncryptionMode::None);
        let plain = plain.repository.store().objects[&ChunkId::MANIFEST].clone();
        let own: Vec<_> = house.parts(0).difference(&house.parts(1)).copied().collect();
        for rubbish in house.rubbish() {
            house.append(|transaction| transaction.put(ChunkId::MANIFEST, rubbish.clone()).unwrap());
            if harms_archives {
                house.append(|transaction| own.iter().for_each(|id| transaction.put(*id, rubbish.clone()).unwrap()));
            }
            house.append(|transaction| transaction.delete(ChunkId::MANIFEST).unwrap());
            for rubbish in [plain.clone(), rubbish] {
                house.append(|transaction| transaction.put(ChunkId::MANIFEST, rubbish).unwrap());
                assert_eq!(house.whole(), house.archives);
            }
        }
        let (report, findings) = house.checked(&CheckOptions::default());
        assert!(findings.iter().any(|finding| finding.starts_with("an earlier manifest is whole")), "{findings:?}");
        assert_eq!(report.earlier_objects > 1, harms_archives, "{findings:?}");
        house.undelete(0).unwrap();
        house.is_whole();
    }
}

/// Whoever has the key can make a manifest that lists nothing, and leave all else where it is.
#[test]
fn what_was_only_taken_from_the_list_comes_back() {
    let house = House::new();
    let packed = house.plaintext(ChunkId::MANIFEST);
    let (mut manifest, _) = Manifest::decode(&house.key, &packed, TamPolicy::Required).unwrap();
    manifest.archives.clear();
    let packed = manifest.write(&house.key, &[9; 64], house.clock.now()).unwrap();
    house.append(|transaction| transaction.put(ChunkId::MANIFEST, house.seal(&packed)).unwrap());
    assert_eq!(house.whole(), house.archives);
    house.undelete(0).unwrap();
    house.undelete(1).unwrap();
    house.is_whole();
}

#[test]
fn a_manifest_of_a_later_borg_is_none_that_took_the_place_of_ours() {
    let house = House::new();
    let packed = replaced(&house.plaintext(ChunkId::MANIFEST), b"version\x01", b"version\x03");
    let packed = signed(&house.key, Context::Manifest, &packed);
    house.append(|transaction| transaction.put(ChunkId::MANIFEST, house.seal(&packed)).unwrap());
    let opened = Session::open_for_undelete(Box::new(house.repository.clone()), &house.options(&house.state()));
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error, SessionError::Manifest(ManifestError::UnsupportedVersion(_))), "{error:?}");
}
