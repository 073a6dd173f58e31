//! POSIX ACLs: the kernel's bytes and borg's text.
//!
//! The kernel keeps an ACL in the extended attributes `system.posix_acl_access` and, for directories,
//! `system.posix_acl_default`:
//!
//! | bytes      | field   | encoding | meaning                                     |
//! |------------|---------|----------|---------------------------------------------|
//! | 0..4       | version | u32 LE   | 2                                           |
//! | 8n+4..8n+6 | tag     | u16 LE   | whom entry n is about, see [`Tag`]          |
//! | 8n+6..8n+8 | perm    | u16 LE   | read 4, write 2, execute 1                  |
//! | 8n+8..8n+12| id      | u32 LE   | user or group number; `u32::MAX` for others |
//!
//! borg keeps libacl's long text, one entry a line without a newline at the end, and gives entries that name a user
//! or a group their number as a fourth field: `user:steve:rw-:1000`. Who has no name is named by number. Where the mask
//! takes rights from an entry, libacl says so in a comment behind a tab; borg cuts the comment off and leaves the tab.
//!
//! Source: Linux `include/uapi/linux/posix_acl_xattr.h`; borg 1.4 `platform/linux.pyx`, `acl_append_numeric_ids`.

use super::Names;

/// The attribute that holds the access ACL.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute that holds a directory's default ACL.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

/// The bytes or the text are no ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a POSIX ACL")]
pub(crate) struct AclError;

/// Whom an entry is about; entries are kept in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

impl Tag {
    const ALL: [Self; 6] = [Self::Owner, Self::User, Self::OwningGroup, Self::Group, Self::Mask, Self::Other];

    fn word(self) -> &'static [u8] {
        match self {
            Self::Owner | Self::User => b"user",
            Self::OwningGroup | Self::Group => b"group",
            Self::Mask => b"mask",
            Self::Other => b"other",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tag: Tag,
    id: u32,
    perm: u16,
}

/// An ACL, its entries in the order libacl gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acl(Vec<Entry>);

impl Acl {
    /// The ACL that says the same as permission bits do.
    pub(crate) fn from_mode(mode: u32) -> Self {
        let entry = |tag, shift: u32| Entry { tag, id: NO_ID, perm: (mode >> shift & 7) as u16 };
        Self(vec![entry(Tag::Owner, 6), entry(Tag::OwningGroup, 3), entry(Tag::Other, 0)])
    }

    /// Reads the kernel's bytes.
    pub(crate) fn from_xattr(bytes: &[u8]) -> Result<Self, AclError> {
        let (version, entries) = bytes.split_first_chunk::<4>().ok_or(AclError)?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
            return Err(AclError);
        }
        let entry = |bytes: &[u8]| {
            let tag = u16::from_le_bytes([bytes[0], bytes[1]]);
            let tag = *Tag::ALL.iter().find(|&&known| known as u16 == tag).ok_or(AclError)?;
            let perm = u16::from_le_bytes([bytes[2], bytes[3]]);
            let id = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let id = if matches!(tag, Tag::User | Tag::Group) { id } else { NO_ID };
            if perm > 7 { Err(AclError) } else { Ok(Entry { tag, id, perm }) }
        };
        let mut entries = entries.chunks_exact(8).map(entry).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| (entry.tag, entry.id));
        Ok(Self(entries))
    }

    /// Writes the kernel's bytes.
    pub(crate) fn to_xattr(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend_from_slice(&(entry.tag as u16).to_le_bytes());
            bytes.extend_from_slice(&entry.perm.to_le_bytes());
            bytes.extend_from_slice(&entry.id.to_le_bytes());
        }
        bytes
    }

    /// Writes borg's text.
    pub(crate) fn to_text(&self, names: &mut Names) -> Vec<u8> {
        let mask = self.0.iter().find(|entry| entry.tag == Tag::Mask).map_or(7, |mask| mask.perm);
        let mut text = Vec::new();
        for (at, entry) in self.0.iter().enumerate() {
            if at > 0 {
                text.push(b'\n');
            }
            let name = match entry.tag {
                Tag::User => Some(names.user(entry.id).unwrap_or_else(|| entry.id.to_string().into_bytes())),
                Tag::Group => Some(names.group(entry.id).unwrap_or_else(|| entry.id.to_string().into_bytes())),
                _ => None,
            };
            text.extend_from_slice(entry.tag.word());
            text.push(b':');
            text.extend_from_slice(name.as_deref().unwrap_or_default());
            text.push(b':');
            for (bit, letter) in [(4, b'r'), (2, b'w'), (1, b'x')] {
                text.push(if entry.perm & bit == 0 { b'-' } else { letter });
            }
            let masked = matches!(entry.tag, Tag::User | Tag::OwningGroup | Tag::Group);
            if masked && entry.perm & !mask != 0 {
                text.push(b'\t');
            }
            if let Some(name) = name {
                // borg asks for the number of the name that libacl gave, so that of the first who has it.
                let id = if entry.tag == Tag::User { names.uid(&name) } else { names.gid(&name) };
                text.push(b':');
                text.extend_from_slice(id.unwrap_or(entry.id).to_string().as_bytes());
            }
        }
        text
    }

    /// Reads borg's text. Named users and groups are those of this system, or with `numeric_ids` the stored numbers.
    pub(crate) fn from_text(text: &[u8], names: &mut Names, numeric_ids: bool) -> Result<Self, AclError> {
        let mut entries = Vec::new();
        for line in text.split(|&byte| byte == b'\n') {
            // Older archives may hold libacl's `#effective:` comments.
            let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
            if !line.is_empty() {
                entries.push(entry_from_text(line, names, numeric_ids)?);
            }
        }
        entries.sort_by_key(|entry: &Entry| (entry.tag, entry.id));
        Ok(Self(entries))
    }
}

