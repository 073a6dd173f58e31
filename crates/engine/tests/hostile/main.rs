//! A repository whose disk is somebody else's: what is put there by hand is refused by name, or flagged, and nothing is
//! written to it. Most of it is made with the key, as by somebody who had it once, so that only the one check that is
//! meant stands in the way.

mod check;
mod earlier;
mod features;
mod house;
mod old_borg;
mod unproven;
mod unread;

use std::sync::Arc;

use worldkeeper_archive::{ArchiveError, ArchiveMetadata, ArchiveName, ManifestError};
use worldkeeper_core::{ChunkId, Disk, disk};
use worldkeeper_crypto::tam::{Context, TamError};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob, KeyBlobError, OpenError, nonce};
use worldkeeper_engine::{
    ArchiveProblem, CheckOptions, ObjectProblem, Session, SessionError, SessionOptions, Silent, StateDir, Suspicion,
    Trust, check as check_archives, delete,
};
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::tree;

use house::{House, replaced, signed, unsigned};

#[test]
fn a_manifest_without_a_tam() {
    let house = House::new();
    let packed = house.plaintext(ChunkId::MANIFEST);
    house.put(ChunkId::MANIFEST, &signed(&house.key, Context::Manifest, &packed));
    house.open().unwrap();
    house.put(ChunkId::MANIFEST, &unsigned(&packed));
    let error = house.is_refused();
    assert!(matches!(error, SessionError::Manifest(ManifestError::TamRequired)), "{error:?}");
}

#[test]
fn a_manifest_with_the_tam_of_an_archive() {
    let house = House::new();
    let packed = house.plaintext(ChunkId::MANIFEST);
    for forged in [signed(&house.key, Context::Archive, &packed), house.plaintext(house.id(0))] {
        house.put(ChunkId::MANIFEST, &forged);
        let error = house.is_refused();
        assert!(matches!(error, SessionError::Manifest(ManifestError::Tam(TamError::Invalid))), "{error:?}");
    }
}

#[test]
fn a_tam_of_a_weaker_type() {
    let house = House::new();
    let weaker = |packed: &[u8]| replaced(packed, b"HKDF_HMAC_SHA512", b"HKDF_HMAC_SHA256");
    house.replace_archive(0, &weaker(&house.plaintext(house.id(0))));
    let problem = house.problem(0);
    let ArchiveProblem::Metadata(ArchiveError::Tam(TamError::UnsupportedType(found))) = problem else {
        panic!("{problem:?}")
    };
    assert_eq!(found, "HKDF_HMAC_SHA256");
    house.put(ChunkId::MANIFEST, &weaker(&house.plaintext(ChunkId::MANIFEST)));
    let error = house.is_refused();
    let is_named = matches!(error, SessionError::Manifest(ManifestError::Tam(TamError::UnsupportedType(_))));
    assert!(is_named, "{error:?}");
}

/// CVE-2016-10099: whoever gets a file into the backup has an object that the key sealed.
#[test]
fn a_file_whose_content_is_a_manifest() {
    let house = House::new();
    let packed = house.plaintext(ChunkId::MANIFEST);
    for content in [unsigned(&packed), signed(&Key::plaintext(), Context::Manifest, &packed)] {
        tree::write(&house.world.path().join("level.dat"), &content);
        house.backup().unwrap();
        let before = house.repository.store().objects[&ChunkId::MANIFEST].clone();
        let object = house.repository.store().objects[&house.key.id_hash(&content)].clone();
        house.repository.store().objects.insert(ChunkId::MANIFEST, object);
        let error = house.is_refused();
        assert!(
            matches!(error, SessionError::Manifest(ManifestError::TamRequired | ManifestError::Tam(_))),
            "{error:?}"
        );
        house.repository.store().objects.insert(ChunkId::MANIFEST, before);
    }
}

/// The manifest vouches for its id, so it is read; but it is flagged.
#[test]
fn an_archive_without_a_tam() {
    let house = House::new();
    house.replace_archive(0, &unsigned(&house.plaintext(house.id(0))));
    let session = house.open().unwrap();
    let authenticated = |number: usize| {
        session.open_archive(&session.archive_info(&house.archives[number]).unwrap()).unwrap().is_authenticated
    };
    assert_eq!((authenticated(0), authenticated(1)), (false, true));
}

/// Borg 1.2.4 and older left such archives behind when they renamed them.
#[test]
fn an_archive_that_was_renamed_without_a_new_tam() {
    let mut house = House::new();
    let (name, packed) = (house.archives[0].clone(), house.plaintext(house.id(0)));
    let renamed = name.to_string().replace('-', "+");
    house.replace_archive(0, &replaced(&packed, name.to_string().as_bytes(), renamed.as_bytes()));
    let renamed = ArchiveName::from_bytes(renamed);
    house.change_manifest(|manifest| {
        let entry = manifest.archives.remove(&name).unwrap();
        manifest.archives.insert(renamed.clone(), entry);
    });
    house.archives[0] = renamed;
    let problem = house.problem(0);
    assert!(matches!(problem, ArchiveProblem::Metadata(ArchiveError::Tam(TamError::Invalid))), "{problem:?}");
    // It is in nobody's way: what it refers to can be read, so it can be deleted, and the other one, and no more goes.
    for name in &house.archives {
        let repository = house.repository.snapshot();
        let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
        let mut session = Session::open(Box::new(repository.clone()), &house.options(&state)).unwrap();
        assert!(delete(&mut session, std::slice::from_ref(name), &Silent).unwrap().objects > 0);
        let report = check_archives(&mut session, None, &CheckOptions::default(), &Silent).unwrap();
        assert!(report.archives == 1 && report.damaged_files == 0, "{report:?}");
    }
}

