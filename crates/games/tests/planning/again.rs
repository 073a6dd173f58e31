//! A region file is read while a server writes to it.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use worldkeeper_core::FileFormat;
use worldkeeper_games::Anvil;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::worlds::{SECTOR, Server};

use crate::again;

const HEAD: usize = 2 * SECTOR;

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Some chunk is written, with content of any length.
fn write_one(server: &mut Server, random: &mut Random, now_s: u32) {
    let (slot, len) = (random.below(40), random.below(4 * SECTOR));
    let content = sha_stream(&format!("chunk {now_s}"), len);
    server.write(slot, now_s, 2, &zlib(&content));
}

/// Writes a little while somebody reads.
struct Writer<'a> {
    server: &'a mut Server,
    random: Random,
    now_s: u32,
    /// How often it still writes.
    left: usize,
}

impl Writer<'_> {
    fn go_on(&mut self) {
        for _ in 0..self.random.below(3).min(self.left) {
            self.left -= 1;
            self.now_s += 1;
            write_one(self.server, &mut self.random, self.now_s);
        }
    }

    /// Reads a range, with the server at work between each two sectors.
    fn read(&mut self, copy: &mut [u8], from: usize) {
        for (number, sector) in copy.chunks_mut(SECTOR).enumerate() {
            let at = from + number * SECTOR;
            sector.copy_from_slice(&self.server.file[at..at + sector.len()]);
            self.go_on();
        }
    }
}

#[test]
fn gate_a_file_that_is_written_to_is_read_until_all_chunks_fit() {
    for case in 0..gate::amount(20, 4000) {
        let mut random = Random::of(case as u64);
        let mut server = Server::default();
        for now_s in 1..150 {
            write_one(&mut server, &mut random, now_s);
        }
        let left = random.below(200);
        let mut writer = Writer { server: &mut server, random, now_s: 1000, left };
        let mut copy = vec![0; writer.server.file.len()];
        writer.read(&mut copy, 0);
        let mut rounds = 0;
        loop {
            let before = copy[..HEAD].to_vec();
            copy.resize(writer.server.file.len(), 0);
            copy[..HEAD].copy_from_slice(&writer.server.file[..HEAD]);
            let ranges = again(&before, &copy[..HEAD], copy.len());
            if ranges.is_empty() {
                break;
            }
            for range in ranges {
                writer.read(&mut copy[range.clone()], range.start);
            }
            rounds += 1;
            assert!(rounds < 300, "case {case} of seed {}", gate::seed());
        }
        for room in (0..1024).filter_map(|slot| server.room(slot)) {
            assert_eq!(copy[room.clone()], server.file[room.clone()], "case {case} of seed {}", gate::seed());
            assert!(Anvil.is_whole(&copy[room]));
        }
    }
}

#[test]
fn what_must_be_read_again_is_what_the_header_says_something_new_of() {
    let mut server = Server::default();
    for slot in [3, 9, 1023] {
        server.write(slot, 5, 3, &[1; 5000]);
    }
    server.close();
    let before = server.file[..HEAD].to_vec();
    assert!(again(&before, &before, server.file.len()).is_empty());
    server.write(9, 6, 3, &[2; 100]);
    server.close();
    let now = server.file[..HEAD].to_vec();
    let all = [2 * SECTOR..4 * SECTOR, 6 * SECTOR..8 * SECTOR, 8 * SECTOR..9 * SECTOR];
    assert_eq!(again(&before, &now, server.file.len()), all[2..]);
    // In place: only the time says so.
    let mut in_place = now.clone();
    in_place[SECTOR + 3 * 4 + 3] += 1;
    assert_eq!(again(&now, &in_place, server.file.len()), all[..1]);
    // Nothing was known before, or nothing is said now.
    assert_eq!(again(&[], &now, server.file.len()), all);
    assert!(again(&now, &[0; HEAD], server.file.len()).is_empty());
    assert!(again(&now, &now[..HEAD - 1], server.file.len()).is_empty());
    // What lies behind the end cannot be read; a chunk that it cuts off can as far as it is there.
    assert_eq!(again(&[], &now, 8 * SECTOR), all[..2]);
    assert_eq!(again(&[], &now, 8 * SECTOR + 50), [all[0].clone(), all[1].clone(), 8 * SECTOR..8 * SECTOR + 50]);
    assert!(again(&[], &now, 0).is_empty());
}

#[test]
fn who_may_have_come_back_unseen_was_written_in_the_newest_second() {
    let mut server = Server::default();
    for (slot, now_s) in [(3, 5), (9, 7), (1023, 7), (4, 6)] {
        server.write(slot, now_s, 3, &[1; 5000]);
    }
    server.close();
    let newest = |head: &[u8], len: usize| {
        let ranges = Anvil.newest(head, len as u64);
        ranges.into_iter().map(|range| range.start as usize..range.end as usize).collect::<Vec<_>>()
    };
    assert_eq!(newest(&server.file[..HEAD], server.file.len()), [4 * SECTOR..6 * SECTOR, 6 * SECTOR..8 * SECTOR]);
    assert_eq!(newest(&server.file[..HEAD], 5 * SECTOR).len(), 1, "what lies behind the end cannot be read");
    assert!(newest(&server.file[..HEAD - 1], server.file.len()).is_empty());
    assert!(newest(&[0; HEAD], server.file.len()).is_empty());
}

#[test]
fn a_chunk_is_whole_if_what_it_holds_inflates() {
    let content = sha_stream("content", 20_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&content).unwrap();
    let payloads = [(1, encoder.finish().unwrap()), (2, zlib(&content))];
    for (kind, payload) in payloads {
        let chunk = [&(payload.len() as u32 + 1).to_be_bytes()[..], &[kind], &payload].concat();
        let padded = [&chunk[..], &[0xa5; 1000]].concat();
        assert!(Anvil.is_whole(&chunk) && Anvil.is_whole(&padded));
        for len in [0, 1, 4, 5, 6, 1000, chunk.len() - 1] {
            assert!(!Anvil.is_whole(&chunk[..len]), "{len} bytes of kind {kind}");
        }
        // Another chunk's bytes from somewhere on, as in a file that is written to.
        for at in [9, 100, 10_000, chunk.len() - 3] {
            let torn = [&chunk[..at], &sha_stream("another", chunk.len() - at)[..]].concat();
            assert!(!Anvil.is_whole(&torn), "torn at {at}");
        }
        for len in [0_u32, 1, 2, payload.len() as u32, u32::MAX] {
            let cut = [&len.to_be_bytes()[..], &chunk[4..]].concat();
            assert!(!Anvil.is_whole(&cut), "{len}");
        }
    }
    // Nothing can be told of what is not compressed, compressed in a way that is not known, or elsewhere.
    for kind in [3, 127, 9, 0x82] {
        assert!(Anvil.is_whole(&[0, 0, 0, 1, kind]), "{kind}");
    }
    assert!(!Anvil.is_whole(&[0, 0, 0, 9, 4, b'L', b'Z', b'4', b'B', b'l', b'o', b'c', b'k']));
    // A little that would be very much.
    let bomb = zlib(&vec![0; 80 << 20]);
    let chunk = [&(bomb.len() as u32 + 1).to_be_bytes()[..], &[2], &bomb].concat();
    assert!(Anvil.is_whole(&chunk));
}
