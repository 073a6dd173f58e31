//! A member's header in GNU's format of tar.
//!
//! | bytes | field | encoding |
//! |---|---|---|
//! | 0..100 | name | bytes, NULs behind |
//! | 100..108, 108..116, 116..124 | mode, uid, gid | number |
//! | 124..136, 136..148 | size in bytes, mtime in seconds | number |
//! | 148..156 | sum of all bytes, these taken as spaces | six octal digits, NUL, space |
//! | 156 | kind of member | ASCII digit or letter |
//! | 157..257 | link target | bytes, NULs behind |
//! | 257..265 | magic and version | `ustar`, two spaces, NUL |
//! | 265..297, 297..329 | user, group | bytes, NULs behind |
//! | 329..337, 337..345 | device major, minor | number, NULs for what is no device |
//!
//! A number is octal digits and a NUL, or, where it is too large or negative, 0x80 or 0xff and then big-endian bytes. A
//! name or link target that is too long comes before the header as a member of its own, of kind `L` or `K`.
//!
//! Source: Python 3.11 `tarfile.py`, `create_gnu_header`, which stock borg writes with.

/// Headers and content are padded to this.
pub(super) const BLOCK: usize = 512;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File = b'0' as isize,
    HardLink = b'1' as isize,
    Symlink = b'2' as isize,
    CharacterDevice = b'3' as isize,
    BlockDevice = b'4' as isize,
    Directory = b'5' as isize,
    Fifo = b'6' as isize,
}

impl Kind {
    /// The kind that a header names, if it is one of those.
    pub(super) fn of(byte: u8) -> Option<Self> {
        let all = [
            Self::File,
            Self::HardLink,
            Self::Symlink,
            Self::CharacterDevice,
            Self::BlockDevice,
            Self::Directory,
            Self::Fifo,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A member, but for its content.
#[derive(Clone, Debug)]
pub(super) struct Header<'a> {
    pub name: &'a [u8],
    pub kind: Kind,
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    /// In bytes.
    pub size: u64,
    /// In seconds.
    pub mtime: i64,
    pub link: &'a [u8],
    pub user: &'a [u8],
    pub group: &'a [u8],
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
}

impl Header<'_> {
    /// The blocks that stand before the member's content.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut blocks = Vec::with_capacity(BLOCK);
        if self.link.len() > NAME_LEN {
            long(&mut blocks, b'K', self.link);
        }
        if self.name.len() > NAME_LEN {
            long(&mut blocks, b'L', self.name);
        }
        blocks.extend(self.block(self.kind as u8));
        blocks
    }

    fn block(&self, kind: u8) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        text(&mut block[0..NAME_LEN], self.name);
        number(&mut block[100..108], i128::from(self.mode & 0o7777));
        number(&mut block[108..116], self.uid.into());
        number(&mut block[116..124], self.gid.into());
        number(&mut block[124..136], self.size.into());
        number(&mut block[136..148], self.mtime.into());
        block[148..156].fill(b' ');
        block[156] = kind;
        text(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar  \0");
        text(&mut block[265..297], self.user);
        text(&mut block[297..329], self.group);
        if let Some((major, minor)) = self.device {
            number(&mut block[329..337], major.into());
            number(&mut block[337..345], minor.into());
        }
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }
}

const NAME_LEN: usize = 100;

/// A member that holds what the next header has no room for.
fn long(blocks: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let header = Header {
        name: b"././@LongLink",
        kind: Kind::File,
        mode: 0,
        uid: 0,
        gid: 0,
        size: bytes.len() as u64 + 1,
        mtime: 0,
        link: b"",
        user: b"",
        group: b"",
        device: None,
    };
    blocks.extend(header.block(kind));
    blocks.extend(bytes);
    let padded = (blocks.len() + 1).next_multiple_of(BLOCK);
    blocks.resize(padded, 0);
}

fn text(field: &mut [u8], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}

fn number(field: &mut [u8], value: i128) {
    let digits = field.len() - 1;
    if (0..1 << (3 * digits)).contains(&value) {
        field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
    } else {
        field.copy_from_slice(&value.to_be_bytes()[16 - field.len()..]);
        field[0] = if value < 0 { 0xff } else { 0x80 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_as_long_as_they_fit() {
        let encoded = |value| {
            let mut field = [0; 8];
            number(&mut field, value);
            field
        };
        assert_eq!(&encoded(0o644), b"0000644\0");
        assert_eq!(&encoded(0o7_777_777), b"7777777\0");
        assert_eq!(&encoded(0o10_000_000), b"\x80\0\0\0\0\x20\0\0");
        assert_eq!(&encoded(0xffff_fffe), b"\x80\0\0\0\xff\xff\xff\xfe");
        assert_eq!(&encoded(-1), b"\xff\xff\xff\xff\xff\xff\xff\xff");
    }
}
