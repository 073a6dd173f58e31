//! Extended records, as POSIX 2001 has them before a header: `LENGTH KEYWORD=VALUE`, a line end.
//!
//! Source: Python 3.11 `tarfile.py`, `_proc_pax`, `_apply_pax_info`.

use std::collections::BTreeMap;
use std::sync::Arc;

use worldkeeper_archive::Item;

/// What is said of a member: records of its own, and those for all members.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    global: Arc<Table>,
    own: Table,
}

/// Records that came together. Of those with the same keyword the last one counts.
#[derive(Clone, Debug, Default)]
struct Table {
    by_keyword: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The values of the two keywords that come more than once, in order: where pieces of a sparse file begin, and how long
    /// they are.
    pieces: [Vec<Vec<u8>>; 2],
    /// Of all keywords and values, in bytes.
    len: usize,
}

/// Those keywords.
const PIECES: [&str; 2] = ["GNU.sparse.offset", "GNU.sparse.numbytes"];

/// What the keyword of an extended attribute begins with.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// The longest list of extended records of a member, in bytes.
pub(super) const MAX_LEN: usize = 16 << 20;
/// Those for all members say little, if there are any, such as which commit a tar is of; and each member has them.
const MAX_GLOBAL_LEN: usize = 1 << 20;
/// How many keywords may hold for a member: each may be an extended attribute.
const MAX_KEYWORDS: usize = Item::MAX_XATTRS;

impl Records {
    /// Of a member that has none of its own.
    pub(super) fn of_member(&self) -> Self {
        Self { global: Arc::clone(&self.global), own: Table::default() }
    }

    /// Adds the records that stand in `bytes`, for one member; or says what is wrong with them.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.own.extend(bytes)?;
        let count = self.own.by_keyword.len() + self.global.by_keyword.len();
        if self.own.len + self.global.len > MAX_LEN || count > MAX_KEYWORDS { Err(TOO_MANY) } else { Ok(()) }
    }

    /// The same, for all members from here on.
    pub(super) fn extend_global(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let global = Arc::make_mut(&mut self.global);
        global.extend(bytes)?;
        if global.len > MAX_GLOBAL_LEN || global.by_keyword.len() > MAX_KEYWORDS { Err(TOO_MANY) } else { Ok(()) }
    }

    /// The value of a keyword; an empty one takes back what was said before.
    pub(super) fn value(&self, keyword: &str) -> Option<&[u8]> {
        let found = [&self.own, &*self.global].into_iter().find_map(|table| table.by_keyword.get(keyword.as_bytes()));
        found.map(|value| &value[..]).filter(|value| !value.is_empty())
    }

    /// Where the pieces of a sparse file begin, and how long they are.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let values =
            |place: usize| self.global.pieces[place].iter().chain(&self.own.pieces[place]).map(|value| &value[..]);
        values(0).zip(values(1))
    }

    /// The value of a keyword as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, keyword: &str) -> Result<Option<T>, &'static str> {
        self.value(keyword).map(|value| parse(value).ok_or("an extended record is no number")).transpose()
    }

    /// Time of modification, in nanoseconds since 1970.
    pub(super) fn mtime_ns(&self) -> Result<Option<i128>, &'static str> {
        self.value("mtime").map(|value| nanoseconds(value).ok_or("its time is no number")).transpose()
    }

    /// Extended attributes by name, but ACLs, which archives hold in another way.
    pub(super) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut xattrs = BTreeMap::new();
        for (keyword, value) in self.global.by_keyword.iter().chain(&self.own.by_keyword) {
            if let Some(name) = keyword.strip_prefix(XATTR).filter(|name| !name.starts_with(b"system.posix_acl_")) {
                xattrs.insert(name.to_vec(), value.clone());
            }
        }
        xattrs.into_iter().collect()
    }
}

impl Table {
    fn extend(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        // Some pad with NULs.
        while bytes.first().is_some_and(|byte| *byte != 0) {
            let (record, rest) = split(bytes).ok_or("an extended record before it is malformed")?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or("an extended record has no value")?;
            self.push(&record[..equals], &record[equals + 1..]);
            bytes = rest;
        }
        Ok(())
    }

    fn push(&mut self, keyword: &[u8], value: &[u8]) {
        self.len += keyword.len() + value.len();
        if let Some(place) = PIECES.iter().position(|piece| piece.as_bytes() == keyword) {
            self.pieces[place].push(value.to_vec());
        } else if let Some(known) = self.by_keyword.get_mut(keyword) {
            self.len -= keyword.len() + known.len();
            *known = value.to_vec();
        } else {
            self.by_keyword.insert(keyword.to_vec(), value.to_vec());
        }
    }
}

const TOO_MANY: &str = "there are more extended records than any member can have";

/// The first record, without its length and line end; and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let len: usize = parse(&bytes[..space])?;
    let (record, rest) = bytes.split_at_checked(len)?;
    Some((record.get(space + 1..)?.strip_suffix(b"\n")?, rest))
}

