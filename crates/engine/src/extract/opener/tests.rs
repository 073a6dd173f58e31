//! A repository that is far away was told in which order it will be asked.

use worldkeeper_core::{Clock, Disk, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::disk::MemoryDisk;
use worldkeeper_testkit::memory_repository::MemoryRepository;

use super::*;
use crate::key_store::NoKeyFiles;
use crate::objects::Relay;
use crate::session::SessionOptions;
use crate::state::StateDir;

#[test]
fn small_chunks_and_large_ones_are_asked_for_in_the_order_of_the_archive() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let state = StateDir::open(disk, "/state".as_ref(), "test").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
    let stop = Stop::default();
    let options = SessionOptions { state: &state, key_store: &NoKeyFiles, passphrase: None, clock, stop };
    let repository = MemoryRepository::new(1);
    let session = Session::initialize(Box::new(repository.clone()), EncryptionMode::None, &options).unwrap();
    repository.store().reads.clear();

    let (relay, proven, _digests) = Relay::new();
    let (jobs_in, jobs) = crossbeam_channel::unbounded();
    let (steps_in, steps) = crossbeam_channel::unbounded();
    let chunks: Vec<_> = (0..200_u8).map(|number| ChunkRef { id: ChunkId([number; 32]), size: 1, csize: 1 }).collect();
    // In turn: some small ones, and a large one or two. None of them is there.
    for (place, chunks) in (0_u64..).zip(chunks.chunks(5)) {
        let mut wanted = chunks.iter().map(|chunk| wanted(place, *chunk));
        jobs_in.send(Job::Small(wanted.by_ref().take(3 + place as usize % 2).collect())).unwrap();
        wanted.for_each(|large| jobs_in.send(Job::Large(relay.errand(large))).unwrap());
    }
    drop((jobs_in, relay));
    Opener::new(&session, &Buffers::new(0), steps_in).run(&jobs, &proven);
    assert_eq!(repository.store().reads, chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>());
    assert_eq!(steps.iter().flatten().count(), chunks.len());
}
