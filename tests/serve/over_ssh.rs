//! Our server behind a real sshd that forces it, as `docs/serve.md` sets it up.

use std::fs;
use std::time::Duration;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures;
use worldkeeper_testkit::sshd::Sshd;
use worldkeeper_tests::eventually;

use crate::site::Site;

#[test]
fn a_forced_command_serves_stock_and_a_lost_connection_frees_the_lock() {
    let Some(sshd) = Sshd::start() else { return };
    for borg in Borg::all().into_iter().map(|borg| borg.with_passphrase("secret").warmed()) {
        let site = Site::new();
        let repository = site.repository();
        let serve =
            format!("{} serve --restrict-to-repository {}", site.path("bin/borg").display(), repository.display());
        sshd.force(&serve);
        let (rsh, remote) = (sshd.rsh(), sshd.url(&repository));
        fs::write(site.path("world"), fixtures::sha_stream("ssh", 3 << 20)).unwrap();
        let _ = site.run(&borg, &rsh, &["init", "-e", "repokey", &remote]).exits(0);
        let _ = site.run(&borg, &rsh, &["create", &format!("{remote}::one"), "world"]).exits(0);
        let elsewhere = sshd.url(&site.path("elsewhere"));
        let refused = site.run(&borg, &rsh, &["init", "-e", "none", &elsewhere]).exits(2);
        assert!(refused.stderr().contains("Repository path not allowed"), "{refused}");

        // Its command runs while it holds the lock: the connection goes away meanwhile.
        let (held, go) = (site.path("held"), site.path("go"));
        let wait = format!("touch {}; while [ ! -e {} ]; do sleep 0.05; done", held.display(), go.display());
        let mut command = site.client(&borg, &rsh, &["with-lock", &remote, "sh", "-c", &wait]);
        let mut client = command.spawn().unwrap();
        let limit = Duration::from_secs(30);
        eventually("the lock", limit, || held.exists().then_some(()));
        assert!(!site.left_behind().is_empty());
        sshd.kill_connections();
        eventually("the lock is free", limit, || site.left_behind().is_empty().then_some(()));
        fs::write(&go, "").unwrap();
        assert!(!client.wait().unwrap().success());

        let _ = site.run(&borg, &rsh, &["create", &format!("{remote}::two"), "world"]).exits(0);
        assert_eq!(site.run(&borg, &rsh, &["list", "--short", &remote]).exits(0).lines(), ["one", "two"]);
        let _ = site.run(&borg, &rsh, &["check", "--verify-data", &remote]).exits(0);
    }
}
