//! A repository whose disk is somebody else's: what is put there by hand is refused by name, or flagged, and nothing is
//! written to it. Most of it is made with the key, as by somebody who had it once, so that only the one check that is
//! meant stands in the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use worldkeeper_archive::{ArchiveError, ArchiveMetadata, ArchiveName, Manifest, ManifestError, TamPolicy};
use worldkeeper_compress::Compressor;
use worldkeeper_core::msgpack::{Decoder, Encoder};
use worldkeeper_core::{ChunkId, Clock, Disk, Stop, disk};
use worldkeeper_crypto::tam::{Context, TamError, Unsigned};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob, KeyBlobError, OpenError, nonce};
use worldkeeper_engine::{
    ArchiveProblem, CreateOptions, DeleteError, NoKeyFiles, ObjectProblem, Session, SessionError, SessionOptions,
    Silent, StateDir, Suspicion, Trust, create, delete,
};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::tree;

const PASSPHRASE: &str = "correct horse";

/// A client, and a repository with two archives of a small world, `a` and `b`.
struct House {
    world: TempDir,
    disk: MemoryDisk,
    repository: MemoryRepository,
    clock: Arc<ManualClock>,
    archives: [ArchiveName; 2],
    key: Key,
}

impl House {
    fn new() -> Self {
        Self::of_mode(EncryptionMode::RepokeyBlake2)
    }

    fn of_mode(mode: EncryptionMode) -> Self {
        let nobody = ArchiveName::from_bytes(Vec::new());
        let mut house = Self {
            world: TempDir::new().unwrap(),
            disk: MemoryDisk::new(),
            repository: MemoryRepository::new(1),
            clock: Arc::new(ManualClock::at("2030-01-01T00:00:00Z")),
            archives: [nobody.clone(), nobody],
            key: Key::plaintext(),
        };
        let state = house.state();
        Session::initialize(Box::new(house.repository.clone()), mode, &house.options(&state)).unwrap();
        if mode != EncryptionMode::None {
            let blob: KeyBlob = house.repository.store().key.as_ref().unwrap().parse().unwrap();
            house.key = blob.open(mode, PASSPHRASE).unwrap();
        }
        for number in 0..2 {
            tree::write(&house.world.path().join("level.dat"), format!("world {number}").as_bytes());
            house.archives[number] = house.backup().unwrap();
        }
        house
    }

    fn state(&self) -> StateDir {
        StateDir::open(Arc::new(self.disk.clone()), "/state".as_ref(), "test").unwrap()
    }

