//! Where the list of items is cut in an archive that holds a file cut by a plan.
//!
//! Small pieces make long lists, and of a world that is played most of a list stays as it was. Stock's chunks of items
//! have 128 KiB: with them an hour of play would store more of lists than of the world. So what is large stands for
//! itself: it begins a chunk and ends one, and is cut between entries that their ids choose. What is small is collected,
//! and cut where a folder begins or its path says so. All that is decided by what is near, so that a change moves the cuts
//! nearby and no others.
//!
//! Every reader of borg's takes the list as one stream, and its chunks as cut anywhere.

use worldkeeper_archive::Item;
use worldkeeper_core::msgpack::{DecodeError, Decoder};
use worldkeeper_crypto::Key;

/// Finds the cuts, from one item to the next.
#[derive(Debug, Default)]
pub(super) struct ItemCuts {
    /// Where the last small item was.
    folder: Vec<u8>,
}

impl ItemCuts {
    /// Where to cut, by offset: what is `pending` begins with items that were collected, and `item` is packed from `start`
    /// on.
    pub(super) fn find(&mut self, key: &Key, item: &Item, pending: &[u8], start: usize) -> Vec<usize> {
        let packed = &pending[start..];
        if packed.len() > LARGE {
            self.folder.clear();
            let within = within_large(packed).expect("it was packed here");
            let ends = within.into_iter().map(|end| start + end);
            return std::iter::once(start).filter(|start| *start > 0).chain(ends).chain([pending.len()]).collect();
        }
        let folder = item.path.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
        let is_other_folder = self.folder != folder;
        if is_other_folder {
            folder.clone_into(&mut self.folder);
        }
        let is_cut = start > 0
            && (pending.len() > COLLECTED
                || start >= AT_LEAST && (is_other_folder || key.id_hash(&item.path).0[0] & ONE_IN_16 == 0));
        if is_cut { vec![start] } else { Vec::new() }
    }
}

/// Where a long list of chunks is cut: offsets in the packed item, behind entries.
fn within_large(packed: &[u8]) -> Result<Vec<usize>, DecodeError> {
    let mut ends = Vec::new();
    let mut decoder = Decoder::new(packed);
    for _ in 0..decoder.map()? {
        if decoder.raw()? != b"chunks" {
            decoder.skip()?;
            continue;
        }
        let mut begin = 0;
        for _ in 0..decoder.array()? {
            decoder.array()?;
            let id = decoder.raw()?;
            decoder.skip()?;
            decoder.skip()?;
            let len = decoder.position() - begin;
            if len >= AT_LEAST && id[0] & ONE_IN_64 == 0 || len >= AT_MOST {
                begin = decoder.position();
                ends.push(begin);
            }
        }
        break;
    }
    Ok(ends)
}

