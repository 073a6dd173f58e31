//! Reads several chunks at a time: what each of them alone would be told, with their digests side by side.

use worldkeeper_core::ChunkId;
use worldkeeper_crypto::Key;

use super::{ChunkReader, MAX_CHUNK_SIZE, ObjectError, ObjectProblem};

/// A chunk and the length of its object, or why there is none.
pub(crate) type ReadChunk = Result<(u32, Vec<u8>), ObjectError>;

/// How many bytes of objects, and of chunks, are at hand at a time; the last of them may go beyond.
const AT_ONCE: usize = 12 * 1024 * 1024;

impl ChunkReader<'_> {
    /// Reads chunks as [`read_with_csize`](Self::read_with_csize) does each of them, whose sizes are known or not; `each`
    /// is told of them in order.
    pub(crate) fn read_several(
        &mut self,
        wanted: impl IntoIterator<Item = (ChunkId, Option<u32>)>,
        mut each: impl FnMut(ChunkId, ReadChunk),
    ) {
        let mut wanted = wanted.into_iter();
        loop {
            let (mut objects, mut bytes) = (Vec::new(), 0);
            while bytes < AT_ONCE
                && let Some((id, size)) = wanted.next()
            {
                let object = self.repository.get(&id);
                bytes += object.as_ref().map_or(0, bytes::Bytes::len);
                objects.push((id, size, object));
            }
            if objects.is_empty() {
                return;
            }
            let inputs: Vec<_> = objects
                .iter()
                .map(|(.., object)| object.as_ref().map_or(&[][..], |object| Key::mac_input(object)))
                .collect();
            // The modes that do not encrypt have no MAC, and any will do.
            let macs = self.key.mac_digester().map(|digester| digester.digest_all(&inputs));
            let mut opened = Opened::default();
            for (place, (id, size, object)) in objects.into_iter().enumerate() {
                let mac = macs.as_ref().map_or([0; 32], |macs| macs[place]);
                let chunk = object.map_err(ObjectProblem::from).and_then(|object| {
                    self.key.verify_mac(&object, &mac)?;
                    self.key.decrypt_into(&object, &mut self.payload)?;
                    let csize = object.len() as u32;
                    // It is not needed any more, and chunks are large.
                    drop(object);
                    let size = size.map(|size| size as usize);
                    Ok((csize, self.decompressor.decompress(&self.payload, size, MAX_CHUNK_SIZE)?))
                });
                opened.push(id, chunk);
                if opened.bytes >= AT_ONCE {
                    std::mem::take(&mut opened).tell(self.key, &mut each);
                }
            }
            opened.tell(self.key, &mut each);
        }
    }
}

/// Chunks whose ids are not looked at yet.
#[derive(Default)]
struct Opened {
    /// The length of each object, or why there is no chunk.
    results: Vec<(ChunkId, Result<u32, ObjectProblem>)>,
    /// Those that there are, in the same order.
    chunks: Vec<(ChunkId, Vec<u8>)>,
    bytes: usize,
}

impl Opened {
    fn push(&mut self, id: ChunkId, chunk: Result<(u32, Vec<u8>), ObjectProblem>) {
        let csize = chunk.map(|(csize, chunk)| {
            self.bytes += chunk.len();
            self.chunks.push((id, chunk));
            csize
        });
        self.results.push((id, csize));
    }

    /// Checks the ids, and tells of each chunk.
    fn tell(self, key: &Key, each: &mut impl FnMut(ChunkId, ReadChunk)) {
        let all_are_right = key.verify_ids(&self.chunks).is_ok();
        let mut chunks = self.chunks.into_iter();
        for (id, csize) in self.results {
            let chunk = csize.and_then(|csize| {
                let (_, chunk) = chunks.next().expect("there is one for each that did not fail");
                if !all_are_right {
                    // Which of them are not, and what they are instead.
                    key.verify_id(&id, &chunk)?;
                }
                Ok((csize, chunk))
            });
            each(id, chunk.map_err(|source| ObjectError { id, source: Box::new(source) }));
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

    /// What a reader says of a chunk, for comparing.
    fn said(read: ReadChunk) -> Result<(u32, Vec<u8>), String> {
        read.map_err(|error| format!("{error}: {}", error_text(&error.source)))
    }

    #[test]
    fn several_at_a_time_are_told_what_each_alone_is_told() {
        // Together more than is at hand at a time; the last ones are for being damaged.
        let sizes = [0, 1, 500, 70_000, 7 << 20, 7 << 20, 3, 7 << 20, 200, 200, 200, 200, 200, 200, 200];
        let chunks: Vec<_> = (0..).zip(sizes).map(|(number, len)| sha_stream(&format!("{number}"), len)).collect();
        for mode in EncryptionMode::ALL {
            let key = random::with(|random| Key::generate(mode, RepositoryId([1; 32]), random)).unwrap();
            let repository = MemoryRepository::new(1);
            let mut wanted = Vec::new();
            for (number, chunk) in (0..).zip(&chunks) {
                let id = key.id_hash(chunk);
                // A header says that the payload is as it was.
                let mut object = [&vec![0; key.overhead()][..], &[0, 0], chunk].concat();
                match number {
                    8 => object[key.overhead()] = 0xee,
                    9 => *object.last_mut().unwrap() ^= 1,
                    _ => {}
                }
                key.seal(number << 32, &mut object);
                match number {
                    10 => *object.last_mut().unwrap() ^= 1,
                    11 => object.truncate(3),
                    12 => object[0] ^= 0x55,
                    _ => {}
                }
                let expected = (number % 2 == 0).then_some(chunk.len() as u32);
                if number != 13 {
                    repository.store().objects.insert(id, object.into());
                }
                wanted.push((id, expected));
            }
            let mut one_by_one = ChunkReader::new(&repository, &key);
            let expected: Vec<_> =
                wanted.iter().map(|(id, size)| (*id, said(one_by_one.read_with_csize(id, *size)))).collect();
            let failed = expected.iter().filter(|(_, read)| read.is_err()).count();
            assert_eq!(failed, 6, "{mode}: all that were damaged");
            for order in [wanted.clone(), wanted[8..].to_vec(), wanted[..8].to_vec(), wanted[4..5].to_vec(), vec![]] {
                let mut told = Vec::new();
                let mut reader = ChunkReader::new(&repository, &key);
                reader.read_several(order.iter().copied(), |id, read| told.push((id, said(read))));
                let expected = expected.iter().filter(|(id, _)| order.iter().any(|(wanted, _)| wanted == id));
                assert!(told.iter().eq(expected), "{mode}");
            }
        }
    }
}
