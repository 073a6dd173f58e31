//! Repositories of borg before 1.0.9, whose keys do not say whether what bears no TAM may be believed: it is, until a proven
//! manifest says that from then on none may be.

use std::sync::Arc;

use worldkeeper_archive::{ArchiveName, Manifest, ManifestError, TamPolicy};
use worldkeeper_core::{ChunkId, Clock as _};
use worldkeeper_crypto::{EncryptionMode, KeyBlob};
use worldkeeper_engine::{
    CheckOptions, ManifestLoss, RecreateOptions, Recreater, Session, SessionError, Silent, StateDir, check, rename,
};
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::weak_key;

use crate::house::{House, PASSPHRASE, unsigned};

impl House {
    /// As a borg before 1.0.9 has left it, to a client that has never seen it.
    fn of_old_borg() -> Self {
        let mut house = Self::new();
        house.take_tams();
        let blob = weak_key::of_old_borg(house.repository.store().key.as_ref().unwrap(), PASSPHRASE).unwrap();
        let parsed: KeyBlob = blob.parse().unwrap();
        house.key = parsed.open(EncryptionMode::RepokeyBlake2, PASSPHRASE).unwrap();
        house.repository.store().key = Some(blob);
        assert_eq!(house.key.tam_required(), None);
        house.disk = MemoryDisk::new();
        house
    }

    /// Takes the TAM of everything that has one.
    fn take_tams(&self) {
        for number in 0..2 {
            let id = self.id(number);
            self.replace_archive(number, &unsigned(&self.plaintext(id)));
            self.repository.store().objects.remove(&id);
        }
        let (mut manifest, _) = self.manifest();
        manifest.forget_tam_required();
        let mut old = manifest.write(&worldkeeper_crypto::Key::plaintext(), &[0; 64], self.clock.now()).unwrap();
        old = unsigned(&old);
        self.put(ChunkId::MANIFEST, &old);
    }

    /// The manifest, and whether it is proven.
    fn manifest(&self) -> (Manifest, bool) {
        let packed = self.plaintext(ChunkId::MANIFEST);
        let (manifest, tam) = Manifest::decode(&self.key, &packed, TamPolicy::Optional).unwrap();
        (manifest, tam != worldkeeper_crypto::tam::Tam::Missing)
    }

    fn open_for_check(&self, state: &StateDir) -> (Session, Option<ManifestLoss>) {
        Session::open_for_check(Box::new(self.repository.clone()), &self.options(state)).unwrap()
    }

    /// A repair that must be refused, and change nothing. A check says so.
    #[track_caller]
    fn is_not_repaired(&self, lost: usize) {
        let before = self.repository.store().objects.clone();
        let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
        for verify_data in [false, true] {
            let options = CheckOptions { verify_data, ..CheckOptions::default() };
            let (mut session, loss) = self.open_for_check(&state);
            let (report, findings) = self.checked(&options);
            let refusal = findings.iter().find(|finding| finding.contains("--repair would end with")).unwrap();
            let is_listed = matches!(loss, Some(ManifestLoss::Unproven { .. }));
            assert!(report.remaining > 0 && refusal.contains("borg upgrade --tam") == is_listed, "{refusal}");
            let repair = CheckOptions { repair: true, ..options };
            let error = check(&mut session, loss.as_ref(), &repair, &Silent).unwrap_err();
            let SessionError::ShorterList { count, is_listed: listed } = error else { panic!("{error:?}") };
            assert_eq!((count, listed), (lost, is_listed));
            assert!(self.repository.store().objects == before);
        }
    }
}

#[test]
fn what_bears_no_tam_is_believed_where_nothing_says_that_it_must() {
    let house = House::of_old_borg();
    let session = house.open().unwrap();
    let proofs = session.prove(session.archives()).unwrap();
    assert_eq!((proofs.proven.len(), proofs.unproven.len()), (2, 0), "{:?}", proofs.unproven);
    let info = session.archive_info(&house.archives[0]).unwrap();
    assert!(!session.open_archive(&info).unwrap().is_authenticated, "that is said as it is");
    drop(session);

    // What is written bears one, and the old archives go on as they are.
    assert!(!house.manifest().1);
    let third = house.backup().unwrap();
    let (manifest, is_proven) = house.manifest();
    assert!(is_proven && !manifest.tam_required());
    let state = house.state();
    let (mut session, loss) = house.open_for_check(&state);
    assert!(loss.is_none());
    assert!(session.open_archive(&session.archive_info(&third).unwrap()).unwrap().is_authenticated);
    let report = check(&mut session, None, &CheckOptions::default(), &Silent).unwrap();
    assert_eq!((report.archives, report.problems), (3, 0));
}

