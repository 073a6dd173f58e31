//! The body of a fuzz target: whatever stands in a `known_hosts`, nobody is trusted who should not be.

use crate::ssh::known_hosts::{HostName, KnownHosts, Verdict, pin, unpin};

/// Any file that somebody has mounted.
pub fn fuzz_known_hosts(bytes: &[u8]) {
    let host = HostName::new("host.example.org", 2222);
    // It is named by nobody: no text holds a name that is not in it.
    let stranger = HostName::new("9d1f5a0c-nobody", 22);
    let key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20\x8e\x11\x5c a key that is nobody's  \x01\x02\x03";
    let judge = |text: &[u8], host: &HostName| {
        let mut known = KnownHosts::default();
        known.read("known_hosts", text).ok().map(|()| known.judge(host, key))
    };
    let before = judge(bytes, &host);
    assert!(!matches!(judge(bytes, &stranger), Some(Verdict::Known)), "nobody has pinned this key");
    let pinned = pin(bytes, &host, "ssh-ed25519", key);
    match (before, judge(&pinned, &host)) {
        (None, None) | (Some(Verdict::Revoked(_)), Some(Verdict::Revoked(_))) => {}
        (Some(_), after) => assert_eq!(after, Some(Verdict::Known), "it was pinned"),
        (None, Some(_)) => panic!("what cannot be understood is not mended by another line"),
    }
    let after = judge(&unpin(&pinned, &host), &host);
    assert!(!matches!(after, Some(Verdict::Known | Verdict::Changed(_))), "its keys were taken away: {after:?}");
}
