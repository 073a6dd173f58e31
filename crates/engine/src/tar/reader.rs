//! Reads a tar, member by member, from a stream: GNU's format, those of POSIX from 1988 and 2001, and what came before.
//!
//! What a tar says is not believed: lengths are bounded before anything is allocated, and every end but the end mark is an
//! error. (The crate `tar` ends extended records at line ends, knows no map of holes in front of the data, and takes a
//! cut between two members for the end.)
//!
//! Source: Python 3.11 `tarfile.py`, which stock borg reads with.

use std::io::{self, Read};

use super::error::TarError;
use super::fields::{self, Fields};
use super::header::{BLOCK, Kind};
use super::pax::{self, Records};
use super::sparse::{self, Map};

/// What a member is, but for its content.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Where its first header begins, in bytes.
    pub offset: u64,
    /// As in the tar.
    pub path: Vec<u8>,
    /// `None` if it is of a kind that only some tar knows.
    pub kind: Option<Kind>,
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    /// Empty if not known.
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    /// Nanoseconds since 1970.
    pub mtime_ns: i128,
    pub link: Vec<u8>,
    pub device: (u32, u32),
    /// Of the content, in bytes.
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The longest name, and the longest list of extended records, in bytes.
const MAX_EXTENDED: u64 = pax::MAX_LEN as u64;

/// A tar that is read.
pub(super) struct TarReader<'a> {
    input: &'a mut (dyn Read + Send),
    /// Empty blocks are no end mark.
    ignore_zeros: bool,
    /// How far it was read, in bytes.
    offset: u64,
    /// Where the header of the next member begins.
    next: u64,
    /// The last member, for messages.
    path: Vec<u8>,
    /// Records for all members from here on.
    global: Records,
    content: Content,
}

/// What is left of a member's content.
#[derive(Default)]
struct Content {
    pieces: std::vec::IntoIter<(u64, u64)>,
    piece: Option<(u64, u64)>,
    position: u64,
    size: u64,
}

/// What came before a header to change it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Option<Records>,
}

impl<'a> TarReader<'a> {
    pub(super) fn new(input: &'a mut (dyn Read + Send), ignore_zeros: bool) -> Self {
        let (path, global, content) = (Vec::new(), Records::default(), Content::default());
        Self { input, ignore_zeros, offset: 0, next: 0, path, global, content }
    }