#[test]
fn an_old_archive_is_changed_and_found_again() {
    let house = House::of_old_borg();
    let mut session = house.open().unwrap();
    let renamed: ArchiveName = "renamed".parse().unwrap();
    rename(&mut session, &house.archives[0], &renamed, &Silent).unwrap();
    assert!(session.open_archive(&session.archive_info(&renamed).unwrap()).unwrap().is_authenticated);
    let options = RecreateOptions { comment: Some("made anew".into()), ..RecreateOptions::default() };
    let recreated = Recreater::new(&options).recreate(&mut session, &house.archives[1], None, &mut |_, _| {}, &Silent);
    assert!(recreated.unwrap().is_some());
    drop(session);

    // Without a manifest.
    let house = House::of_old_borg();
    house.repository.store().objects.remove(&ChunkId::MANIFEST);
    let state = house.state();
    let (mut session, loss) = house.open_for_check(&state);
    let options = CheckOptions { repair: true, ..CheckOptions::default() };
    let report = check(&mut session, loss.as_ref(), &options, &Silent).unwrap();
    assert_eq!((report.archives, report.remaining, session.archives().len()), (2, 0, 2));
    assert!(!house.manifest().0.tam_required());
}

/// `borg upgrade --tam` of another client, and somebody who comes later.
#[test]
fn who_takes_the_tam_off_is_found_out_once_it_was_required() {
    let house = House::of_old_borg();
    house.backup().unwrap();
    let without = unsigned(&house.plaintext(ChunkId::MANIFEST));
    house.put(ChunkId::MANIFEST, &without);
    house.open().unwrap();

    house.change_manifest_of_old_borg(Manifest::require_tam);
    let session = house.open().unwrap();
    assert_eq!(session.prove(session.archives()).unwrap().unproven.len(), 2, "none of the old ones has one");
    drop(session);
    let proven = house.repository.store().objects[&ChunkId::MANIFEST].clone();
    for without in [without, unsigned(&house.plaintext(ChunkId::MANIFEST))] {
        house.put(ChunkId::MANIFEST, &without);
        let error = house.is_refused();
        assert!(matches!(error, SessionError::Manifest(ManifestError::TamRequired)), "{error:?}");
    }
    // Whoever has not seen that it was required cannot know.
    let elsewhere = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
    Session::open(Box::new(house.repository.clone()), &house.options(&elsewhere)).unwrap();

    // A manifest that is made anew says it again.
    house.repository.store().objects.remove(&ChunkId::MANIFEST);
    let state = house.state();
    let (mut session, loss) = house.open_for_check(&state);
    let options = CheckOptions { repair: true, ..CheckOptions::default() };
    check(&mut session, loss.as_ref(), &options, &Silent).unwrap();
    drop(session);
    assert!(house.manifest().0.tam_required());
    // `borg upgrade --disable-tam`: who has the key takes it back.
    house.repository.store().objects.insert(ChunkId::MANIFEST, proven);
    house.clock.advance(std::time::Duration::from_hours(1));
    house.change_manifest_of_old_borg(Manifest::forget_tam_required);
    house.open().unwrap();
    let without = unsigned(&house.plaintext(ChunkId::MANIFEST));
    house.put(ChunkId::MANIFEST, &without);
    house.open().unwrap();
}

impl House {
    fn change_manifest_of_old_borg(&self, change: impl FnOnce(&mut Manifest)) {
        let (mut manifest, _) = self.manifest();
        change(&mut manifest);
        let packed = manifest.write(&self.key, &[9; 64], self.clock.now()).unwrap();
        self.put(ChunkId::MANIFEST, &packed);
    }
}

/// What it says of that may be anybody's word, and would be signed with the next manifest.
#[test]
fn a_manifest_without_a_tam_cannot_require_one() {
    let house = House::of_old_borg();
    let (mut manifest, _) = house.manifest();
    manifest.require_tam();
    let packed = unsigned(&manifest.write(&house.key, &[9; 64], house.clock.now()).unwrap());
    house.put(ChunkId::MANIFEST, &packed);
    house.backup().unwrap();
    assert!(!house.manifest().0.tam_required());
    assert_eq!(house.open().unwrap().prove(house.open().unwrap().archives()).unwrap().unproven.len(), 0);
}

/// A key that says so, and a borg before 1.0.9 that did not heed it; or somebody without the key.
#[test]
fn a_list_that_may_be_right_is_not_replaced_by_a_shorter_one() {
    let house = House::new();
    house.take_tams();
    let error = house.is_refused();
    assert!(matches!(error, SessionError::Manifest(ManifestError::TamRequired)), "{error:?}");
    house.is_not_repaired(2);
    // Without it nothing at all would be listed.
    house.repository.store().objects.remove(&ChunkId::MANIFEST);
    house.is_not_repaired(2);
}

/// It lists what is proven, and nothing else that is there.
#[test]
fn a_list_that_is_found_again_as_a_whole_is_replaced() {
    let house = House::new();
    let packed = house.plaintext(ChunkId::MANIFEST);
    house.put(ChunkId::MANIFEST, &unsigned(&packed));
    let state = house.state();
    let (mut session, loss) = house.open_for_check(&state);
    let options = CheckOptions { repair: true, ..CheckOptions::default() };
    let report = check(&mut session, loss.as_ref(), &options, &Silent).unwrap();
    assert_eq!((report.archives, report.remaining), (2, 0));
    drop(session);
    assert_eq!(house.open().unwrap().archives().len(), 2);
}
