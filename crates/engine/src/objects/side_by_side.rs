//! Checks objects of which there are several at hand: their digests go side by side.

use bytes::Bytes;
use worldkeeper_compress::Decompressor;
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::Key;

use super::{MAX_CHUNK_SIZE, ObjectError, ObjectProblem};

/// Requires that each object is the one with its id.
pub(crate) fn verify_objects(
    key: &Key,
    decompressor: &mut Decompressor,
    objects: &[(ChunkId, Bytes)],
) -> Result<(), ObjectError> {
    let inputs: Vec<_> = objects.iter().map(|(_, object)| Key::mac_input(object)).collect();
    let macs = key.mac_digester().map(|digester| digester.digest_all(&inputs));
    let mut payload = Vec::new();
    let mut open = |place: usize, object: &[u8]| {
        // The modes that do not encrypt have no MAC, and any will do.
        key.verify_mac(object, &macs.as_ref().map_or([0; 32], |macs| macs[place]))?;
        key.decrypt_into(object, &mut payload)?;
        Ok(decompressor.decompress(&payload, None, MAX_CHUNK_SIZE)?)
    };
    let failed = |id: ChunkId, source: ObjectProblem| ObjectError { id, source: Box::new(source) };
    let mut chunks = Vec::with_capacity(objects.len());
    for (place, (id, object)) in objects.iter().enumerate() {
        chunks.push((*id, open(place, object).map_err(|problem| failed(*id, problem))?));
    }
    key.verify_ids(&chunks).map_err(|mismatch| failed(mismatch.expected, mismatch.into()))
}

#[cfg(test)]
mod tests {
    use worldkeeper_compress::Compressor;
    use worldkeeper_core::RepositoryId;
    use worldkeeper_crypto::EncryptionMode;
    use worldkeeper_testkit::fixtures::sha_stream;

    use super::*;
    use crate::random;

    #[test]
    fn one_wrong_object_among_many_is_named() {
        for mode in [EncryptionMode::None, EncryptionMode::Repokey, EncryptionMode::RepokeyBlake2] {
            let key = random::with(|random| Key::generate(mode, RepositoryId([1; 32]), random)).unwrap();
            let mut compressor = Compressor::new("lz4".parse().unwrap(), random::fill as random::Fill);
            let mut seal = |number: usize| {
                let chunk = [sha_stream("noise", 100 * number), vec![7; 500]].concat();
                let mut object = vec![0; key.overhead()];
                compressor.compress(&chunk, &mut object).unwrap();
                key.seal(1000 * number as u64, &mut object);
                (key.id_hash(&chunk), object)
            };
            let good: Vec<_> = (0..11).map(&mut seal).collect();
            let verify = |objects: &[(ChunkId, Vec<u8>)]| {
                let objects: Vec<_> = objects.iter().map(|(id, object)| (*id, object.clone().into())).collect();
                verify_objects(&key, &mut Decompressor::new(), &objects)
            };
            verify(&good).unwrap();
            verify(&[]).unwrap();
            for place in [0, 5, 10] {
                let mut flipped = good.clone();
                *flipped[place].1.last_mut().unwrap() ^= 1;
                assert_eq!(verify(&flipped).unwrap_err().id, good[place].0, "{mode}");
                let mut other = good.clone();
                other[place].1.clone_from(&good[(place + 1) % 11].1);
                let error = verify(&other).unwrap_err();
                assert!(error.id == good[place].0 && matches!(*error.source, ObjectProblem::WrongId(_)), "{mode}");
            }
        }
    }
}
