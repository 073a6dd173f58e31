//! Minecraft's NBT in files of its own: the level, the players, maps, structures. Nearly all of it is gzip, which says of
//! itself whether it is whole.

use flate2::{Decompress, FlushDecompress, Status};
use worldkeeper_core::{Defects, FileFormat, Judge};

use crate::blank::Blank;
use crate::path::{is_within, name};

/// A file of NBT, compressed with gzip.
#[derive(Clone, Copy, Debug)]
pub struct Nbt;

impl FileFormat for Nbt {
    fn judge(&self, path: &[u8], head: &[u8]) -> Option<Box<dyn Judge>> {
        let extension = name(path).rsplit(|byte| *byte == b'.').next()?;
        if head.starts_with(GZIP) && EXTENSIONS.contains(&extension) {
            return Some(Box::new(Gzip::new()));
        }
        let may_be_blank = head.iter().all(|byte| *byte == 0);
        (may_be_blank && is_never_blank(path)).then(|| Box::new(Blank::new()) as Box<dyn Judge>)
    }
}

/// What gzip begins with, and the only method there is.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

/// Of files that hold NBT, if they are gzip.
const EXTENSIONS: [&[u8]; 6] = [b"dat", b"dat_old", b"nbt", b"schematic", b"schem", b"litematic"];

/// Where players are, by version: before 1.7, from 1.7 on, from 26 on.
const PLAYERS: [&[&str]; 3] = [&["players"], &["playerdata"], &["players", "data"]];

/// Returns whether this file holds something in every world: the level or a player. Games write it anew and exchange it
/// for the old one, and when the machine fails in that moment, what is left has a length at most.
fn is_never_blank(path: &[u8]) -> bool {
    let name = name(path);
    let is_player = name.ends_with(b".dat") && PLAYERS.iter().any(|folders| is_within(path, folders));
    name == b"level.dat" || is_player
}

/// Inflates what comes, and forgets it: whether it is whole, checksum and length say.
struct Gzip {
    inflate: Decompress,
    state: State,
    /// Where what is inflated goes.
    bin: Box<[u8]>,
}

#[derive(Clone, Copy)]
enum State {
    Goes,
    /// It has ended as it should. What follows is no part of it, and no game reads it.
    Whole,
    /// What it holds is not what was compressed.
    Damaged,
    /// It is no NBT of any game: to look further is not worth the time.
    GaveUp,
}

impl Gzip {
    fn new() -> Self {
        Self { inflate: Decompress::new_gzip(WINDOW_BITS), state: State::Goes, bin: vec![0; BIN_LEN].into() }
    }
}

impl Judge for Gzip {
    fn look(&mut self, mut bytes: &[u8]) {
        while let State::Goes = self.state {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            match self.inflate.decompress(bytes, &mut self.bin, FlushDecompress::None) {
                Ok(Status::StreamEnd) => self.state = State::Whole,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => self.state = State::Damaged,
            }
            let taken = self.inflate.total_in() - read;
            bytes = &bytes[(taken as usize).min(bytes.len())..];
            if let State::Goes = self.state {
                if self.inflate.total_out() > MAX_INFLATED {
                    self.state = State::GaveUp;
                }
                // As long as something comes out there may be more, also of what was taken before.
                let is_full = self.inflate.total_out() - written == self.bin.len() as u64;
                if bytes.is_empty() && !is_full || taken == 0 && self.inflate.total_out() == written {
                    return;
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Defects {
        let mut defects = Defects::default();
        match self.state {
            State::Whole | State::GaveUp => {}
            State::Goes => defects.add(format_args!("it ends within its gzip stream")),
            State::Damaged => defects.add(format_args!("it holds a gzip stream that is damaged")),
        }
        defects
    }
}

/// The largest window there is: 32 KiB.
const WINDOW_BITS: u8 = 15;
const BIN_LEN: usize = 16 * 1024;
/// Far more than any file of a game holds, and what is inflated in a second or so: a small file can make terabytes.
const MAX_INFLATED: u64 = 256 << 20;
