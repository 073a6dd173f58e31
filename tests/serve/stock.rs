//! Stock's clients at our server; what they leave is looked at by stock on the host itself.

use std::fs;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::sshd::Sshd;
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
        works(&borg, &site, &ssh, &remote);
        let run = |args: &[&str]| site.run(&borg, &ssh, args).exits(0);
        let archive = format!("{remote}::four");
        let _ = run(&["info", &archive]);
        let _ = run(&["recreate", "--comment", "again", &archive]);
        let _ = run(&["check", "--repair", &remote]);
        let mut changed = site.client(&borg, &ssh, &["key", "change-passphrase", &remote]);
        let _ = borg.outcome(changed.env("BORG_NEW_PASSPHRASE", "secret")).exits(0);
        let _ = run(&["key", "export", &remote, "exported"]);
        let _ = run(&["key", "import", &remote, "exported"]);
        let _ = run(&["with-lock", &remote, "true"]);
        let _ = run(&["break-lock", &remote]);
        extracts(&site, &borg, &ssh, &archive);
        assert_eq!(site.left_behind(), [""; 0]);
        let local = site.repository();
        let _ = site.run(&borg, &ssh, &["check", "--verify-data", local.to_str().unwrap()]).exits(0);
        let _ = run(&["delete", &remote]);
        assert!(!local.exists());
    }
}

#[test]
fn stock_works_with_our_server_behind_a_real_sshd() {
    for borg in borgs() {
        let Some(sshd) = Sshd::start() else { return };
        let site = Site::new();
        works(&borg, &site, &sshd.rsh(), &sshd.url(&site.repository()));
        assert!(sshd.log().contains("Accepted publickey"), "{borg} came by another way");
    }
}

/// Makes archives and does with them what one does. Of what this client leaves, another stock finds all well on the disk.
fn works(borg: &Borg, site: &Site, ssh: &str, remote: &str) {
    let world = site.path("world");
    fs::create_dir(&world).unwrap();
    tree::sample(&world, "serve");
    fs::write(world.join("big"), fixtures::sha_stream("serve", 3 << 20)).unwrap();
    let run = |args: &[&str]| site.run(borg, ssh, args).exits(0);
    let at = |archive: &str| format!("{remote}::{archive}");

    let _ = run(&["init", "-e", "repokey-blake2", remote]);
    let _ = run(&["create", &at("one"), "world"]);
    fs::write(world.join("new"), "new").unwrap();
    for archive in ["two", "three", "four"] {
        let _ = run(&["create", "--stats", &at(archive), "world"]);
    }
    assert_eq!(run(&["list", "--short", remote]).lines(), ["one", "two", "three", "four"]);
    let _ = run(&["rename", &at("three"), "drei"]);
    let _ = run(&["delete", &at("one")]);
    let checked = run(&["check", "--verify-data", "-v", "--progress", remote]);
    assert!(checked.stderr().contains("Checking segments"), "{checked}");
    let _ = run(&["prune", "--keep-last", "1", remote]);
    if !borg.is_old() {
        let _ = run(&["compact", remote]);
    }
    extracts(site, borg, ssh, &at("four"));
    assert_eq!(site.left_behind(), [""; 0]);

    let local = site.repository().display().to_string();
    let other = other_than(borg);
    let other = other.as_ref().unwrap_or(borg);
    let _ = site.run(other, ssh, &["check", "--verify-data", &local]).exits(0);
    assert_eq!(site.run(other, ssh, &["list", "--short", &local]).exits(0).lines(), ["four"]);
    extracts(site, other, ssh, &format!("{local}::four"));
}

/// Another stock, the oldest: 1.4 takes none of the archives of 1.1, which prove nothing.
fn other_than(borg: &Borg) -> Option<Borg> {
    borgs().filter(|other| other.version() != borg.version() && !other.is_old()).last()
}

#[track_caller]
fn extracts(site: &Site, borg: &Borg, ssh: &str, archive: &str) {
    let target = tempfile::tempdir().unwrap();
    let mut command = site.client(borg, ssh, &["extract", archive]);
    let _ = borg.outcome(command.current_dir(&target)).exits(0);
    let (world, found) = (site.path("world"), target.path().join("world"));
    let compared = Command::new("diff").arg("-r").args([world, found]).status().unwrap();
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
            // Over ssh these words may come behind the answer, and then stock's client has gone.
            let _ = site.run(&borg, &ssh, &["compact", "-v", &other]).exits(0).says(&["compaction freed about"]);
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