    /// The next member; what was not read of the last one is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Member>, TarError> {
        self.content = Content::default();
        self.skip_to(self.next)?;
        let mut start = self.offset;
        let mut extended = Extended::default();
        loop {
            let at = self.offset;
            let is_first = at == start;
            let Some(block) = self.block()? else {
                return match (is_first, self.ignore_zeros) {
                    (true, true) => Ok(None),
                    (true, false) => Err(TarError::Endless { offset: at }),
                    (false, _) => Err(self.cut_off()),
                };
            };
            if block == [0; BLOCK] {
                match (is_first, self.ignore_zeros) {
                    (true, true) => {
                        start = self.offset;
                        continue;
                    }
                    (true, false) => return self.end().map(|()| None),
                    (false, _) => return Err(self.no_header(at, "it is empty, but something was said of it")),
                }
            }
            let fields = Fields::decode(&block).map_err(|problem| match at {
                0 => TarError::NoTar { problem },
                _ => self.no_header(at, problem),
            })?;
            match fields.kind {
                b'L' => extended.name = Some(fields::text(&self.extension(at, fields.size)?).to_vec()),
                b'K' => extended.link = Some(fields::text(&self.extension(at, fields.size)?).to_vec()),
                b'x' | b'X' => {
                    let bytes = self.extension(at, fields.size)?;
                    let records = extended.records.get_or_insert_with(|| self.global.of_member());
                    records.extend(&bytes).map_err(|problem| self.no_header(at, problem))?;
                }
                b'g' => {
                    let bytes = self.extension(at, fields.size)?;
                    self.global.extend_global(&bytes).map_err(|problem| self.no_header(at, problem))?;
                }
                _ => return self.member(start, &block, fields, extended).map(Some),
            }
        }
    }

    /// Reads of the member's content; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let content = &mut self.content;
        if content.piece.is_none_or(|(start, len)| content.position >= start + len) {
            content.piece = content.pieces.find(|(_, len)| *len > 0);
        }
        let (is_data, until) = match content.piece {
            Some((start, len)) if start <= content.position => (true, start + len),
            Some((start, _)) => (false, start),
            None => (false, content.size),
        };
        let left = usize::try_from(until - content.position).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        let buffer = &mut buffer[..len];
        if is_data {
            let read = self.some(buffer)?;
            if read == 0 && len > 0 {
                return Err(self.cut_off());
            }
            self.content.position += read as u64;
            return Ok(read);
        }
        buffer.fill(0);
        content.position += len as u64;
        Ok(len)
    }

    /// Puts together what a header and what came before it say, and makes its content ready.
    fn member(
        &mut self,
        start: u64,
        block: &[u8; BLOCK],
        fields: Fields,
        extended: Extended,
    ) -> Result<Member, TarError> {
        let records = extended.records.unwrap_or_else(|| self.global.of_member());
        let text = |keyword, otherwise: Vec<u8>| records.value(keyword).map_or(otherwise, <[u8]>::to_vec);
        let path = text("GNU.sparse.name", text("path", extended.name.unwrap_or(fields.name)));
        self.path.clone_from(&path);
        let broken = |problem| TarError::Member { offset: start, path: path.clone(), problem };
        let kind = match fields.kind {
            0 if path.ends_with(b"/") => Some(Kind::Directory),
            0 | b'0' | b'7' | b'S' => Some(Kind::File),
            kind => Kind::of(kind),
        };
        // Further links, directories and the like have no content, whatever their header says.
        let has_content = matches!(kind, None | Some(Kind::File));
        let stored = if has_content { records.number("size").map_err(broken)?.unwrap_or(fields.size) } else { 0 };
        let padded = stored.checked_next_multiple_of(BLOCK as u64);
        // What lies farther can neither be reached nor be added to.
        let next = padded.and_then(|len| self.offset.checked_add(len)).filter(|next| *next < 1 << 63);
        self.next = next.ok_or_else(|| broken("its size is larger than any tar can be"))?;
        let (map, size) = match kind {
            Some(Kind::File) if fields.kind == b'S' => self.map_behind(block, stored, &broken)?,
            Some(Kind::File) => self.map_of_records(&records, stored, &broken)?,
            _ => (Map::default(), 0),
        };
        self.content = Content { pieces: map.into_pieces(), piece: None, position: 0, size };
        let mtime_ns = records.mtime_ns().map_err(broken)?.unwrap_or(i128::from(fields.mtime) * 1_000_000_000);
        Ok(Member {
            offset: start,
            kind,
            mode: fields.mode,
            uid: records.number("uid").map_err(broken)?.unwrap_or(fields.uid),
            gid: records.number("gid").map_err(broken)?.unwrap_or(fields.gid),
            user: text("uname", fields.user),
            group: text("gname", fields.group),
            mtime_ns,
            link: text("linkpath", extended.link.unwrap_or(fields.link)),
            device: fields.device,
            size,
            xattrs: records.xattrs(),
            path,
        })
    }

    /// The map of holes that begins in a header and goes on in blocks behind it; and the file's size.
    fn map_behind(
        &mut self,
        block: &[u8; BLOCK],
        stored: u64,
        broken: &dyn Fn(&'static str) -> TarError,
    ) -> Result<(Map, u64), TarError> {
        let mut map = Map::default();
        map.push_fields(&block[sparse::IN_HEADER]).map_err(broken)?;
        let size = fields::size(&block[sparse::SIZE_IN_HEADER]).map_err(broken)?;
        let mut goes_on = block[sparse::MORE_AFTER_HEADER] != 0;
        while goes_on {
            let block = self.whole_block()?;
            // The content lies behind them.
            self.next += BLOCK as u64;
            map.push_fields(&block[sparse::IN_BLOCK]).map_err(broken)?;
            goes_on = block[sparse::IN_BLOCK.end] != 0;
        }
        map.require(stored, size).map_err(broken)?;
        Ok((map, size))
    }

    /// The map of holes that extended records hold, or say that it stands in front of the content; and the file's size.
    fn map_of_records(
        &mut self,
        records: &Records,
        stored: u64,
        broken: &dyn Fn(&'static str) -> TarError,
    ) -> Result<(Map, u64), TarError> {
        let before = self.offset;
        let map = if Map::is_in_front(records) {
            let next = || {
                if self.offset + BLOCK as u64 > self.next {
                    return Err(broken("its map of holes does not end"));
                }
                self.whole_block()
            };
            Some(sparse::in_front(next, broken)?)
        } else {
            Map::of_records(records).map_err(broken)?
        };
        let Some(map) = map else { return Ok((Map::whole(stored), stored)) };
        let real = records.number("GNU.sparse.realsize").map_err(broken)?;
        let old = records.number("GNU.sparse.size").map_err(broken)?;
        let size = real.or(old).ok_or_else(|| broken("it has holes, but its size is not said"))?;
        map.require(stored.saturating_sub(self.offset - before), size).map_err(broken)?;
        Ok((map, size))
    }

    /// A name or records that stand as the content of a header of their own.
    fn extension(&mut self, at: u64, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENDED {
            return Err(self.no_header(at, "a name or list of extended records is longer than any can be"));
        }
        let mut bytes = Vec::new();
        // Only as much is held as has come.
        for _ in 0..size.div_ceil(BLOCK as u64) {
            bytes.extend(self.whole_block()?);
        }
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    /// Reads on behind the end mark, so that what compressed the tar gets to check that it is whole.
    fn end(&mut self) -> Result<(), TarError> {
        let mut buffer = vec![0; PASSED_OVER];
        while self.some(&mut buffer)? > 0 {}
        Ok(())
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), TarError> {
        if self.offset >= offset {
            return Ok(());
        }
        let mut buffer = vec![0; PASSED_OVER];
        while self.offset < offset {
            let left = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            let len = buffer.len().min(left);
            if self.some(&mut buffer[..len])? == 0 {
                return Err(self.cut_off());
            }
        }
        Ok(())
    }

    /// A block that must be there.
    fn whole_block(&mut self) -> Result<[u8; BLOCK], TarError> {
        self.block()?.ok_or_else(|| self.cut_off())
    }

    /// The next block; `None` at the end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.some(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.cut_off()),
                read => filled += read,
            }
        }
        Ok(Some(block))
    }

    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        loop {
            match self.input.read(buffer) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
    }

    fn no_header(&self, offset: u64, problem: &'static str) -> TarError {
        TarError::Header { offset, path: self.path.clone(), problem }
    }

    fn cut_off(&self) -> TarError {
        match &self.path[..] {
            b"" if self.offset < BLOCK as u64 => TarError::NoTar { problem: "it is shorter than one" },
            b"" => TarError::Endless { offset: self.offset },
            path => TarError::CutOff { offset: self.offset, path: path.to_vec() },
        }
    }
}