    fn options<'a>(&self, state: &'a StateDir) -> SessionOptions<'a> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        SessionOptions { state, key_store: &NoKeyFiles, passphrase: Some(PASSPHRASE), clock, stop: Stop::default() }
    }

    fn open(&self) -> Result<Session, SessionError> {
        Session::open(Box::new(self.repository.clone()), &self.options(&self.state()))
    }

    fn backup(&self) -> Result<ArchiveName, String> {
        self.clock.advance(Duration::from_hours(1));
        let mut session = self.open().map_err(|error| format!("{error:?}"))?;
        let options = CreateOptions {
            hostname: "host".into(),
            sealers: 1,
            ..CreateOptions::new("mc", [self.world.path().to_owned()])
        };
        create(&mut session, &options, &Silent).map(|created| created.name).map_err(|error| format!("{error:?}"))
    }

    /// The id of an archive's metadata object.
    fn id(&self, archive: usize) -> ChunkId {
        self.open().unwrap().archive_info(&self.archives[archive]).unwrap().id
    }

    fn plaintext(&self, id: ChunkId) -> Vec<u8> {
        let object = self.repository.store().objects[&id].clone();
        let payload = self.key.open(&object).unwrap();
        worldkeeper_compress::Decompressor::new().decompress(&payload, None, 1 << 20).unwrap()
    }

    /// Seals a plaintext as the client would, far from all counter values that it uses.
    fn seal(&self, plaintext: &[u8]) -> Bytes {
        let mut object = vec![0; self.key.overhead()];
        let no_random = |_: &mut [u8]| Ok::<_, std::io::Error>(());
        Compressor::new("none".parse().unwrap(), no_random).compress(plaintext, &mut object).unwrap();
        let id = self.key.id_hash(plaintext);
        self.key.seal(u64::from(u32::from_le_bytes(id.0[..4].try_into().unwrap())) << 16, &mut object);
        object.into()
    }

    fn put(&self, id: ChunkId, plaintext: &[u8]) {
        let object = self.seal(plaintext);
        self.repository.store().objects.insert(id, object);
    }

    /// Puts metadata in the place of an archive's, with a manifest that says so.
    fn replace_archive(&self, archive: usize, packed: &[u8]) {
        let id = self.key.id_hash(packed);
        self.put(id, packed);
        self.change_manifest(|manifest| manifest.archives.get_mut(&self.archives[archive]).unwrap().id = id);
    }

    fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let packed = self.plaintext(ChunkId::MANIFEST);
        let (mut manifest, _) = Manifest::decode(&self.key, &packed, TamPolicy::Required).unwrap();
        change(&mut manifest);
        let packed = manifest.write(&self.key, &[9; 64], self.clock.now()).unwrap();
        self.put(ChunkId::MANIFEST, &packed);
    }

    /// What is wrong with an archive; the other one must be as it was.
    #[track_caller]
    fn problem(&self, archive: usize) -> ArchiveProblem {
        let session = self.open().unwrap();
        assert_eq!(session.archives().len(), 2, "both are listed");
        let other = session.open_archive(&session.archive_info(&self.archives[1 - archive]).unwrap());
        if let Ok(other) = &other {
            assert!(session.items(other).all(|item| item.is_ok()));
        }
        let name = &self.archives[archive];
        match session.open_archive(&session.archive_info(name).unwrap()).map(drop) {
            Err(SessionError::Archive(broken)) => {
                assert_eq!(broken.name, *name);
                broken.source
            }
            other => panic!("{other:?}"),
        }
    }

    /// Neither is deleted by a client that has to read both: what the broken one refers to is not known.
    #[track_caller]
    fn nothing_is_deleted(&self) {
        let before = self.repository.store().objects.clone();
        for name in &self.archives {
            let state = StateDir::open(Arc::new(MemoryDisk::new()), "/state".as_ref(), "test").unwrap();
            let mut session = Session::open(Box::new(self.repository.clone()), &self.options(&state)).unwrap();
            let error = delete(&mut session, std::slice::from_ref(name), &Silent).unwrap_err();
            let is_named = matches!(&error, DeleteError::Session(SessionError::Archive(_)));
            assert!(is_named && self.repository.store().objects == before, "{error:?}");
        }
    }

    /// The repository cannot be opened, and so it is not written to either.
    #[track_caller]
    fn is_refused(&self) -> SessionError {
        let before = self.repository.store().objects.clone();
        let error = self.open().map(drop).unwrap_err();
        assert!(self.backup().is_err());
        assert!(self.repository.store().objects == before);
        error
    }
}

/// A map without a TAM that has one again, made for some context.
fn signed(key: &Key, context: Context, packed: &[u8]) -> Vec<u8> {
    let (count, rest) = fields(packed);
    let mut encoder = Encoder::new();
    encoder.map(count + 1).packed(&rest).raw("tam");
    let tam = Unsigned::encode([3; 64], &mut encoder);
    let mut packed = encoder.finish();
    tam.sign(key, context, &mut packed);
    packed
}

/// The same map without its TAM.
fn unsigned(packed: &[u8]) -> Vec<u8> {
    let (count, rest) = fields(packed);
    let mut encoder = Encoder::new();
    encoder.map(count).packed(&rest);
    encoder.finish()
}

/// How many pairs a map has beside its TAM, and those pairs.
fn fields(packed: &[u8]) -> (usize, Vec<u8>) {
    let mut decoder = Decoder::new(packed);
    let (mut count, mut rest) = (0, Vec::new());
    for _ in 0..decoder.map().unwrap() {
        let (key, value) = (decoder.skip().unwrap(), decoder.skip().unwrap());
        if key != b"\xa3tam" {
            count += 1;
            rest.extend_from_slice(key);
            rest.extend_from_slice(value);
        }
    }
    (count, rest)
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

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
    let house = House::new();
    let (name, packed) = (house.archives[0].to_string(), house.plaintext(house.id(0)));
    let renamed = name.replace('-', "+");
    house.replace_archive(0, &replaced(&packed, name.as_bytes(), renamed.as_bytes()));
    let problem = house.problem(0);
    assert!(matches!(problem, ArchiveProblem::Metadata(ArchiveError::Tam(TamError::Invalid))), "{problem:?}");
    house.nothing_is_deleted();
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
