//! Extended records, as POSIX 2001 has them before a header: `LENGTH KEYWORD=VALUE`, a line end.
//!
//! Source: Python 3.11 `tarfile.py`, `_proc_pax`, `_apply_pax_info`.

/// Records in the order in which they came. Of those with the same keyword the last one counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

/// What the keyword of an extended attribute begins with.
const XATTR: &[u8] = b"SCHILY.xattr.";

impl Records {
    /// Adds the records that stand in `bytes`; or says what is wrong with them.
    pub(super) fn extend(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        // Some pad with NULs.
        while bytes.first().is_some_and(|byte| *byte != 0) {
            let (record, rest) = split(bytes).ok_or("an extended record before it is malformed")?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or("an extended record has no value")?;
            self.0.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            bytes = rest;
        }
        Ok(())
    }

    /// The value of a keyword; an empty one takes back what was said before.
    pub(super) fn value(&self, keyword: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(known, _)| known == keyword.as_bytes());
        found.map(|(_, value)| &value[..]).filter(|value| !value.is_empty())
    }

    /// The values of a keyword that may come more than once.
    pub(super) fn values(&self, keyword: &str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(known, _)| known == keyword.as_bytes()).map(|(_, value)| &value[..])
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
        let mut xattrs = std::collections::BTreeMap::new();
        for (keyword, value) in &self.0 {
            if let Some(name) = keyword.strip_prefix(XATTR).filter(|name| !name.starts_with(b"system.posix_acl_")) {
                xattrs.insert(name.to_vec(), value.clone());
            }
        }
        xattrs.into_iter().collect()
    }
}

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
        assert_eq!(found.values("path").count(), 2);
        assert_eq!(found.xattrs(), [(b"user.x".to_vec(), b"\0\n=1".to_vec())]);
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