/// How much is passed over at a time, in bytes.
const PASSED_OVER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::*;

    fn header(name: &[u8], size: u64) -> Vec<u8> {
        let header = Header {
            name,
            kind: Kind::File,
            mode: 0o644,
            uid: 1,
            gid: 2,
            size,
            mtime: 3,
            link: b"",
            user: b"u",
            group: b"g",
            device: None,
        };
        header.encode()
    }

    /// A header changed by hand.
    fn changed(mut header: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let block = header.len() - BLOCK;
        change(&mut header[block..]);
        header[block + 148..block + 156].fill(b' ');
        let sum: u32 = header[block..].iter().map(|byte| u32::from(*byte)).sum();
        header[block + 148..block + 155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header
    }

    fn padded(content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        content.resize(content.len().next_multiple_of(BLOCK), 0);
        content
    }

    /// One member of each kind that is hard to read.
    fn tar() -> Vec<u8> {
        let of_kind = |kind: u8| move |block: &mut [u8]| block[156] = kind;
        let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.name=sparse\n\
                        27 GNU.sparse.realsize=100\n21 mtime=4.000000005\n";
        let old = |block: &mut [u8]| {
            block[156] = b'S';
            block[386..410].copy_from_slice(b"00000000002 00000000003\0");
            block[483..495].copy_from_slice(b"00000000010\0");
        };
        [
            header(b"plain", 5),
            padded(b"12345"),
            header(&[b'l'; 300], 0),
            changed(header(b"pax", records.len() as u64), of_kind(b'x')),
            padded(records),
            header(b"placeholder", 512 + 4),
            padded(b"2\n10\n3\n99\n1\n"),
            padded(b"abcd"),
            changed(header(b"old", 3), old),
            padded(b"xyz"),
            changed(header(b"volume", 2), of_kind(b'V')),
            padded(b"??"),
            vec![0; 2 * BLOCK],
        ]
        .concat()
    }

    type Read1 = (Vec<u8>, Option<Kind>, i128, Vec<u8>);

    fn read(mut bytes: &[u8], ignore_zeros: bool) -> Result<Vec<Read1>, TarError> {
        let mut tar = TarReader::new(&mut bytes, ignore_zeros);
        let mut found = Vec::new();
        while let Some(member) = tar.next()? {
            let (mut content, mut buffer) = (Vec::new(), [0; 7]);
            // What is damaged may claim any size.
            while content.len() < 10_000 {
                match tar.read(&mut buffer)? {
                    0 => break,
                    read => content.extend(&buffer[..read]),
                }
            }
            found.push((member.path, member.kind, member.mtime_ns, content));
        }
        Ok(found)
    }

    #[test]
    fn every_kind_is_read() {
        let mut sparse = vec![0; 100];
        sparse[10..13].copy_from_slice(b"abc");
        sparse[99] = b'd';
        let file = Some(Kind::File);
        let expected = [
            (b"plain".to_vec(), file, 3_000_000_000, b"12345".to_vec()),
            (vec![b'l'; 300], file, 3_000_000_000, vec![]),
            (b"sparse".to_vec(), file, 4_000_000_005, sparse),
            (b"old".to_vec(), file, 3_000_000_000, b"\0\0xyz\0\0\0".to_vec()),
            (b"volume".to_vec(), None, 3_000_000_000, vec![]),
        ];
        assert_eq!(read(&tar(), false).unwrap(), expected);
        assert_eq!(read(&[tar(), tar()].concat(), true).unwrap(), [expected.clone(), expected].concat());
    }

    #[test]
    fn wherever_it_is_cut_off_it_is_an_error() {
        let tar = tar();
        for len in 0..=tar.len() - 2 * BLOCK {
            let error = read(&tar[..len], false).expect_err("it has no end mark");
            let text = error.to_string();
            if (1..BLOCK).contains(&len) {
                // Less than a header could be anything.
                assert!(matches!(error, TarError::NoTar { .. }), "{len}: {text}");
                continue;
            }
            assert!(text.contains("cut off") && text.contains(&format!("offset {len}")), "{len}: {text}");
        }
    }

    #[test]
    fn what_does_not_begin_as_a_tar_is_none() {
        let text = b"no tar at all\n".repeat(100);
        for (len, ignore_zeros) in [(100, false), (100, true), (1400, false), (1400, true)] {
            assert!(matches!(read(&text[..len], ignore_zeros), Err(TarError::NoTar { .. })), "{len}");
        }
        // Behind something that is a tar it is a tar that is broken.
        let broken = [&tar()[..], &text].concat();
        assert!(matches!(read(&broken, true), Err(TarError::Header { .. })));
    }

    #[test]
    fn what_is_said_for_all_members_does_not_pile_up() {
        let global = |records: &[u8]| {
            let of_kind = |block: &mut [u8]| block[156] = b'g';
            [changed(header(b"global", records.len() as u64), of_kind), padded(records)].concat()
        };
        let comment = |name: &str| {
            let record = format!(" {name}={}\n", "v".repeat(100_000));
            format!("{}{record}", record.len() + 6).into_bytes()
        };
        // Said again and again it is said once.
        let again = [global(&comment("comment")).repeat(100), tar()].concat();
        assert_eq!(read(&again, false).unwrap().len(), 5);
        let more: Vec<u8> = (10..30).flat_map(|number| global(&comment(&format!("comment{number}")))).collect();
        let error = read(&[more, tar()].concat(), false).expect_err("nobody says as much").to_string();
        assert!(error.contains("more extended records than any member can have"), "{error}");
    }

    #[test]
    fn a_byte_that_is_not_what_it_was_never_makes_it_panic() {
        let tar = tar();
        for place in 0..tar.len() {
            for byte in [0, b'9', 0xff] {
                let mut damaged = tar.clone();
                damaged[place] = byte;
                // In a header it is noticed, in content it cannot be.
                _ = read(&damaged, false);
            }
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let huge = |size: u64| {
            let size = u128::from(size).to_be_bytes();
            changed(header(b"huge", 0), move |block| {
                block[124..136].copy_from_slice(&size[4..]);
                block[124] = 0x80;
            })
        };
        for (bytes, says) in [
            (huge(u64::MAX), "its size is no number of bytes"),
            (huge(i64::MAX as u64), "larger than any tar can be"),
            (huge(1 << 62), "cut off"),
            (changed(huge(1 << 40), |block| block[156] = b'L'), "longer than any can be"),
            (changed(huge(1 << 40), |block| block[156] = b'S'), "map of holes"),
        ] {
            let error = read(&bytes, false).expect_err("no tar is that large").to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
