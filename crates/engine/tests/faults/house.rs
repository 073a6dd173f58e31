//! A sidecar whose repository and state directory lie on one disk in memory; only the world is real.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use worldkeeper_archive::ArchiveName;
use worldkeeper_core::disk;
use worldkeeper_core::repository::CheckOptions as StoredCheckOptions;
use worldkeeper_core::{ChunkId, Clock, Disk, Repository, RepositoryError, RepositoryId, Stop};
use worldkeeper_crypto::{EncryptionMode, KeyFile};
use worldkeeper_engine::{
    CheckOptions, CreateOptions, DeletedArchives, NoKeyFiles, RecreateOptions, Recreater, Session, SessionError,
    SessionOptions, Silent, StateDir, check, check_stored, compact, create, delete, deleted_archives, export_key,
    import_key, rename, undelete,
};
use worldkeeper_repository::{self as repository, LocalRepository, Mode, OpenOptions};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::weak_key::weaken;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) const REPOSITORY: &str = "/repository";
pub(crate) const STATE: &str = "/state";
pub(crate) const PASSPHRASE: &str = "correct horse";
pub(crate) const NEW_PASSPHRASE: &str = "battery staple";
/// Chunks of which some files of the world need several.
const SMALL_CHUNKS: &str = "fixed,16384";

/// One run of the sidecar: a process of its own, on a disk that it shares with those before it.
pub(crate) struct House {
    pub(crate) disk: MemoryDisk,
    pub(crate) mode: EncryptionMode,
    clock: Arc<ManualClock>,
    passphrase: &'static str,
}

impl House {
    /// A run `hour` hours after the first one, of a sidecar that makes repositories of `mode`.
    pub(crate) fn new(disk: &MemoryDisk, mode: EncryptionMode, hour: u32) -> Self {
        let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
        clock.advance(Duration::from_hours(hour.into()));
        Self { disk: disk.clone(), mode, clock, passphrase: PASSPHRASE }
    }