#[test]
fn an_archive_with_the_tam_of_a_manifest() {
    let house = House::new();
    let forged = signed(&house.key, Context::Manifest, &house.plaintext(house.id(0)));
    house.replace_archive(0, &forged);
    let problem = house.problem(0);
    assert!(matches!(problem, ArchiveProblem::Metadata(ArchiveError::Tam(TamError::Invalid))), "{problem:?}");
    let manifest = signed(&house.key, Context::Manifest, &house.plaintext(ChunkId::MANIFEST));
    house.replace_archive(0, &manifest);
    assert!(matches!(house.problem(0), ArchiveProblem::Metadata(_)));
}

/// CVE-2016-10100.
#[test]
fn two_archives_of_one_name() {
    let house = House::new();
    let [first, second] = house.archives.each_ref().map(ToString::to_string);
    let packed = replaced(&house.plaintext(ChunkId::MANIFEST), second.as_bytes(), first.as_bytes());
    house.put(ChunkId::MANIFEST, &signed(&house.key, Context::Manifest, &packed));
    let error = house.is_refused();
    let SessionError::Manifest(ManifestError::Duplicate(name)) = error else { panic!("{error:?}") };
    assert_eq!(name, house.archives[0]);
}

#[test]
fn two_archives_under_each_others_names() {
    let house = House::new();
    let ids = [house.id(0), house.id(1)];
    house.change_manifest(|manifest| {
        for (name, id) in house.archives.iter().zip(ids.into_iter().rev()) {
            manifest.archives.get_mut(name).unwrap().id = id;
        }
    });
    for number in [0, 1] {
        let problem = house.problem(number);
        assert!(
            matches!(&problem, ArchiveProblem::OtherName(name) if *name == house.archives[1 - number]),
            "{problem:?}"
        );
    }
    house.nothing_is_deleted();
}

#[test]
fn an_archive_with_the_items_of_another() {
    let house = House::new();
    let items = |number: usize| {
        let packed = house.plaintext(house.id(number));
        let (metadata, _) = ArchiveMetadata::decode(&house.key, &packed).unwrap();
        assert_eq!(metadata.items.len(), 1);
        (packed, metadata.items[0])
    };
    let ((packed, own), (_, others)) = (items(0), items(1));
    house.replace_archive(0, &replaced(&packed, &own.0, &others.0));
    let problem = house.problem(0);
    assert!(matches!(problem, ArchiveProblem::Metadata(ArchiveError::Tam(TamError::Invalid))), "{problem:?}");
}

#[test]
fn an_object_in_the_place_of_another() {
    let house = House::new();
    let session = house.open().unwrap();
    let [first, second] =
        [0, 1].map(|number| session.open_archive(&session.archive_info(&house.archives[number]).unwrap()).unwrap());
    let [own, others] = [&first, &second].map(|archive| archive.metadata.items[0]);
    let object = house.repository.store().objects[&others].clone();
    house.repository.store().objects.insert(own, object);
    let error = session.items(&first).find_map(Result::err).unwrap();
    let SessionError::Object(error) = error else { panic!("{error:?}") };
    assert!(error.id == own && matches!(*error.source, ObjectProblem::WrongId(_)), "{error:?}");
    assert!(session.items(&second).all(|item| item.is_ok()));
}

#[test]
fn a_repository_with_another_key() {
    let house = House::new();
    let other = House::new();
    // All of another one, which says that it is ours.
    let store = other.repository.store().clone();
    *house.repository.store() = store;
    assert_eq!(house.open().unwrap().archives().len(), 2, "it has our passphrase and our id: nobody could tell");

    // Its key under another passphrase: nothing is known of it, nothing is written.
    let blob = KeyBlob::seal(&other.key, "another", &mut |salt| salt.fill(1));
    house.repository.store().key = Some(blob.to_string());
    let error = house.is_refused();
    assert!(matches!(error, SessionError::Key(KeyBlobError::WrongPassphrase)), "{error:?}");

    // Our key, and objects of another.
    let house = House::new();
    let objects = other.repository.store().objects.clone();
    house.repository.store().objects = objects;
    let error = house.is_refused();
    let SessionError::Object(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error.source, ObjectProblem::Open(OpenError::Mac)), "{error:?}");
}

