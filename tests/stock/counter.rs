//! The repository's file `nonce`, when it is damaged: stock stops, and our cure lets both go on.
//!
//! Torn to an odd number of digits: an even one is a low number to borg 1.2, which then goes by what else it knows.

use std::fs;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::counters::Counters;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;

use crate::place;

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
