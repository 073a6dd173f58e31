//! A client, and a repository whose disk is somebody else's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use worldkeeper_archive::{ArchiveName, Manifest, TamPolicy};
use worldkeeper_compress::Compressor;
use worldkeeper_core::msgpack::{Decoder, Encoder};
use worldkeeper_core::{ChunkId, Clock, Stop};
use worldkeeper_crypto::tam::{Context, Unsigned};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob};
use worldkeeper_engine::{
    ArchiveProblem, CreateOptions, DeleteError, Monitor, NoKeyFiles, Session, SessionError, SessionOptions, Silent,
    StateDir, create, delete,
};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::memory_repository::MemoryRepository;
use worldkeeper_testkit::tree;

pub(crate) const PASSPHRASE: &str = "correct horse";

/// A client, and a repository with two archives of a small world, `a` and `b`.
pub(crate) struct House {
    pub(crate) world: TempDir,
    pub(crate) disk: MemoryDisk,
    pub(crate) repository: MemoryRepository,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) archives: [ArchiveName; 2],
    pub(crate) key: Key,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::of_mode(EncryptionMode::RepokeyBlake2)
    }

    pub(crate) fn of_mode(mode: EncryptionMode) -> Self {
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

    pub(crate) fn state(&self) -> StateDir {
        StateDir::open(Arc::new(self.disk.clone()), "/state".as_ref(), "test").unwrap()
    }

    pub(crate) fn options<'a>(&self, state: &'a StateDir) -> SessionOptions<'a> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        SessionOptions { state, key_store: &NoKeyFiles, passphrase: Some(PASSPHRASE), clock, stop: Stop::default() }
    }

    pub(crate) fn open(&self) -> Result<Session, SessionError> {
        Session::open(Box::new(self.repository.clone()), &self.options(&self.state()))
    }

    pub(crate) fn backup(&self) -> Result<ArchiveName, String> {
        self.backup_told(&Silent)
    }

    pub(crate) fn backup_told(&self, monitor: &dyn Monitor) -> Result<ArchiveName, String> {
        self.clock.advance(Duration::from_hours(1));
        let mut session = self.open().map_err(|error| format!("{error:?}"))?;
        let options = CreateOptions {
            hostname: "host".into(),
            sealers: 1,
            ..CreateOptions::new("mc", [self.world.path().to_owned()])
        };
        create(&mut session, &options, monitor).map(|created| created.name).map_err(|error| format!("{error:?}"))
    }

    /// The id of an archive's metadata object.
    pub(crate) fn id(&self, archive: usize) -> ChunkId {
        self.open().unwrap().archive_info(&self.archives[archive]).unwrap().id
    }

    pub(crate) fn plaintext(&self, id: ChunkId) -> Vec<u8> {
        let object = self.repository.store().objects[&id].clone();
        let payload = self.key.open(&object).unwrap();
        worldkeeper_compress::Decompressor::new().decompress(&payload, None, 1 << 20).unwrap()
    }

    /// Seals a plaintext as the client would, far from all counter values that it uses.
    pub(crate) fn seal(&self, plaintext: &[u8]) -> Bytes {
        let mut object = vec![0; self.key.overhead()];
        let no_random = |_: &mut [u8]| Ok::<_, std::io::Error>(());
        Compressor::new("none".parse().unwrap(), no_random).compress(plaintext, &mut object).unwrap();
        let id = self.key.id_hash(plaintext);
        self.key.seal(u64::from(u32::from_le_bytes(id.0[..4].try_into().unwrap())) << 16, &mut object);
        object.into()
    }

    pub(crate) fn put(&self, id: ChunkId, plaintext: &[u8]) {
        let object = self.seal(plaintext);
        self.repository.store().objects.insert(id, object);
    }

    /// Puts metadata in the place of an archive's, with a manifest that says so.
    pub(crate) fn replace_archive(&self, archive: usize, packed: &[u8]) {
        let id = self.key.id_hash(packed);
        self.put(id, packed);
        self.change_manifest(|manifest| manifest.archives.get_mut(&self.archives[archive]).unwrap().id = id);
    }

    pub(crate) fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let packed = self.plaintext(ChunkId::MANIFEST);
        let (mut manifest, _) = Manifest::decode(&self.key, &packed, TamPolicy::Required).unwrap();
        change(&mut manifest);
        let packed = manifest.write(&self.key, &[9; 64], self.clock.now()).unwrap();
        self.put(ChunkId::MANIFEST, &packed);
    }

    /// What is wrong with an archive; the other one must be as it was.
    #[track_caller]
    pub(crate) fn problem(&self, archive: usize) -> ArchiveProblem {
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
    pub(crate) fn nothing_is_deleted(&self) {
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
    pub(crate) fn is_refused(&self) -> SessionError {
        let before = self.repository.store().objects.clone();
        let error = self.open().map(drop).unwrap_err();
        assert!(self.backup().is_err());
        assert!(self.repository.store().objects == before);
        error
    }
}

/// A map without a TAM that has one again, made for some context.
pub(crate) fn signed(key: &Key, context: Context, packed: &[u8]) -> Vec<u8> {
    let (count, rest) = fields(packed);
    let mut encoder = Encoder::new();
    encoder.map(count + 1).packed(&rest).raw("tam");
    let tam = Unsigned::encode([3; 64], &mut encoder);
    let mut packed = encoder.finish();
    tam.sign(key, context, &mut packed);
    packed
}

/// The same map without its TAM.
pub(crate) fn unsigned(packed: &[u8]) -> Vec<u8> {
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

pub(crate) fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
