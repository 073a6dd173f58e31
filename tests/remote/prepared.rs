//! A server that has a repository ready before the first backup, which it can read itself. A sidecar that was told no passphrase
//! makes one up with a repository of its own, so there is none that such a one would not open with.

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree;

use crate::{Remote, Server, Transport};

#[test]
fn what_somebody_else_can_read_takes_nothing() {
    for (mode, word) in [("none", "not encrypted"), ("repokey-blake2", "no passphrase")] {
        let Some(borg) = Borg::newest() else { return };
        let remote = Remote::new(&Server::Ours, Transport::Pipe);
        borg.with_passphrase("").init(&remote.on_disk(), mode);
        let keeper = remote.keeper.clone().without("BORG_PASSPHRASE");
        tree::write(&keeper.world().join("level.dat"), b"secret");
        let location = format!("ssh://backup.example{}", remote.on_disk().display());
        let before = tree::listing(&remote.on_disk().join("data"));
        for args in [&["backup"][..], &["run", "--once"]] {
            let _ = keeper.try_run(args).exits(2).says(&[word, "adopt"]);
        }
        let _ = keeper.run(["list"]);
        assert_eq!(tree::listing(&remote.on_disk().join("data")), before, "{mode}");
        let _ = keeper.run(["adopt", &location]);
        let _ = keeper.backup();
    }
}

#[test]
fn what_may_be_read_by_all_is_taken_over() {
    let Some(borg) = Borg::newest() else { return };
    let remote = Remote::new(&Server::Ours, Transport::Pipe);
    borg.init(&remote.on_disk(), "none");
    let keeper = remote.keeper.clone().without("BORG_PASSPHRASE").with("BORG_ENCRYPTION", "none");
    tree::write(&keeper.world().join("level.dat"), b"no secret");
    let _ = keeper.backup();
}
