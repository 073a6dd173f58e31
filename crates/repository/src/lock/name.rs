//! The name of a holder's file in the lock directory.

use worldkeeper_core::lock::LockId;

/// Writes `<host id>.<process id>-<thread, in hex>`.
pub(super) fn format(id: &LockId) -> String {
    format!("{}.{}-{:x}", id.host_id, id.process, id.thread)
}

/// Reads what [`format()`] writes. Anything else is `None`: somebody we do not know.
pub(super) fn parse(name: &str) -> Option<LockId> {
    let (host_and_process, thread) = name.rsplit_once('-')?;
    let (host_id, process) = host_and_process.rsplit_once('.')?;
    let id = LockId {
        host_id: host_id.to_owned(),
        process: process.parse().ok()?,
        thread: u64::from_str_radix(thread, 16).ok()?,
    };
    // What reads alike but is written otherwise was written by somebody else.
    (format(&id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stock_and_ours_are_read_and_others_are_not() {
        let id = |host_id: &str, process, thread| Some(LockId { host_id: host_id.into(), process, thread });
        assert_eq!(parse("myhost@3281355014145.15207-0"), id("myhost@3281355014145", 15207, 0));
        assert_eq!(parse("a.b-c@1-2.7-ff"), id("a.b-c@1-2", 7, 0xff));
        for name in ["", "x", "x.1", "x-1", "x.y-0", "x.1-g", "x.+1-0", "x.01-0", "x.1-0F", "x.1-", ".1"] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }
}