/// It is not the passphrase that is wrong, and nobody shall go and look for another one.
#[test]
fn another_repository_with_another_passphrase() {
    let house = House::new();
    let other = House { repository: MemoryRepository::new(2), ..House::new() };
    let elsewhere = other.state();
    let options = SessionOptions { passphrase: Some("another"), ..other.options(&elsewhere) };
    Session::initialize(Box::new(other.repository.clone()), EncryptionMode::Repokey, &options).unwrap();
    let found = other.repository.at("/memory/1");
    let (state, before) = (house.state(), found.store().objects.clone());
    let error = Session::open(Box::new(found.clone()), &house.options(&state)).map(drop).unwrap_err();
    let SessionError::OtherRepository { seen, found: id } = error else { panic!("{error:?}") };
    assert_eq!((seen, id), (house.open().unwrap().id(), worldkeeper_core::Repository::id(&found)));
    assert!(found.store().objects == before);
}

#[test]
fn a_repository_without_encryption_in_its_place() {
    let house = House::new();
    let plain = House::of_mode(EncryptionMode::None);
    let store = plain.repository.store().clone();
    *house.repository.store() = store;
    let expected = Suspicion::OtherKeyType { seen: 5, found: 2 };
    assert_eq!(*house.open().unwrap().trust(), Trust::Suspicious(expected));
    let before = house.repository.store().objects.clone();
    house.backup().unwrap_err();
    assert!(house.repository.store().objects == before, "nothing is written in the clear");
}

/// Whoever owns the disk sets the counter back.
#[test]
fn a_nonce_file_that_is_low_or_missing() {
    for low in [None, Some(0), Some(1)] {
        let house = House::new();
        let reserved = house.repository.store().nonce.unwrap();
        house.repository.store().nonce = low;
        house.backup().unwrap();
        let next = house.repository.store().nonce.unwrap();
        // The repository in memory has seen to it that no value was used twice.
        assert!((1..1 << 40).contains(&(next - reserved)), "the state knows better: {next:#x}");
    }
}

#[test]
fn a_nonce_file_that_is_not_the_states() {
    let house = House::new();
    let state = house.state().repository(house.open().unwrap().id()).file("nonce");
    for content in ["", "garbage", "00000000000000zz", "+000000000000001", "0x00000000000001", "00000000000000001"] {
        disk::replace(&house.disk, &state, content.as_bytes()).unwrap();
        assert_eq!(house.open().unwrap().archives().len(), 2, "reading needs no counter");
        let before = house.repository.store().objects.clone();
        let error = house.backup().unwrap_err();
        assert!(error.contains("Damaged") && error.contains("nonce"), "{error}");
        assert!(house.repository.store().objects == before);
    }
    // Taken away, it is as in a client that has never been here: the counter leaps.
    house.disk.remove_file(&state).unwrap();
    let reserved = house.repository.store().nonce.unwrap();
    house.backup().unwrap();
    assert!(house.repository.store().nonce.unwrap() - reserved >= 1 << 48);
}

/// Set to where the counter would wrap around, it makes the key useless, which whoever owns the disk can do anyway; but
/// no value is used twice, and once it is set right all is as before.
#[test]
fn a_counter_near_the_top_is_refused_and_never_wraps() {
    for top in [nonce::LIMIT - nonce::MARGIN, nonce::LIMIT, u64::MAX - 1, u64::MAX] {
        let house = House::new();
        let reserved = house.repository.store().nonce;
        house.repository.store().nonce = Some(top);
        let error = house.backup().unwrap_err();
        assert!(error.contains("WornOut"), "{error}");
        assert_eq!(house.repository.store().nonce, Some(top), "not reserved");
        // So near that an adoption cannot leap.
        let elsewhere = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
        let mut session = Session::open(Box::new(house.repository.clone()), &house.options(&elsewhere)).unwrap();
        let refused = session.accept(&elsewhere).unwrap_err();
        assert!(matches!(refused, SessionError::WornOut(_)), "{refused:?}");
        assert_eq!(house.open().unwrap().archives().len(), 2, "it is read for ever");
        house.repository.store().nonce = reserved;
        house.backup().unwrap();
    }
    // Another client has used what is near the top, and the manifest proves it.
    let house = House::new();
    let packed = house.plaintext(ChunkId::MANIFEST);
    let mut object = vec![0; house.key.overhead()];
    object.extend_from_slice(&[0, 0]);
    object.extend_from_slice(&packed);
    house.key.seal(nonce::LIMIT - 1, &mut object);
    house.repository.store().objects.insert(ChunkId::MANIFEST, object.into());
    let error = house.backup().unwrap_err();
    assert!(error.contains("WornOut"), "{error}");
}

/// A value that the repository never gave back: the very last that can be reserved is used, and then no more.
#[test]
fn the_last_counter_values_are_used_and_then_none() {
    let house = House::new();
    house.repository.store().nonce = Some(nonce::LIMIT - nonce::MARGIN - 1000);
    house.backup().unwrap();
    let end = house.repository.store().nonce.unwrap();
    assert!(end <= nonce::LIMIT && end > nonce::LIMIT - 1000, "{end:#x}");
    assert!(house.backup().unwrap_err().contains("WornOut"));
}
