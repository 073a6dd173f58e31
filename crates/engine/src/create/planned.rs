//! A file whose format somebody knows: where its pieces end, and how it is read while somebody writes to it.

use worldkeeper_core::RangeReader;

use super::judging::Judging;
use super::plan::{Asked, Planned};
use super::reader::{Interrupted, Reader};
use super::settle::{self, settle};
use crate::source::{Action, FileReader, SourceError};

/// What came of reading.
#[derive(Default)]
pub(super) struct Taken {
    pub read_bytes: u64,
    /// All parts of what was read fit together, whoever wrote meanwhile.
    pub is_settled: bool,
}

impl Reader {
    /// Reads the beginning of a file, asks for a plan, and hands out the pieces of it. What lies behind them is left, some of
    /// it read already; the whole file, if there is no plan.
    pub(super) fn planned(
        &mut self,
        file: &mut FileReader,
        judging: &mut Judging<'_>,
        asked: &Asked<'_>,
    ) -> Result<Taken, Interrupted> {
        let mut taken = Taken::default();
        // No format begins with a hole.
        if !self.planner.asks(asked) || file.position() > 0 {
            return Ok(taken);
        }
        taken.read_bytes += self.unjudged(file)?;
        let front = &mut Front { read: self.feed.pending.bytes(), file };
        let mut planned = self.planner.plan(&self.feed.shared, asked, front);
        if let Some(Planned { format, plan }) = &planned
            && let Some(head_len) = plan.head_len().and_then(|len| usize::try_from(len).ok())
            && self.whole(file, &mut taken)?
        {
            let failed = |error| SourceError::new(asked.path, Action::Read, error);
            let settled = settle(file, &mut self.feed.pending, *format, head_len, asked.looked).map_err(failed)?;
            taken.is_settled = settled.0;
            taken.read_bytes += settled.1;
            planned = self.planner.plan(&self.feed.shared, asked, &mut self.feed.pending.bytes());
        }
        judging.see(0, self.feed.pending.bytes());
        let Some(planned) = planned else { return Ok(taken) };
        if self.is_cut_already(file, judging, asked, &mut taken)? {
            return Ok(taken);
        }
        let (mut at, mut zeros_until) = (0, 0);
        for end in planned.plan.ends() {
            let len = usize::try_from(end - at).expect("a piece fits into memory");
            // A hole is not read, but for what was read together with the data before it. A shorter one is not believed, as in
            // any other file: file systems have told of holes where somebody had just written.
            if self.feed.pending.bytes().is_empty() && file.position() == at {
                if zeros_until <= at {
                    let hole = file.hole_at(at);
                    zeros_until = if hole < self.feed.chunker.max_chunk_size() as u64 { at } else { at + hole };
                }
                if *end <= zeros_until {
                    self.feed.send_zeros(len)?;
                    file.go_to(*end);
                    self.go_on(file)?;
                    at = *end;
                    continue;
                }
            }
            while self.feed.pending.bytes().len() < len {
                let read = self.more(file, judging)?;
                taken.read_bytes += read;
                if read == 0 {
                    // It was cut off meanwhile.
                    return Ok(taken);
                }
            }
            self.feed.send_chunk(len)?;
            at = *end;
        }
        self.pass_over_hole(file)?;
        Ok(taken)
    }

    /// Reads a file to its end, unless it is too long for that or ends early; returns whether all of it is there.
    fn whole(&mut self, file: &mut FileReader, taken: &mut Taken) -> Result<bool, Interrupted> {
        if file.size() > settle::LONGEST {
            return Ok(false);
        }
        while file.remaining() > 0 {
            let read = self.unjudged(file)?;
            taken.read_bytes += read;
            if read == 0 {
                return Ok(false);
            }
            self.feed.go_on()?;
        }
        Ok(true)
    }

    /// Reads on, and lets nobody judge it yet.
    fn unjudged(&mut self, file: &mut FileReader) -> Result<u64, Interrupted> {
        Ok(self.feed.pending.fill(file.remaining(), |buffer| file.read(buffer))? as u64)
    }

    /// Returns whether a file that is new to us is in the repository as stock has cut it: then it stays so until it changes,
    /// and its first chunk has been handed out.
    ///
    /// That chunk tells of all: it holds the head of the file, and no game changes a file without it.
    fn is_cut_already(
        &mut self,
        file: &mut FileReader,
        judging: &mut Judging<'_>,
        asked: &Asked<'_>,
        taken: &mut Taken,
    ) -> Result<bool, Interrupted> {
        if !self.planner.may_be_there_otherwise(&self.feed.shared, asked) {
            return Ok(false);
        }
        let mut at_end = file.remaining() == 0;
        let len = loop {
            match self.feed.chunker.next_cut(self.feed.pending.bytes(), at_end) {
                Some(len) => break len,
                None if at_end => return Ok(false),
                None => {}
            }
            let read = self.more(file, judging)?;
            taken.read_bytes += read;
            at_end = read == 0;
        };
        let id = self.feed.shared.key.id_hash(&self.feed.pending.bytes()[..len]);
        let is_there = super::read(&self.feed.shared.index).get(&id).is_some();
        if is_there {
            self.feed.send_chunk(len)?;
            self.pass_over_hole(file)?;
        } else {
            self.feed.chunker.restart();
        }
        Ok(is_there)
    }
}

/// A file of which the beginning was read already: that is what counts, whatever has become of it.
struct Front<'a> {
    read: &'a [u8],
    file: &'a FileReader,
}

impl RangeReader for Front<'_> {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        match self.read.read_exact_at(offset, buffer) {
            Ok(()) => Ok(()),
            Err(_) => self.file.read_exact_at(offset, buffer),
        }
    }
}