    /// The same with the passphrase that the key was put under.
    pub(crate) fn with_new_passphrase(self) -> Self {
        Self { passphrase: NEW_PASSPHRASE, ..self }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    pub(crate) fn state(&self) -> Outcome<StateDir> {
        Ok(StateDir::open(self.disk(), Path::new(STATE), "test")?)
    }

    /// The repository alone, without its key.
    pub(crate) fn repository(&self, state: &StateDir, mode: Mode) -> Result<LocalRepository, RepositoryError> {
        let options = OpenOptions {
            mode,
            wait: Some(Duration::ZERO),
            on_wait: None,
            identity: state.identity(),
            clock: Arc::clone(&self.clock) as _,
            stop: Stop::default(),
        };
        LocalRepository::open(self.disk(), Path::new(REPOSITORY), &options)
    }

    fn options<'a>(&'a self, state: &'a StateDir) -> SessionOptions<'a> {
        SessionOptions {
            state,
            key_store: &NoKeyFiles,
            passphrase: Some(self.passphrase),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            stop: Stop::default(),
        }
    }

    /// Opens what is there.
    pub(crate) fn open(&self, state: &StateDir, mode: Mode) -> Outcome<Session> {
        Ok(Session::open(Box::new(self.repository(state, mode)?), &self.options(state))?)
    }

    /// Opens for a backup, which makes a repository that is not there, and finishes one that was never finished.
    fn open_or_make(&self, state: &StateDir) -> Outcome<Session> {
        let repository = match self.repository(state, Mode::Exclusive) {
            Err(RepositoryError::DoesNotExist(_)) => {
                Self::require_none_was_here(state)?;
                let options = repository::CreateOptions::new(RepositoryId([7; 32]));
                LocalRepository::create(&self.disk, Path::new(REPOSITORY), &options)?;
                self.repository(state, Mode::Exclusive)?
            }
            opened => opened?,
        };
        match repository.get(&ChunkId::MANIFEST) {
            Err(RepositoryError::ObjectNotFound(_)) if repository.ids()?.is_empty() => {
                Self::require_none_was_here(state)?;
                Ok(Session::initialize(Box::new(repository), self.mode, &self.options(state))?)
            }
            _ => Ok(Session::open(Box::new(repository), &self.options(state))?),
        }
    }

    /// Requires that no repository was here, as the command line does before it makes one.
    fn require_none_was_here(state: &StateDir) -> Outcome {
        match state.repository_at(REPOSITORY)? {
            Some(id) => Err(format!("repository {id} was here, and is gone").into()),
            None => Ok(()),
        }
    }

    pub(crate) fn initialize(&self) -> Outcome {
        self.open_or_make(&self.state()?).map(drop)
    }

    /// Makes an archive of a version of the world; returns its name.
    pub(crate) fn create(&self, version: usize) -> Outcome<String> {
        self.create_with(&Self::create_options(version)?)
    }

    /// The same, but it takes so long that it saves checkpoints on the way.
    pub(crate) fn create_slowly(&self, version: usize) -> Outcome<String> {
        let clock = Arc::new(ManualClock::at(&self.clock.now().to_string()).ticking());
        let chunker_params = SMALL_CHUNKS.parse()?;
        let checkpoint_interval = Duration::from_secs(6);
        let options = CreateOptions { chunker_params, checkpoint_interval, ..Self::create_options(version)? };
        Self { disk: self.disk.clone(), clock, ..*self }.create_with(&options)
    }

    fn create_options(version: usize) -> Outcome<CreateOptions> {
        let options = CreateOptions::new("mc", [world(version).to_owned()]);
        Ok(CreateOptions { sealers: 1, compression: "none".parse()?, ..options })
    }

    fn create_with(&self, options: &CreateOptions) -> Outcome<String> {
        let state = self.state()?;
        Ok(create(&mut self.open_or_make(&state)?, options, &Silent)?.name.to_string())
    }

    /// Deletes the oldest archives.
    pub(crate) fn delete(&self, count: usize) -> Outcome {
        let state = self.state()?;
        let mut session = self.open(&state, Mode::Exclusive)?;
        let names: Vec<ArchiveName> = session.archives().into_iter().take(count).map(|archive| archive.name).collect();
        delete(&mut session, &names, &Silent)?;
        Ok(())
    }

    /// Brings back the archive that was deleted.
    pub(crate) fn undelete(&self) -> Outcome {
        let state = self.state()?;
        let mut session = self.open(&state, Mode::Exclusive)?;
        let DeletedArchives { archives, unread } = deleted_archives(&session)?;
        if let Some(error) = unread {
            return Err(error.into());
        }
        let deleted: Vec<_> = archives.iter().map(|archive| archive.name.to_string()).collect();
        undelete(&mut session, &deleted, &Silent)?;
        Ok(())
    }

    /// Gives the oldest archive another name.
    pub(crate) fn rename(&self) -> Outcome {
        let state = self.state()?;
        let mut session = self.open(&state, Mode::Exclusive)?;
        let oldest = session.archives().remove(0).name;
        Ok(rename(&mut session, &oldest, &ArchiveName::from_bytes("renamed"), &Silent)?)
    }

    /// Makes the oldest archive anew, cut and compressed in another way.
    pub(crate) fn recreate(&self) -> Outcome {
        let (compression, chunker_params) = ("lz4".parse()?, Some(SMALL_CHUNKS.parse()?));
        self.recreate_with(&RecreateOptions { compression, chunker_params, ..RecreateOptions::default() })
    }

    /// Remarks something on the oldest archive.
    pub(crate) fn comment(&self) -> Outcome {
        self.recreate_with(&RecreateOptions { comment: Some("a remark".to_owned()), ..RecreateOptions::default() })
    }

    fn recreate_with(&self, options: &RecreateOptions) -> Outcome {
        let state = self.state()?;
        let mut session = self.open(&state, Mode::Exclusive)?;
        let oldest = session.archives().remove(0).name;
        let stats = Recreater::new(options).recreate(&mut session, &oldest, None, &mut |_, _| {}, &Silent)?;
        stats.map(drop).ok_or_else(|| "there was nothing to do".into())
    }

    /// Mends what can be mended, as the command line does it: the stored bytes, then what they mean.
    pub(crate) fn repair(&self) -> Outcome {
        let state = self.state()?;
        let repository = self.repository(&state, Mode::Exclusive)?;
        let stored = StoredCheckOptions { repair: true, max_duration: None };
        let found = check_stored(&repository, &state, &stored, &mut |_| {})?;
        let (mut session, loss) = Session::open_for_check(Box::new(repository), &self.options(&state))?;
        let options = CheckOptions { repair: true, workers: 1, ..CheckOptions::default() };
        let mended = check(&mut session, loss.as_ref(), &options, &Silent)?;
        if found.is_sound() && mended.is_sound() { Ok(()) } else { Err("not all could be mended".into()) }
    }

    pub(crate) fn compact(&self) -> Outcome<u64> {
        let state = self.state()?;
        Ok(compact(&mut self.open(&state, Mode::Exclusive)?, 10)?.freed_bytes)
    }

    /// Takes the repository as it is.
    pub(crate) fn adopt(&self) -> Outcome {
        let state = self.state()?;
        self.open(&state, Mode::Exclusive)?.accept(&state)?;
        Ok(())
    }

    pub(crate) fn change_passphrase(&self) -> Outcome {
        let state = self.state()?;
        match self.open(&state, Mode::Exclusive)?.change_passphrase(NEW_PASSPHRASE, &NoKeyFiles) {
            Err(SessionError::Keyless(_)) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Puts a copy of the key back that was made under the new passphrase.
    pub(crate) fn import_key(&self) -> Outcome {
        static COPY: OnceLock<KeyFile> = OnceLock::new();
        let state = self.state()?;
        let repository = self.repository(&state, Mode::Exclusive)?;
        if self.mode == EncryptionMode::None {
            return Ok(());
        }
        let copy = COPY.get_or_init(|| {
            let of = House::new(&self.disk.after_kill(), self.mode, 0);
            of.change_passphrase().unwrap();
            of.weaken_key();
            export_key(&of.repository(&of.state().unwrap(), Mode::WithoutLock).unwrap(), &NoKeyFiles).unwrap()
        });
        import_key(&repository, &NoKeyFiles, copy, Some(NEW_PASSPHRASE))?;
        Ok(())
    }

    /// Puts the key that is there, if there is one, under its passphrase as one that is stretched at once. Nothing else
    /// on the disk is touched.
    pub(crate) fn weaken_key(&self) {
        static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let path = Path::new(REPOSITORY).join("config");
        let Ok(text) = disk::read(&self.disk, &path, 100_000) else { return };
        let text = String::from_utf8(text).unwrap();
        let Some((before, rest)) = text.split_once("key = ") else { return };
        let end = rest.match_indices('\n').find(|(at, _)| !rest[at + 1..].starts_with(['\t', ' ']));
        let (key, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        let known = KNOWN.lock().unwrap().get(key).cloned();
        let weak = known.unwrap_or_else(|| {
            let weak = [PASSPHRASE, NEW_PASSPHRASE].iter().find_map(|passphrase| weaken(key, passphrase)).unwrap();
            KNOWN.lock().unwrap().extend([key, &weak].map(|key| (key.to_owned(), weak.clone())));
            weak
        });
        if weak != key {
            self.disk.remove_file(&path).unwrap();
            let mut config = self.disk.create(&path).unwrap();
            config.append(format!("{before}key = {weak}{after}").as_bytes()).unwrap();
            config.sync().unwrap();
            self.disk.sync_dir(Path::new(REPOSITORY)).unwrap();
        }
    }

    /// Flips a bit in what an archive of the world's second version alone holds.
    pub(crate) fn damage(&self) {
        let state = self.state().unwrap();
        let session = self.open(&state, Mode::Shared).unwrap();
        let archive = session.open_archive(&session.archives()[1]).unwrap();
        let mut items = session.items(&archive).map(Result::unwrap);
        let region = items.find(|item| item.path.ends_with(b"region.mca")).unwrap();
        let id = region.chunks.unwrap()[0].id;
        let object = self.repository(&state, Mode::WithoutLock).unwrap().get(&id).unwrap();
        let mut segments = segment_files(&self.disk).into_iter();
        let (path, mut bytes, at) = segments
            .find_map(|path| {
                let bytes = disk::read(&self.disk, &path, u64::MAX).unwrap();
                let at = bytes.windows(object.len()).position(|window| window == object)?;
                Some((path, bytes, at))
            })
            .unwrap();
        bytes[at + object.len() / 2] ^= 1;
        disk::replace(&self.disk, &path, &bytes).unwrap();
    }

    /// Makes segments small, so that few objects make many of them.
    pub(crate) fn make_segments_small(&self) {
        let path = Path::new(REPOSITORY).join("config");
        let text = String::from_utf8(disk::read(&self.disk, &path, 100_000).unwrap()).unwrap();
        let line = |line: &str| match line.split(' ').next() {
            Some("max_segment_size") => "max_segment_size = 24K\n".to_owned(),
            Some("segments_per_dir") => "segments_per_dir = 5\n".to_owned(),
            _ => format!("{line}\n"),
        };
        let text: String = text.lines().map(line).collect();
        disk::replace(&self.disk, &path, text.as_bytes()).unwrap();
    }
}

fn segment_files(disk: &MemoryDisk) -> Vec<PathBuf> {
    let names = |folder: &Path| {
        let entries = disk.list(folder).unwrap().into_iter();
        entries.map(|(name, _)| folder.join(name)).collect::<Vec<_>>()
    };
    names(&Path::new(REPOSITORY).join("data")).iter().flat_map(|folder| names(folder)).collect()
}

/// A version of the world, by its own path: each is what it is for as long as the tests run.
pub(crate) fn world(version: usize) -> &'static Path {
    static WORLDS: OnceLock<(TempDir, Vec<PathBuf>)> = OnceLock::new();
    let (_, versions) = WORLDS.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let versions = (0..4).map(|version| folder.path().join(version.to_string())).collect::<Vec<_>>();
        for (number, root) in versions.iter().enumerate() {
            tree::world(root, 3, "the same");
            tree::world(&root.join("own"), 3, &number.to_string());
            tree::write(&root.join("region.mca"), &sha_stream(&number.to_string(), 70_000));
            tree::write(&root.join("repository/data/0/1"), &segment(number as u8));
        }
        (folder, versions)
    });
    &versions[version]
}

/// A file that is itself a segment: a manifest of somebody else's, committed. It must never count as one of ours.
fn segment(number: u8) -> Vec<u8> {
    let mut put = [&[0; 4][..], &(41 + 50u32).to_le_bytes(), &[0], &[0; 32], &[number; 50]].concat();
    let crc = crc32fast::hash(&put[4..]).to_le_bytes();
    put[..4].copy_from_slice(&crc);
    [b"BORG_SEG", &put[..], b"\x40\xf4\x3c\x25\x09\x00\x00\x00\x02"].concat()
}
