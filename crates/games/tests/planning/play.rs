//! A server plays, and its region file is cut again and again: what is stored anew is what was written.

use std::collections::HashSet;
use std::ops::Range;

use worldkeeper_core::{Known, Last};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::worlds::Server;

use crate::{pieces, sizes};

/// What is stored of a file, by its content.
#[derive(Default)]
struct Stored(HashSet<Vec<u8>>);

impl Stored {
    /// Stores what is new; returns of how many bytes that is.
    fn store(&mut self, file: &[u8], pieces: &[Range<usize>]) -> usize {
        let is_new = |piece: &&Range<usize>| self.0.insert(file[(*piece).clone()].to_vec());
        pieces.iter().filter(is_new).map(Range::len).sum()
    }
}

/// A chunk is written: nearly nothing, or some sectors. Returns where; it may move on before anybody looks.
fn write_one(server: &mut Server, random: &mut Random, now_s: u32) -> Range<usize> {
    let slot = random.below(100);
    let len = if random.below(4) == 0 { 300 } else { 600 + random.below(12_000) };
    server.write(slot, now_s, 2, &sha_stream(&format!("{now_s} {}", random.below(1 << 30)), len));
    server.room(slot).expect("it was written")
}

#[test]
fn gate_what_is_stored_anew_is_what_was_written() {
    let mut all = [0, 0];
    for case in 0..gate::amount(4, 400) {
        let mut random = Random::of(case as u64);
        let mut server = Server::default();
        for _ in 0..200 {
            write_one(&mut server, &mut random, 1000);
        }
        let (mut stored, mut stored_unknowing) = (Stored::default(), Stored::default());
        let mut last = pieces(&server.file, &Known::default());
        stored.store(&server.file, &last);
        stored_unknowing.store(&server.file, &last);
        for hour in 1..20 {
            let changed_s = 1000 + (hour - 1) * 10;
            let mut written = Vec::new();
            for _ in 0..=random.below(40) {
                written.push(write_one(&mut server, &mut random, changed_s as u32 + 10));
            }
            if random.below(3) == 0 {
                server.close();
            }
            let remembered = sizes(&last);
            let known = Last { sizes: &remembered, changed_s: changed_s + 1 };
            let now = pieces(&server.file, &Known { now_s: 5000, last: Some(known), is_full: false });
            let new = stored.store(&server.file, &now);
            // Nothing else than the header, and pieces of the last time in which something was written since.
            let is_written = |piece: &&Range<usize>| {
                piece.start == 0 || written.iter().any(|room| room.start < piece.end && piece.start < room.end)
            };
            let old_len = last.last().map_or(0, |piece| piece.end);
            let may = last.iter().filter(is_written).map(Range::len).sum::<usize>() + (server.file.len() - old_len);
            assert!(new <= may, "{new} of {may} bytes, hour {hour} of case {case} of seed {}", gate::seed());
            all[0] += new;
            all[1] += stored_unknowing.store(&server.file, &pieces(&server.file, &Known::default()));
            last = now;
        }
    }
    assert!(all[0] < all[1], "to know the pieces of the last time saves nothing: {all:?}, seed {}", gate::seed());
}
