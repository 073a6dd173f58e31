//! Whether objects are still those that were stored: their MACs say so, and nothing has to be decrypted for it.

use bytes::Bytes;
use worldkeeper_core::{ChunkId, Repository};
use worldkeeper_crypto::{Awaited, Digester, Key};

use super::several::AT_ONCE;
use super::{ObjectError, ObjectProblem};

/// An object that was stored, and the MAC it was stored with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredObject {
    pub(crate) id: ChunkId,
    /// Means nothing in the modes that do not encrypt.
    pub(crate) mac: [u8; 32],
}

/// An object that is read.
struct UnderWay {
    stored: StoredObject,
    object: Bytes,
    mac: Awaited,
}

/// Reads objects until there is no `next`, their MACs side by side, which `begun` begins; `failed` is told of those that are not what was
/// stored.
///
/// An object is what it was when its MAC is the one that it was stored with, and matches its content: whoever sealed it has seen
/// that it can be opened. Another object under the same id is found out by that, even one that holds the same chunk.
pub(crate) fn prove_several(
    repository: &dyn Repository,
    key: &Key,
    begun: &Digester,
    mut next: impl FnMut() -> Option<StoredObject>,
    mut failed: impl FnMut(ObjectError),
) {
    let mut failed = |id, problem| failed(ObjectError { id, source: Box::new(problem) });
    let (mut under_way, mut bytes, mut has_more) = (Vec::new(), 0, true);
    loop {
        while has_more && bytes < AT_ONCE {
            match next().map(|stored| (stored, repository.get(&stored.id))) {
                Some((stored, Ok(object))) => {
                    bytes += object.len();
                    let mac = Awaited::new(begun.clone(), Key::mac_input(&object).len());
                    under_way.push(UnderWay { stored, object, mac });
                }
                Some((stored, Err(error))) => failed(stored.id, error.into()),
                None => has_more = false,
            }
        }
        if under_way.is_empty() {
            return;
        }
        // Who is left alone is not finished, if others may come to go beside it.
        let width = if has_more { key.lanes() } else { 1 };
        let messages = under_way.iter_mut().map(|one| (&mut one.mac, Key::mac_input(&one.object)));
        Awaited::go_on(messages, width, usize::MAX);
        for UnderWay { stored, object, mac } in under_way.extract_if(.., |one| one.mac.is_finished()) {
            bytes -= object.len();
            let mac = mac.digest().expect("it is finished");
            if let Err(error) = key.verify_mac(&object, &mac) {
                failed(stored.id, error.into());
            } else if mac != stored.mac {
                failed(stored.id, ObjectProblem::AnotherOne);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::{RepositoryId, error_text};
    use worldkeeper_crypto::EncryptionMode;
    use worldkeeper_testkit::fixtures::sha_stream;
    use worldkeeper_testkit::memory_repository::MemoryRepository;

    use super::*;
    use crate::random;

    #[test]
    fn objects_that_are_not_what_was_stored_are_told_and_no_others() {
        // Together more than is at hand at a time.
        let sizes = [7 << 20, 500, 0, 70_000, 7 << 20, 1, 3, 7 << 20, 200, 200];
        for mode in EncryptionMode::ALL.into_iter().filter(|mode| mode.encrypts()) {
            let key = random::with(|random| Key::generate(mode, RepositoryId([1; 32]), random)).unwrap();
            let repository = MemoryRepository::new(1);
            let mut stored = Vec::new();
            for (number, len) in (0..).zip(sizes) {
                let chunk = sha_stream(&format!("{number}"), len);
                let id = key.id_hash(&chunk);
                let sealed = |nonce: u64| {
                    let mut object = [&vec![0; key.overhead()][..], &chunk].concat();
                    key.seal(nonce << 32, &mut object);
                    object
                };
                let mut object = sealed(number);
                stored.push(StoredObject { id, mac: Key::mac(&object).unwrap() });
                match number {
                    1 => *object.last_mut().unwrap() ^= 1,
                    2 => object.truncate(3),
                    3 => object[5] ^= 1,
                    5 => object[0] ^= 0x55,
                    // The same chunk, sealed once more.
                    6 => object = sealed(100),
                    _ => {}
                }
                if number != 8 {
                    repository.store().objects.insert(id, object.into());
                }
            }
            let (mut coming, mut told) = (stored.iter().copied(), Vec::new());
            prove_several(
                &repository,
                &key,
                &key.mac_digester().unwrap(),
                || coming.next(),
                |error| {
                    let place = stored.iter().position(|stored| stored.id == error.id).unwrap();
                    assert!(error.is_damage(), "{error:?}");
                    told.push((place, error_text(&error.source)));
                },
            );
            told.sort_unstable();
            let places: Vec<_> = told.iter().map(|(place, _)| *place).collect();
            assert_eq!(places, [1, 2, 3, 5, 6, 8], "{mode}: {told:?}");
            assert!(told[4].1.contains("not the one that was stored"), "{told:?}");
        }
    }
}
