//! Users and groups: names of numbers and numbers of names, each asked for once.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;

use uzers::{get_current_uid, get_group_by_gid, get_group_by_name, get_user_by_name, get_user_by_uid};
use worldkeeper_core::copied;

/// Who runs this, as borg notes it in an archive: by name, or by number where this system has no name for it.
#[must_use]
pub fn username() -> String {
    let uid = get_current_uid();
    get_user_by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name().to_string_lossy().into_owned())
}

/// The users and groups of this system, as far as they have been asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: BTreeMap<u32, Option<Vec<u8>>>,
    groups: BTreeMap<u32, Option<Vec<u8>>>,
    uids: HashMap<Vec<u8>, Option<u32>>,
    gids: HashMap<Vec<u8>, Option<u32>>,
}

impl Names {
    /// The name of the user `uid`, if this system knows it.
    pub(crate) fn user(&mut self, uid: u32) -> Option<Vec<u8>> {
        let name = || get_user_by_uid(uid).map(|user| user.name().as_bytes().to_vec());
        self.users.entry(uid).or_insert_with(name).as_deref().map(copied)
    }

    /// The name of the group `gid`, if this system knows it.
    pub(crate) fn group(&mut self, gid: u32) -> Option<Vec<u8>> {
        let name = || get_group_by_gid(gid).map(|group| group.name().as_bytes().to_vec());
        self.groups.entry(gid).or_insert_with(name).as_deref().map(copied)
    }

    /// The number of the user called `name`, if this system knows it.
    pub(crate) fn uid(&mut self, name: &[u8]) -> Option<u32> {
        cached(&mut self.uids, name, || get_user_by_name(std::ffi::OsStr::from_bytes(name)).map(|user| user.uid()))
    }

    /// The number of the group called `name`, if this system knows it.
    pub(crate) fn gid(&mut self, name: &[u8]) -> Option<u32> {
        cached(&mut self.gids, name, || get_group_by_name(std::ffi::OsStr::from_bytes(name)).map(|group| group.gid()))
    }
}

/// The answer that is known, or else the one that `ask` gives; names come from archives, so only so many are kept.
fn cached(known: &mut HashMap<Vec<u8>, Option<u32>>, name: &[u8], ask: impl FnOnce() -> Option<u32>) -> Option<u32> {
    const KEPT: usize = 4096;
    // A NUL ends a name for the C library, which would then look up another one.
    if name.is_empty() || name.contains(&0) {
        return None;
    }
    if let Some(answer) = known.get(name) {
        return *answer;
    }
    let answer = ask();
    if known.len() < KEPT {
        known.insert(name.to_vec(), answer);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_both_ways_and_nobody_answers_for_the_unknown() {
        let mut names = Names::default();
        for _ in 0..2 {
            assert_eq!(names.user(0).as_deref(), Some(&b"root"[..]));
            assert_eq!(names.group(0).as_deref(), Some(&b"root"[..]));
            assert_eq!(names.uid(b"root"), Some(0));
            assert_eq!(names.gid(b"root"), Some(0));
            assert_eq!(names.user(0xffff_fff0), None);
        }
        for odd in [&b""[..], b"root\0x", b"\xff\xfe", b"no such user", b"0"] {
            assert_eq!(names.uid(odd), None);
            assert_eq!(names.gid(odd), None);
        }
    }
}