fn entry_from_text(line: &[u8], names: &mut Names, numeric_ids: bool) -> Result<Entry, AclError> {
    let mut fields = line.split(|&byte| byte == b':');
    let mut field = || fields.next().ok_or(AclError);
    let (word, name, perm) = (field()?, field()?, field()?);
    let stored = fields.next();
    if fields.next().is_some() {
        return Err(AclError);
    }
    let named = !name.is_empty();
    let tag = *Tag::ALL
        .iter()
        .find(|tag| tag.word() == word && matches!(tag, Tag::User | Tag::Group) == named)
        .ok_or(AclError)?;
    let id = match tag {
        Tag::User | Tag::Group => {
            let known = match tag {
                _ if numeric_ids => None,
                Tag::User => names.uid(name),
                _ => names.gid(name),
            };
            let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok().filter(|&id| id != NO_ID);
            known.or_else(|| number(stored.unwrap_or(name))).ok_or(AclError)?
        }
        _ => NO_ID,
    };
    let perm = match *perm.trim_ascii() {
        [r @ (b'r' | b'-'), w @ (b'w' | b'-'), x @ (b'x' | b'-')] => {
            u16::from(r == b'r') << 2 | u16::from(w == b'w') << 1 | u16::from(x == b'x')
        }
        _ => return Err(AclError),
    };
    Ok(Entry { tag, id, perm })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What borg 1.4.5 stored where users 0 and 4711 and groups 0 and 4712 were given rights.
    const TEXT: &[u8] = b"user::rw-\nuser:root:rw-:0\nuser:4711:r--:4711\ngroup::r--\ngroup:root:r--:0\n\
        group:4712:rwx:4712\nmask::rwx\nother::r--";

    fn xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, perm, id) in entries {
            bytes.extend_from_slice(&[tag.to_le_bytes(), perm.to_le_bytes()].concat());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn bytes_become_borgs_text_and_the_way_back() {
        let entries = [
            (0x01, 6, NO_ID),
            (0x02, 6, 0),
            (0x02, 4, 4711),
            (0x04, 4, NO_ID),
            (0x08, 4, 0),
            (0x08, 7, 4712),
            (0x10, 7, NO_ID),
            (0x20, 4, NO_ID),
        ];
        let mut names = Names::default();
        let acl = Acl::from_xattr(&xattr(&entries)).unwrap();
        assert_eq!(acl.to_text(&mut names), TEXT);
        assert_eq!(acl.to_xattr(), xattr(&entries));
        assert_eq!(Acl::from_text(TEXT, &mut names, false), Ok(acl.clone()));
        assert_eq!(Acl::from_text(TEXT, &mut names, true), Ok(acl));

        let mut unsorted = entries;
        unsorted.swap(1, 2);
        assert_eq!(Acl::from_xattr(&xattr(&unsorted)).unwrap().to_text(&mut names), TEXT);
    }

    #[test]
    fn rights_that_the_mask_takes_leave_a_tab() {
        let entries = [(0x01, 7, NO_ID), (0x02, 5, 4711), (0x04, 7, NO_ID), (0x08, 1, 4711), (0x10, 1, NO_ID)];
        let acl = Acl::from_xattr(&xattr(&entries)).unwrap();
        let text = acl.to_text(&mut Names::default());
        assert_eq!(text, b"user::rwx\nuser:4711:r-x\t:4711\ngroup::rwx\t\ngroup:4711:--x:4711\nmask::--x");
        assert_eq!(Acl::from_text(&text, &mut Names::default(), false), Ok(acl));
    }

    #[test]
    fn permission_bits_are_an_acl_too() {
        let text = Acl::from_mode(0o100_754).to_text(&mut Names::default());
        assert_eq!(text, b"user::rwx\ngroup::r-x\nother::r--");
    }

    #[test]
    fn names_of_this_system_win_over_numbers_unless_numbers_are_asked_for() {
        let mut names = Names::default();
        let id = |acl: Acl| acl.0[0].id;
        assert_eq!(Acl::from_text(b"user:root:rwx:77", &mut names, false).map(id), Ok(0));
        assert_eq!(Acl::from_text(b"user:root:rwx:77", &mut names, true).map(id), Ok(77));
        assert_eq!(Acl::from_text(b"user:no such user:rwx:77", &mut names, false).map(id), Ok(77));
        assert_eq!(Acl::from_text(b"user:78:rwx", &mut names, false).map(id), Ok(78));
        assert_eq!(Acl::from_text(b"user::r--\t\t#effective:r--\n\n", &mut names, false).map(|acl| acl.0.len()), Ok(1));
        assert_eq!(Acl::from_text(b"", &mut names, false), Ok(Acl::default()));
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        let whole = xattr(&[(0x01, 6, NO_ID)]);
        for len in 0..whole.len() {
            assert_eq!(Acl::from_xattr(&whole[..len]).is_ok(), len == 4, "{len} bytes");
        }
        for odd in [xattr(&[(0x03, 6, 0)]), xattr(&[(0x01, 8, 0)]), [1, 0, 0, 0].to_vec()] {
            assert_eq!(Acl::from_xattr(&odd), Err(AclError));
        }
        for odd in [
            &b"user"[..],
            b"user:",
            b"user::",
            b"user::rw",
            b"user::xwr",
            b"user::rwx:1:2",
            b"mask:root:rwx:0",
            b"nobody::rwx",
            b"user:no such user:rwx",
            b"user:no such user:rwx:-1",
            b"user:no such user:rwx:4294967295",
            b"\xff::rwx",
        ] {
            assert_eq!(Acl::from_text(odd, &mut Names::default(), false), Err(AclError), "{}", odd.escape_ascii());
        }
    }
}
