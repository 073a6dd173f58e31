//! The verbs around SSH: what they write is what OpenSSH and stock borg go by.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::sshd::Sshd;
use worldkeeper_testkit::worldkeeper::Worldkeeper;

/// A set-up whose repository is behind a server.
fn place(sshd: &Sshd) -> (TempDir, Worldkeeper) {
    let folder = tempfile::tempdir().expect("temporary directories can be made");
    let keeper = Worldkeeper::at(folder.path());
    let url = sshd.url(&keeper.repository());
    (folder, keeper.with("BORG_REPO_PATH", url))
}

/// The fingerprint of a host key, as `ssh-keygen` says it.
fn fingerprint(sshd: &Sshd, key_type: &str) -> String {
    let outcome = Outcome::of(Command::new("ssh-keygen").arg("-lf").arg(sshd.host_key(key_type))).exits(0);
    outcome.stdout().split(' ').nth(1).expect("it stands behind the length").to_owned()
}

/// How `ssh` ends that knows the hosts we have pinned, and no others.
fn ssh(sshd: &Sshd, keeper: &Worldkeeper) -> Outcome {
    let pinned = keeper.state().join("ssh/known_hosts");
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "UpdateHostKeys=no", "-o", "GlobalKnownHostsFile=none"]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", pinned.display())).arg("-i").arg(sshd.key());
    command.args(["-p", &sshd.port().to_string(), &format!("{}@127.0.0.1", sshd.user()), "true"]);
    Outcome::of(&mut command)
}

#[test]
fn a_host_is_trusted_by_the_fingerprint_somebody_was_told_and_by_nothing_else() {
    let Some(sshd) = Sshd::with_host_keys(&["ed25519", "ecdsa"]) else { return };
    let (_folder, keeper) = place(&sshd);
    let host = format!("127.0.0.1:{}", sshd.port());
    let (ours, other) = (fingerprint(&sshd, "ed25519"), fingerprint(&sshd, "ecdsa"));

    // The repository's host, and what would pin it.
    let shown = keeper.try_run(["trust-host"]).exits(2);
    let command = format!("worldkeeper trust-host {host} {ours}");
    let _ = shown.says(&[&format!("shows ssh-ed25519 {ours}"), &format!("ecdsa-sha2-nistp256 {other}"), &command]);
    let wrong = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let _ = keeper.try_run(["trust-host", &host, wrong]).exits(2).says(&["no key of", wrong]);
    assert!(!keeper.state().join("ssh/known_hosts").exists());
    let _ = ssh(&sshd, &keeper).exits(255);

    let _ = keeper.run(["trust-host", &host, &ours]).says(&["is trusted by its key ssh-ed25519"]);
    let _ = ssh(&sshd, &keeper).exits(0);
    let _ = keeper.run(["trust-host", &ours]).says(&["is already trusted"]);

    // It has changed: only who says so again is believed, and then the old one is nothing any more.
    sshd.set_host_keys(&["ed25519"]);
    let new = fingerprint(&sshd, "ed25519");
    let _ = ssh(&sshd, &keeper).exits(255);
    let _ = keeper.try_run(["trust-host", &host, &new]).exits(2).says(&["another key", &ours, "--replace"]);
    let _ = keeper.run(["trust-host", "--replace", &host, &new]);
    let _ = ssh(&sshd, &keeper).exits(0);
    let pinned = fs::read_to_string(keeper.state().join("ssh/known_hosts")).unwrap();
    assert_eq!(pinned, format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd.public_host_key("ed25519")));
}

#[test]
fn on_a_terminal_somebody_is_asked() {
    let Some(sshd) = Sshd::start() else { return };
    let (_folder, keeper) = place(&sshd);
    let ours = fingerprint(&sshd, "ed25519");
    let told = |answer: &str| {
        // Its pseudo-terminal is what the verb finds.
        let on_terminal = ["sh", "-c", "exec script -qec \"$0 trust-host\" /dev/null"];
        let mut command = keeper.command_under::<&str>(&on_terminal, [""; 0]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("script can be started");
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        Outcome::from_output(&command, child.wait_with_output().unwrap())
    };
    let _ = told("no\n").exits(2).says(&["has told you?", "none of the keys"]);
    let _ = told("SHA256:AAAA\n").exits(2).says(&["no key of", "SHA256:AAAA"]);
    let _ = ssh(&sshd, &keeper).exits(255);
    let _ = told(&format!("{ours}\n")).exits(0).says(&["is trusted"]);
    let _ = ssh(&sshd, &keeper).exits(0);
    let _ = told("yes\n").exits(0).says(&["is already trusted"]);
}

#[test]
fn what_is_no_host_is_said_to_be_none() {
    let Some(sshd) = Sshd::start() else { return };
    let (folder, keeper) = place(&sshd);
    let _ = keeper.try_run(["trust-host", "--", "-oProxyCommand=x"]).exits(2).says(&["is no host"]);
    let here = keeper.with("BORG_REPO_PATH", folder.path());
    let _ = here.try_run(["trust-host"]).exits(2).says(&["on this machine", "trust-host HOST"]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _ = here.try_run(["trust-host", &closed.to_string()]).exits(2).says(&["connection refused"]);
}

#[test]
fn our_key_is_made_once_and_lets_stock_into_the_one_repository() {
    let Some(sshd) = Sshd::start() else { return };
    for borg in Borg::all() {
        let (folder, keeper) = place(&sshd);
        let program = Path::new(borg.command().get_program()).display().to_string();
        let base = folder.path().join("base");
        let keeper = keeper.with("BORG_REMOTE_PATH", format!("env BORG_BASE_DIR={} {program}", base.display()));
        let line = keeper.run(["ssh-key"]).stdout().to_owned();
        assert_eq!(keeper.run(["ssh-key"]).stdout(), line);
        let another = keeper.clone().with("SSH_KEY_PATH", "/ssh/key");
        let _ = another.try_run(["ssh-key"]).exits(1).says(&[line.trim(), "SSH_KEY_PATH names another key, /ssh/key"]);
        let key = keeper.state().join("ssh/id_ed25519");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let public = Outcome::of(Command::new("ssh-keygen").arg("-yf").arg(&key)).exits(0).stdout().to_owned();
        assert!(line.ends_with(&format!(",restrict {public}")), "{line}, not {public}");

        sshd.authorize("", &line);
        let rsh = sshd.rsh().replace(&sshd.key().display().to_string(), &key.display().to_string());
        let init = |repository: &str| {
            let mut command = borg.command();
            command.env("BORG_RSH", &rsh).args(["init", "--encryption", "none", repository]);
            Outcome::of(&mut command)
        };
        let _ = init(&sshd.url(&keeper.repository())).exits(0);
        let _ = init(&sshd.url(&folder.path().join("other"))).exits(2).says(&["not allowed"]);
        // It runs nothing else.
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{rsh} -p {} {}@127.0.0.1 id", sshd.port(), sshd.user()));
        let _ = Outcome::of(&mut shell).does_not_say("uid=");
    }
}