pub(super) fn parse<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Decimal seconds, every digit of which counts that a nanosecond has; or as Python writes tiny ones.
fn nanoseconds(text: &[u8]) -> Option<i128> {
    let text = str::from_utf8(text).ok()?.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 20 || !are_digits(whole) || !are_digits(fraction) {
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
        return Some((seconds * 1e9) as i128);
    }
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(sign * (whole.parse::<i128>().ok()? * 1_000_000_000 + fraction.parse::<i128>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(bytes: &[u8]) -> Result<Records, &'static str> {
        let mut records = Records::default();
        records.extend(bytes).map(|()| records)
    }

    #[test]
    fn a_value_may_hold_anything() {
        let found = records(b"13 path=a\nb=\n28 SCHILY.xattr.user.x=\0\n=1\n11 path=\xff\xfe\n\0\0\0").unwrap();
        assert_eq!(found.value("path"), Some(&b"\xff\xfe"[..]));
        assert_eq!(found.xattrs(), [(b"user.x".to_vec(), b"\0\n=1".to_vec())]);
    }

    #[test]
    fn the_last_of_a_keyword_counts_a_members_own_first() {
        let mut global = Records::default();
        global.extend_global(b"9 path=a\n9 path=b\n11 uname=u\n24 SCHILY.xattr.user.x=\n").unwrap();
        let mut member = global.of_member();
        assert_eq!((member.value("path"), member.value("uname")), (Some(&b"b"[..]), Some(&b"u"[..])));
        member.extend(b"9 path=c\n9 uname=\n25 SCHILY.xattr.user.x=1\n25 SCHILY.xattr.user.y=2\n").unwrap();
        assert_eq!((member.value("path"), member.value("uname")), (Some(&b"c"[..]), None));
        let xattrs = [("user.x", "1"), ("user.y", "2")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(member.xattrs(), xattrs);
        assert_eq!(global.of_member().value("path"), Some(&b"b"[..]), "it was said of one member alone");
        // Of the pieces of a sparse file all count.
        member.extend(b"23 GNU.sparse.offset=0\n25 GNU.sparse.numbytes=7\n").unwrap();
        member.extend(b"23 GNU.sparse.offset=9\n25 GNU.sparse.numbytes=8\n").unwrap();
        assert!(member.pieces().eq([(&b"0"[..], &b"7"[..]), (b"9", b"8")]));
    }

    fn record(keyword: &str, value_len: usize) -> Vec<u8> {
        let rest = format!(" {keyword}={}\n", "v".repeat(value_len));
        let len = (1..9).map(|digits| rest.len() + digits).find(|len| len.to_string().len() + rest.len() == *len);
        [len.unwrap().to_string(), rest].concat().into_bytes()
    }

    #[test]
    fn records_do_not_pile_up_without_end() {
        let mut records = Records::default();
        for _ in 0..100 {
            records.extend_global(&record("comment", MAX_GLOBAL_LEN - 100)).unwrap();
        }
        assert_eq!(records.extend_global(&record("more", 200)), Err(TOO_MANY));
        let mut member = Records::default();
        for _ in 0..100 {
            member.extend(&record("comment", MAX_LEN - 100)).unwrap();
        }
        assert_eq!(member.extend(&record("more", 200)), Err(TOO_MANY));
        let many: Vec<u8> = (0..=MAX_KEYWORDS).flat_map(|number| record(&number.to_string(), 0)).collect();
        assert_eq!(Records::default().extend(&many), Err(TOO_MANY));
        assert_eq!(Records::default().extend_global(&many), Err(TOO_MANY));
        // Pieces have no limit of their own.
        let mut sparse = Records::default();
        let pieces = record(PIECES[0], 1).repeat(100_000);
        sparse.extend(&pieces).unwrap();
        let error = (0..20).find_map(|_| sparse.extend(&pieces).err());
        assert_eq!(error, Some(TOO_MANY));
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let whole = b"11 path=ab\n";
        assert!(records(whole).is_ok());
        for len in 1..whole.len() {
            assert!(records(&whole[..len]).is_err(), "{len}");
        }
        for bytes in ["10 path=ab\n", "9 pathab\n", "x path=ab\n", "2 \n", "99999999999999999999 a=\n"] {
            assert!(records(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        for (text, expected) in [
            ("1234567890.987654321", Some(1_234_567_890_987_654_321)),
            ("1.5", Some(1_500_000_000)),
            ("-1.25", Some(-1_250_000_000)),
            ("7", Some(7_000_000_000)),
            ("1.0000000019", Some(1_000_000_001)),
            ("1e-05", Some(10_000)),
            ("", None),
            ("nan", None),
            ("soon", None),
        ] {
            assert_eq!(nanoseconds(text.as_bytes()), expected, "{text}");
        }
    }
}
