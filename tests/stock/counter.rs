//! The repository's file `nonce`, when it is damaged: stock stops, and our cure lets both go on.
//!
//! Torn to an odd number of digits: an even one is a low number to borg 1.2, which then goes by what else it knows.

use std::fs;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;

use crate::{place, sharing_keys};

#[test]
fn after_a_damaged_nonce_both_go_on() {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE).warmed();
        let (folder, keeper) = place("repokey-blake2");
        let (repository, world) = (keeper.repository(), keeper.world());
        let nonce = repository.join("nonce");
        tree::write(&world.join("level.dat"), b"the world");
        let _ = keeper.backup();
        let _ = borg.create(&repository, "stock-0", &world, &[]);
        let counters = Counters::default();
        counters.directory(&repository);

        let address = repository.display().to_string();
        let confirmed = keeper.clone().with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
        let cures: [&dyn Fn(); 2] = [&|| _ = keeper.run(["adopt", &address]).says(&["nonce", "made anew"]), &|| {
            _ = confirmed.run(["check", "--repair"]).says(&["nonce", "mended all of it"]);
        }];
        for (number, (content, cure)) in [&b"0000000"[..], &b"BORG_SEG".repeat(1000)].iter().zip(cures).enumerate() {
            let before = fs::read_to_string(&nonce).unwrap();
            fs::write(&nonce, content).unwrap();
            let name = format!("::stock-{}", number + 1);
            let location = format!("{address}{name}");
            let refused = borg.try_run(["create", &location, world.to_str().unwrap()]);
            assert_ne!(refused.code(), Some(0), "{borg}: {refused}");
            let _ = keeper.try_run(["backup"]).exits(2).says(&["nonce", "adopt"]);
            let _ = keeper.try_run(["check"]).exits(1).says(&["nonce", "--repair"]);
            assert_eq!(keeper.archives().len(), 2 + 2 * number, "reading needs no counter");
            assert_eq!(fs::read(&nonce).unwrap(), *content);

            cure();
            let after = fs::read_to_string(&nonce).unwrap();
            assert!(after[..4] > before[..4], "{borg}: it leaps, from {before} to {after}");
            tree::write(&world.join("level.dat"), format!("the world {number}").as_bytes());
            let _ = borg.create(&repository, &format!("stock-{}", number + 1), &world, &[]);
            tree::write(&world.join("level.dat"), format!("the world after {number}").as_bytes());
            let _ = keeper.backup();
            counters.directory(&repository);
        }
        borg.check(&repository);
        let _ = keeper.run(["check", "--verify-data"]);
        drop(folder);
    }
}

/// A new repository that was never finished has nothing to adopt: the backup that finishes it makes the counter anew.
#[test]
fn a_damaged_nonce_is_not_in_the_way_of_an_unfinished_repository() {
    for mode in ["repokey-blake2", "keyfile-blake2"] {
        let Some(borg) = Borg::newest().map(|borg| borg.with_passphrase(PASSPHRASE).warmed()) else { return };
        let (_folder, keeper) = place(mode);
        let keeper = sharing_keys(keeper, &borg);
        let repository = keeper.repository();
        borg.init(&repository, mode);
        let counters = Counters::default();
        // A key in the repository is drawn anew; a key file stays, and nothing may be sealed twice with it.
        if mode == "keyfile-blake2" {
            counters.directory(&repository);
        }
        fs::remove_dir_all(repository.join("data/0")).unwrap();
        for file in fs::read_dir(&repository).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            if ["index.", "hints.", "integrity."].iter().any(|state| name.starts_with(state)) {
                fs::remove_file(file.path()).unwrap();
            }
        }
        fs::write(repository.join("nonce"), "0000000").unwrap();
        tree::write(&keeper.world().join("level.dat"), b"the world");
        let _ = keeper.try_run(["list"]).exits(2).says(&["never finished", "worldkeeper backup"]);
        let archive = keeper.backup();
        counters.directory(&repository);
        borg.check(&repository);
        assert_eq!(borg.archives(&repository), [archive.as_str()], "{mode}");
    }
}
