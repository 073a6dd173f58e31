//! Stock's clients at our server; what they leave is looked at by stock on the host itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::{fixtures, tree};

use crate::site::{Site, url};

fn borgs() -> impl Iterator<Item = Borg> {
    let borgs = Borg::all().into_iter().chain(Borg::old());
    borgs.map(|borg| borg.with_passphrase("secret").warmed())
}

#[test]
fn stock_does_everything_through_our_server() {
    for borg in borgs() {
        let site = Site::new();
        let (ssh, remote) = (site.open(), url(&site.repository()));
        let world = site.path("world");
        fs::create_dir(&world).unwrap();
        tree::sample(&world, "serve");
        fs::write(world.join("big"), fixtures::sha_stream("serve", 3 << 20)).unwrap();
        let run = |args: &[&str]| site.run(&borg, &ssh, args).exits(0);
        let at = |archive: &str| format!("{remote}::{archive}");

        let _ = run(&["init", "-e", "repokey-blake2", &remote]);
        let _ = run(&["create", &at("one"), "world"]);
        fs::write(world.join("new"), "new").unwrap();
        for archive in ["two", "three", "four"] {
            let _ = run(&["create", "--stats", &at(archive), "world"]);
        }
        assert_eq!(run(&["list", "--short", &remote]).lines(), ["one", "two", "three", "four"]);
        let _ = run(&["info", &at("two")]);
        let _ = run(&["rename", &at("four"), "vier"]);
        let _ = run(&["delete", &at("one")]);
        let _ = run(&["recreate", "--comment", "again", &at("two")]);
        let checked = run(&["check", "--verify-data", "-v", "--progress", &remote]);
        assert!(checked.stderr().contains("Checking segments"), "{checked}");
        let _ = run(&["check", "--repair", &remote]);
        let _ = run(&["prune", "--keep-last", "1", &remote]);
        if !borg.is_old() {
            let compacted = run(&["compact", "-v", &remote]);
            assert!(compacted.stderr().contains("compaction freed about"), "{compacted}");
        }
        let mut changed = site.client(&borg, &ssh, &["key", "change-passphrase", &remote]);
        let _ = borg.outcome(changed.env("BORG_NEW_PASSPHRASE", "secret")).exits(0);
        let _ = run(&["key", "export", &remote, "exported"]);
        let _ = run(&["key", "import", &remote, "exported"]);
        let _ = run(&["with-lock", &remote, "true"]);
        let _ = run(&["break-lock", &remote]);
        extracts(&site, &borg, &ssh, &at("vier"), &world);
        assert_eq!(site.left_behind(), [""; 0]);

        let local = site.repository();
        let _ = site.run(&borg, &ssh, &["check", "--verify-data", local.to_str().unwrap()]).exits(0);
        assert_eq!(site.run(&borg, &ssh, &["list", "--short", local.to_str().unwrap()]).exits(0).lines(), ["vier"]);
        let _ = run(&["delete", &remote]);
        assert!(!local.exists());
    }
}

#[track_caller]
fn extracts(site: &Site, borg: &Borg, ssh: &str, archive: &str, world: &Path) {
    let target = site.path("target");
    fs::create_dir(&target).unwrap();
    let mut command = site.client(borg, ssh, &["extract", archive]);
    let _ = borg.outcome(command.current_dir(&target)).exits(0);
    let compared = Command::new("diff").arg("-r").arg(world).arg(target.join("world")).status().unwrap();
    assert!(compared.success(), "{borg}");
}

#[test]
fn stock_learns_of_limits_from_our_server() {
    for borg in borgs() {
        let site = Site::new();
        let (ssh, remote) = (site.open(), url(&site.repository()));
        let args = ["init", "-e", "none", "--append-only", "--storage-quota", "10M", &remote];
        let _ = site.run(&borg, &ssh, &args).exits(0);
        let config = fs::read_to_string(site.repository().join("config")).unwrap();
        assert!(config.contains("append_only = 1") && config.contains("storage_quota = 10000000"), "{config}");
        fs::write(site.path("big"), fixtures::sha_stream("quota", 11 << 20)).unwrap();
        let too_much = site.run(&borg, &ssh, &["create", &format!("{remote}::big"), "big"]).exits(2);
        assert!(too_much.stderr().contains("storage quota"), "{too_much}");
        assert_eq!(site.left_behind(), [""; 0]);
        let _ = site.run(&borg, &ssh, &["delete", &remote]).exits(2).says(&["append-only"]);
        let _ = site.run(&borg, &ssh, &["check", &remote]).exits(0);
        // A session that is append-only frees nothing either.
        let forced = site.forced("--append-only");
        fs::write(site.path("small"), fixtures::sha_stream("small", 1 << 20)).unwrap();
        let other = url(&site.path("other"));
        let _ = site.run(&borg, &ssh, &["init", "-e", "none", &other]).exits(0);
        let archive = format!("{other}::small");
        let _ = site.run(&borg, &forced, &["create", &archive, "small"]).exits(0);
        let _ = site.run(&borg, &forced, &["delete", &archive]).exits(0);
        let _ = site.run(&borg, &forced, &["delete", &other]).exits(2).says(&["append-only"]);
        if !borg.is_old() {
            let _ = site.run(&borg, &forced, &["compact", &other]).exits(0);
        }
        let bytes = || worldkeeper_testkit::segments::read(&site.path("other")).values().map(Vec::len).sum::<usize>();
        assert!(bytes() > 1 << 20, "{}", bytes());
        if !borg.is_old() {
            let _ = site.run(&borg, &ssh, &["compact", &other]).exits(0);
            assert!(bytes() < 1 << 20, "{}", bytes());
        }
    }
}

#[test]
fn a_lock_that_was_left_is_broken_through_our_server() {
    for borg in borgs() {
        let site = Site::new();
        let (ssh, remote) = (site.open(), url(&site.repository()));
        let _ = site.run(&borg, &ssh, &["init", "-e", "none", &remote]).exits(0);
        let lock = site.repository().join("lock.exclusive");
        fs::create_dir(&lock).unwrap();
        fs::write(lock.join("elsewhere@7.1-0"), "").unwrap();
        let _ = site.run(&borg, &ssh, &["list", &remote]).exits(2).says(&["failed to create/acquire the lock"]);
        let _ = site.run(&borg, &ssh, &["list", "--bypass-lock", &remote]);
        let _ = site.run(&borg, &ssh, &["break-lock", &remote]).exits(0);
        let _ = site.run(&borg, &ssh, &["list", &remote]).exits(0);
    }
}
