//! Most files are nobody's business.

use worldkeeper_testkit::worlds;

use crate::judged;

#[test]
fn what_is_of_no_format_is_not_judged() {
    for path in
        ["server.properties", "logs/1.log.gz", "world/stats/a.json", "map.db-wal", "world/session.lock", "", "/"]
    {
        for content in [&b""[..], b"text", &[0; 100], &worlds::gzip(b"a log")] {
            assert_eq!(judged(path, content), "-", "{path}");
        }
    }
}
