//! What the tests share: ways to open, objects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use worldkeeper_core::{ChunkId, Disk, Repository, RepositoryError, RepositoryId, Stop};
use worldkeeper_repository::{CreateOptions, LocalRepository, Mode, OpenOptions};
use worldkeeper_testkit::clock::ManualClock;
pub(crate) use worldkeeper_testkit::process::Process;

/// How a process opens for something, without waiting.
pub(crate) fn options(mode: Mode, process: &Arc<Process>) -> OpenOptions {
    OpenOptions {
        mode,
        wait: Some(Duration::ZERO),
        on_wait: None,
        identity: Arc::<Process>::clone(process),
        clock: Arc::new(ManualClock::at("2026-11-06T12:00:00Z")),
        stop: Stop::default(),
    }
}

/// Opens as a process of its own.
pub(crate) fn open(
    disk: &(impl Disk + Clone + 'static),
    path: &Path,
    mode: Mode,
) -> Result<LocalRepository, RepositoryError> {
    open_as(&Process::new(), disk, path, mode)
}

/// Opens as a certain process.
pub(crate) fn open_as(
    process: &Arc<Process>,
    disk: &(impl Disk + Clone + 'static),
    path: &Path,
    mode: Mode,
) -> Result<LocalRepository, RepositoryError> {
    LocalRepository::open(Arc::new(disk.clone()), path, &options(mode, process))
}

/// Creates a repository without limits.
pub(crate) fn create(disk: &dyn Disk, path: &Path) {
    LocalRepository::create(disk, path, &CreateOptions::new(RepositoryId([0x11; 32]))).unwrap();
}

/// Replaces a line of the config.
pub(crate) fn configure(disk: &dyn Disk, repository: &Path, key: &str, value: &str) {
    let path = repository.join("config");
    let text = String::from_utf8(worldkeeper_core::disk::read(disk, &path, 10_000).unwrap()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(key) && !line.is_empty());
    let text = lines.chain([format!("{key} = {value}").as_str()]).collect::<Vec<_>>().join("\n");
    worldkeeper_core::disk::replace(disk, &path, text.as_bytes()).unwrap();
}

/// A chunk id that is not the manifest's.
pub(crate) fn id(number: u8) -> ChunkId {
    ChunkId([number.max(1); 32])
}

/// An object of some length, all bytes alike.
pub(crate) fn object(byte: u8, len: usize) -> Bytes {
    Bytes::from(vec![byte; len])
}

/// Puts objects and commits.
pub(crate) fn put(repository: &dyn Repository, objects: &[(ChunkId, Bytes)]) {
    let mut transaction = repository.begin().unwrap();
    for (id, object) in objects {
        transaction.put(*id, object.clone()).unwrap();
    }
    transaction.commit().unwrap();
}

/// The ids and objects a repository has, in order.
pub(crate) fn contents(repository: &dyn Repository) -> Result<Vec<(ChunkId, Bytes)>, RepositoryError> {
    let mut ids = repository.ids()?;
    ids.sort_unstable();
    ids.into_iter().map(|id| Ok((id, repository.get(&id)?))).collect()
}
