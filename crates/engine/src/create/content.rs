//! The content of one file, cut into chunks. What the file system has no data for is not read: it is zeros, and where
//! stock would cut those is known without looking.

use worldkeeper_chunker::ChunkerParams;

use super::judging::Judging;
use super::plan::Asked;
use super::planned::Taken;
use super::reader::{Interrupted, Reader};
use super::step::Reading;
use crate::source::{FileReader, SourceError, Verdict};

impl Reader {
    /// Reads a file and hands out its chunks.
    pub(super) fn content(
        &mut self,
        mut file: FileReader,
        mut judging: Judging<'_>,
        asked: &Asked<'_>,
    ) -> Result<Reading, Interrupted> {
        self.feed.begin_file();
        let Taken { read_bytes, is_settled } = match self.blocks {
            Some(blocks) => {
                let read_bytes = self.ranges(&mut file, &mut judging, blocks)?;
                Taken { read_bytes, is_settled: false }
            }
            None => self.stream(&mut file, &mut judging, asked)?,
        };
        self.go_on(&file)?;
        let defects = judging.finish(file.position());
        let torn = file.finish()? == Verdict::Changed && !is_settled;
        Ok(Reading { torn, defects, read_bytes })
    }

    /// Cuts the file by its plan, if it has one; what lies behind that, as the one stream that it is for most.
    fn stream(
        &mut self,
        file: &mut FileReader,
        judging: &mut Judging<'_>,
        asked: &Asked<'_>,
    ) -> Result<Taken, Interrupted> {
        self.pass_over_hole(file)?;
        let mut taken = self.planned(file, judging, asked)?;
        loop {
            let read = self.more(file, judging)?;
            taken.read_bytes += read;
            let at_end = read == 0;
            while let Some(len) = self.feed.chunker.next_cut(self.feed.pending.bytes(), at_end) {
                self.feed.send_chunk(len)?;
                self.pass_over_hole(file)?;
            }
            if at_end {
                return Ok(taken);
            }
        }
    }

    /// Reads on, unless somebody wants the end; returns how much came, nothing at the end.
    pub(super) fn more(&mut self, file: &mut FileReader, judging: &mut Judging<'_>) -> Result<u64, Interrupted> {
        self.go_on(file)?;
        Ok(self.feed.pending.fill(file.remaining(), |buffer| read(file, judging, buffer))? as u64)
    }

    /// Ends the work if that was asked for, and the file if it has too many chunks.
    pub(super) fn go_on(&mut self, file: &FileReader) -> Result<(), Interrupted> {
        if self.feed.has_too_many_chunks() {
            return Err(file.too_many_chunks().into());
        }
        Ok(self.feed.go_on()?)
    }

    /// Hands out chunks of zeros as long as they lie wholly within a hole. Called where a chunk begins.
    pub(super) fn pass_over_hole(&mut self, file: &mut FileReader) -> Result<(), Interrupted> {
        // What was read to its end is cut from memory, whatever has become of the file.
        if file.size() < self.feed.chunker.max_chunk_size() as u64 || file.remaining() == 0 {
            return Ok(());
        }
        let mut start = file.position() - self.feed.pending.bytes().len() as u64;
        let mut zeros = file.hole_at(start);
        while let Some(len) = self.feed.chunker.next_cut_in_zeros(zeros) {
            self.feed.send_zeros(len)?;
            (start, zeros) = (start + len as u64, zeros - len as u64);
            // The bytes that were read ahead are some of those zeros.
            self.feed.pending.clear();
            file.go_to(start);
            self.go_on(file)?;
        }
        Ok(())
    }

    /// Cuts each range of data and each hole into blocks of its own, as stock does with `--sparse`.
    ///
    /// Source: borg 1.4 `chunker.pyx`, `sparsemap` and `ChunkerFixed.chunkify`.
    fn ranges(
        &mut self,
        file: &mut FileReader,
        judging: &mut Judging<'_>,
        Blocks { block, header }: Blocks,
    ) -> Result<u64, Interrupted> {
        let mut read_bytes = self.data_blocks(file, judging, header.min(file.size()), block)?;
        while file.remaining() > 0 {
            let hole = file.hole_at(file.position());
            if hole == 0 {
                let data = file.data_at(file.position());
                let read = self.data_blocks(file, judging, data, block)?;
                read_bytes += read;
                // The rest was cut off meanwhile.
                if read < data || data == 0 {
                    break;
                }
            }
            let end = file.position() + hole;
            while file.position() < end {
                let len = block.min(end - file.position());
                self.feed.send_zeros(usize::try_from(len).expect("a block fits into memory"))?;
                file.go_to(file.position() + len);
                self.go_on(file)?;
            }
        }
        Ok(read_bytes)
    }

    /// Reads `len` bytes and hands them out as blocks; returns how much there was.
    fn data_blocks(
        &mut self,
        file: &mut FileReader,
        judging: &mut Judging<'_>,
        len: u64,
        block: u64,
    ) -> Result<u64, Interrupted> {
        let mut done = 0;
        while done < len {
            let wanted = block.min(len - done);
            let mut left = wanted;
            while left > 0 {
                let read = self.feed.pending.fill(left, |buffer| read(file, judging, buffer))? as u64;
                if read == 0 {
                    break;
                }
                left -= read;
                self.go_on(file)?;
            }
            let got = wanted - left;
            if got > 0 {
                self.feed.send_chunk(self.feed.pending.bytes().len())?;
            }
            done += got;
            if left > 0 {
                break;
            }
        }
        Ok(done)
    }
}

/// Reads what comes next, under the eyes of whoever judges it.
fn read(file: &mut FileReader, judging: &mut Judging<'_>, buffer: &mut [u8]) -> Result<usize, SourceError> {
    let offset = file.position();
    let read = file.read(buffer)?;
    judging.see(offset, &buffer[..read]);
    Ok(read)
}

/// How a file is cut whose holes restart the blocks.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    block: u64,
    header: u64,
}

impl Blocks {
    /// For these parameters, if they are of that kind.
    pub(super) fn of(params: &ChunkerParams) -> Option<Self> {
        match *params {
            ChunkerParams::Fixed { block, header, .. } => Some(Self { block: block.into(), header: header.into() }),
            ChunkerParams::Buzhash { .. } => None,
        }
    }
}
