//! What a restore lacks, in a line for each kind: of ten thousand files that could not get their owner, one line says more
//! than ten thousand.

use tracing::warn;
use worldkeeper_engine::ExtractStats;

use crate::words::count;

/// Says what was left out, what failed and what could not be set, and what would bring it.
pub(super) fn warn_of(stats: &ExtractStats) {
    for line in lines(stats, rustix::process::geteuid().is_root()) {
        warn!("{line}");
    }
}

fn lines(stats: &ExtractStats, is_root: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if stats.failed > 0 {
        lines.push(format!("{} could not be restored, or not whole", count(stats.failed, "item")));
    }
    if stats.left_out > 0 {
        lines.push(format!("{} left out: --devices restores them", count(stats.left_out, "device")));
    }
    for (kind, number) in &stats.unset {
        let advice = match *kind {
            "setuid and setgid bits" | "capabilities" => ": --setuid sets them, where the owner can be set",
            "owner" if !is_root => ": only root may give files away",
            _ => "",
        };
        lines.push(format!("{kind} not set on {}{advice}", count(*number, "item")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line() {
        assert_eq!(lines(&ExtractStats::default(), true), [""; 0]);
        let unset = [("owner", 7), ("capabilities", 1), ("ACL", 2)].into();
        let stats = ExtractStats { failed: 1, left_out: 2, unset, ..ExtractStats::default() };
        let expected = [
            "1 item could not be restored, or not whole",
            "2 devices left out: --devices restores them",
            "ACL not set on 2 items",
            "capabilities not set on 1 item: --setuid sets them, where the owner can be set",
            "owner not set on 7 items: only root may give files away",
        ];
        assert_eq!(lines(&stats, false), expected);
        assert!(!lines(&stats, true).join("").contains("only root"));
    }
}