/// An item of more bytes stands for itself: some ninety pieces of a file, or an odd mass of attributes.
const LARGE: usize = 4 * 1024;
/// What is shorter is not cut: each chunk costs some hundred bytes besides what is in it.
const AT_LEAST: usize = 4 * 1024;
/// How long a part of a list gets at most, if no id is one to cut at.
const AT_MOST: usize = 32 * 1024;
/// How much of what is small is collected at most.
const COLLECTED: usize = 16 * 1024;
/// An entry has 44 bytes: another 3 KiB on average.
const ONE_IN_64: u8 = 0x3f;
/// A small item has some 230 bytes: another 4 KiB on average.
const ONE_IN_16: u8 = 0x0f;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use worldkeeper_archive::ChunkRef;
    use worldkeeper_core::ChunkId;
    use worldkeeper_core::msgpack::Encoder;
    use worldkeeper_testkit::random::Random;

    use super::*;

    fn id(random: &mut Random) -> ChunkId {
        ChunkId(std::array::from_fn(|_| random.below(256) as u8))
    }

    /// A file of so many pieces.
    fn file(path: &str, pieces: usize) -> Item {
        let mut random = Random::new(path.len() as u64 + pieces as u64);
        let size = |number: usize| 4096 + (number as u32 % 5) * 4096;
        let chunks = (0..pieces).map(|number| ChunkRef { id: id(&mut random), size: size(number), csize: 4000 });
        let chunks = Some(chunks.collect());
        Item { path: path.into(), mode: 0o100_644, mtime_ns: 1 << 60, chunks, ..Item::default() }
    }

    /// Three folders of small files, a folder of files of many pieces, and small ones again.
    fn world() -> Vec<Item> {
        let small = |folder: &'static str| (0..150).map(move |number| file(&format!("{folder}/{number}"), 1));
        let large = (0..20).map(|number| file(&format!("region/r.{number}.0.mca"), number * 100));
        small("advancements").chain(small("stats")).chain(large).chain(small("data")).collect()
    }

    fn chunks(items: &[Item]) -> Vec<Vec<u8>> {
        let (key, mut cuts, mut pending, mut chunks) = (Key::plaintext(), ItemCuts::default(), Vec::new(), Vec::new());
        for item in items {
            let start = pending.len();
            let mut encoder = Encoder::append_to(pending);
            item.encode(&mut encoder);
            pending = encoder.finish();
            let mut begin = 0;
            for end in cuts.find(&key, item, &pending, start) {
                chunks.push(pending[begin..end].to_vec());
                begin = end;
            }
            pending.drain(..begin);
        }
        chunks.push(pending);
        chunks
    }

    /// How many bytes of chunks are in one list and not in the other.
    fn new(old: &[Item], new: &[Item]) -> usize {
        let old: HashSet<_> = chunks(old).into_iter().collect();
        chunks(new).iter().filter(|chunk| !old.contains(*chunk)).map(Vec::len).sum()
    }

    #[test]
    fn chunks_are_the_stream_and_neither_tiny_nor_huge() {
        let world = world();
        let mut stream = Encoder::new();
        for item in &world {
            item.encode(&mut stream);
        }
        let (stream, chunks) = (stream.finish(), chunks(&world));
        assert_eq!(chunks.concat(), stream);
        assert!(chunks.iter().all(|chunk| chunk.len() <= AT_MOST + 200));
        let mean = stream.len() / chunks.len();
        assert!((4096..10_000).contains(&mean), "{mean}");
    }

    #[test]
    fn a_change_costs_what_is_near_it() {
        let world = world();
        assert_eq!(new(&world, &world), 0);
        // A piece of a file is another, and its times with it: what was before, the entry, and the end.
        let mut played = world.clone();
        let item = &mut played[300 + 17];
        item.mtime_ns += 1;
        item.chunks.as_mut().unwrap()[800].id = id(&mut Random::new(1));
        assert!(new(&world, &played) < 30_000, "{}", new(&world, &played));
        // One more, in the middle: what is behind it has moved.
        let mut grown = world.clone();
        let chunk = ChunkRef { id: id(&mut Random::new(2)), size: 4096, csize: 4096 };
        grown[300 + 18].chunks.as_mut().unwrap().insert(700, chunk);
        assert!(new(&world, &grown) < 30_000, "{}", new(&world, &grown));
        // A small file comes, a large one goes.
        let mut moved = world.clone();
        moved.insert(200, file("stats/new", 1));
        moved.remove(310);
        assert!(new(&world, &moved) < 40_000, "{}", new(&world, &moved));
        let size: usize = chunks(&world).iter().map(Vec::len).sum();
        assert!(size > 800_000, "{size}");
    }

    #[test]
    fn a_list_in_which_no_id_is_one_to_cut_at_is_cut_all_the_same() {
        let mut item = file("r.0.0.mca", 5000);
        item.chunks.as_mut().unwrap().iter_mut().for_each(|chunk| chunk.id.0[0] |= 1);
        let chunks = chunks(&[item]);
        assert_eq!(chunks.len(), 5000 * 44 / AT_MOST + 2, "one for each 32 KiB, and nothing is left behind the last");
        assert!(chunks.iter().all(|chunk| chunk.len() <= AT_MOST + 200));
    }
}
