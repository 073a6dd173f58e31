//! The state directory is lost: what it knew is made of what is behind the server.

use std::fs;
use std::path::Path;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::lost::stored;
use crate::{Remote, Server, Transport};

/// What is stored of the world, once.
const SIZE: usize = 1 << 20;

#[test]
fn with_the_state_directory_nothing_is_lost_but_time() {
    for server in Server::newest() {
        let remote = Remote::new(&server, Transport::Pipe);
        let keeper = remote.keeper.clone().without("KEEP_WITHIN");
        let (repository, name) = (remote.on_disk(), server.name());
        tree::write(&keeper.world().join("region"), &sha_stream("resync", SIZE));
        let first = keeper.backup();

        lose_state(&keeper);
        let anew = |archives| format!("making the chunk index anew from {archives}");
        let _ = keeper.run(["backup"]).says(&["taken over", &anew("1 archive")]);
        let second = keeper.archives().pop().unwrap();
        let _ = keeper.run(["backup"]);

        // Whoever only reads takes nothing over.
        lose_state(&keeper);
        assert_eq!(keeper.archives()[..2], [first, second], "{name}");

        // Somebody else has written meanwhile.
        let borg = Borg::newest().map(|borg| borg.with_passphrase(PASSPHRASE).warmed());
        if let Some(borg) = &borg {
            tree::write(&keeper.world().join("theirs"), &sha_stream("theirs", 10_000));
            let _ = borg.create(&repository, "stock", &keeper.world(), &[]);
        }
        let theirs = usize::from(borg.is_some());
        lose_state(&keeper);
        let all = format!("{} archives", 3 + theirs);
        let _ = keeper.run(["prune", "--keep-last", "1"]).says(&["taken over", &anew(&all)]);
        assert_eq!(keeper.archives().len(), 1 + theirs);
        lose_state(&keeper);
        let last = keeper.backup();
        let _ = keeper.run(["compact"]);
        let _ = keeper.run(["check", "--verify-data"]);

        let now = stored(&repository);
        assert!(now < SIZE as u64 * 5 / 4, "{name}: {now} bytes are stored of {SIZE}: what was there came again");
        let Some(borg) = &borg else { continue };
        borg.check(&repository);
        for archive in ["stock", &last] {
            assert_restores(borg, &repository, archive, &keeper.world());
        }
    }
}

fn lose_state(keeper: &Worldkeeper) {
    fs::remove_dir_all(keeper.state()).unwrap();
    // It has nothing elsewhere.
    assert!(!keeper.folder().join("home").exists());
}

#[track_caller]
fn assert_restores(borg: &Borg, repository: &Path, archive: &str, world: &Path) {
    let target = tempfile::tempdir().unwrap();
    borg.extract(repository, archive, target.path());
    tree::assert_same(world, &below(target.path(), world));
}
