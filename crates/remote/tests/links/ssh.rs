//! What only our own SSH has: logins, and an eye on whether somebody is there.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use worldkeeper_core::Stop;
use worldkeeper_remote::ssh::{Passphrase, SshConnector, SshOptions};
use worldkeeper_remote::{Connect, ConnectError, Ended, RemoteLocation, ServeCommand};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::sshd::{Sshd, keygen};

use crate::talk::talk;

/// What gets in there.
pub(crate) fn options(sshd: &Sshd) -> SshOptions {
    SshOptions { keys: vec![sshd.key()], pinned: sshd.known_hosts("ed25519"), ..SshOptions::default() }
}

/// To run `true serve` there, if nothing is forced.
pub(crate) fn connector(sshd: &Sshd, options: SshOptions) -> SshConnector {
    connector_at(sshd, sshd.port(), options)
}

/// The same by another port.
pub(crate) fn connector_at(sshd: &Sshd, port: u16, options: SshOptions) -> SshConnector {
    let url = format!("ssh://{}@127.0.0.1:{port}/repository", sshd.user());
    let location = RemoteLocation::parse(&url).unwrap().unwrap();
    let command = ServeCommand { program: "true".into(), ..ServeCommand::default() };
    SshConnector::new(&location, command, options)
}

#[track_caller]
fn is_let_in(sshd: &Sshd, options: SshOptions) {
    assert_eq!(talk(&connector(sshd, options), []).ended, Ended::Exited(0));
}

#[track_caller]
fn refusal(sshd: &Sshd, options: SshOptions) -> ConnectError {
    connector(sshd, options).connect(&Stop::default()).expect_err("it is not to be let in")
}

#[test]
fn keys_of_every_type_let_us_in_encrypted_ones_too() {
    let Some(sshd) = Sshd::start() else { return };
    for (key_type, passphrase) in [("ecdsa", ""), ("rsa", ""), ("ed25519", "pass phrase"), ("rsa", "x")] {
        let key = sshd.folder().join(format!("{key_type}{passphrase}"));
        sshd.authorize("", &keygen(&key, key_type, passphrase));
        let passphrase = (!passphrase.is_empty()).then(|| Passphrase::new(passphrase.to_owned().into()));
        is_let_in(&sshd, SshOptions { keys: vec![key], passphrase, ..options(&sshd) });
    }
    // RSA did not sign with SHA-1, and ciphers are those that the processor does.
    assert!(sshd.log().contains("RSA SHA256:") && !sshd.log().contains("ssh-rsa SHA256"), "{}", sshd.log());
}

#[test]
fn an_old_key_in_pem_lets_us_in_too() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.folder().join("old");
    sshd.authorize("", &keygen(&key, "rsa", ""));
    let mut command = Command::new("ssh-keygen");
    let _ = Outcome::of(command.args(["-q", "-p", "-m", "PEM", "-N", "", "-P", "", "-f"]).arg(&key)).exits(0);
    assert!(fs::read_to_string(&key).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    is_let_in(&sshd, SshOptions { keys: vec![key], ..options(&sshd) });
}

#[test]
fn a_key_that_does_not_fit_is_named() {
    let Some(sshd) = Sshd::start() else { return };
    let other = sshd.folder().join("other");
    keygen(&other, "ed25519", "");
    let refused = refusal(&sshd, SshOptions { keys: vec![other.clone()], ..options(&sshd) });
    let expected = format!("127.0.0.1 does not let {} in with ssh-ed25519 SHA256:", sshd.user());
    assert!(refused.message.starts_with(&expected), "{refused}");
    assert!(refused.remedy.unwrap().contains("authorized_keys") && !refused.may_pass);

    let locked = sshd.folder().join("locked");
    keygen(&locked, "ed25519", "secret");
    for (keys, passphrase, expected) in [
        (vec![locked.clone()], None, "is encrypted, and no passphrase is given"),
        (vec![locked], Some("wrong"), "is encrypted, and the passphrase given does not open it"),
        (vec![sshd.folder().join("none")], None, "cannot read the key "),
        (vec![sshd.folder().join("sshd_config")], None, "holds no private key"),
        (vec![], None, "there is no key to log in to 127.0.0.1 with"),
    ] {
        let passphrase = passphrase.map(|text: &str| Passphrase::new(text.to_owned().into()));
        let refused = refusal(&sshd, SshOptions { keys, passphrase, ..options(&sshd) });
        assert!(refused.message.contains(expected), "{refused}");
        assert!(!refused.message.contains("wrong"), "{refused}");
    }
}

#[test]
fn of_keys_that_are_not_named_any_may_fit_and_may_be_missing() {
    let Some(sshd) = Sshd::start() else { return };
    let other = sshd.folder().join("other");
    keygen(&other, "ed25519", "");
    let locked = sshd.folder().join("locked");
    keygen(&locked, "ed25519", "secret");
    let default_keys = vec![sshd.folder().join("none"), locked, other, sshd.key()];
    is_let_in(&sshd, SshOptions { keys: vec![], default_keys, ..options(&sshd) });
}

/// An agent that ends with the test.
struct Agent(Child);

impl Agent {
    fn start(sshd: &Sshd) -> Self {
        let socket = sshd.folder().join("agent");
        let mut command = Command::new("ssh-agent");
        let child = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        while !socket.exists() {
            std::thread::yield_now();
        }
        Self(child)
    }

    fn add(sshd: &Sshd, key: &std::path::Path, passphrase: &str) {
        let asker = sshd.folder().join("asker");
        fs::write(&asker, format!("#!/bin/sh\necho '{passphrase}'\n")).unwrap();
        let _ = Outcome::of(Command::new("chmod").arg("755").arg(&asker)).exits(0);
        let mut command = Command::new("ssh-add");
        command.env("SSH_AUTH_SOCK", sshd.folder().join("agent")).env("SSH_ASKPASS", &asker);
        let _ = Outcome::of(command.env("SSH_ASKPASS_REQUIRE", "force").arg(key)).exits(0);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_lets_us_in_and_opens_a_named_key_that_is_encrypted() {
    let Some(sshd) = Sshd::start() else { return };
    let _agent = Agent::start(&sshd);
    let agent = Some(sshd.folder().join("agent"));
    let nothing = SshOptions { keys: vec![], agent: agent.clone(), ..options(&sshd) };
    assert!(refusal(&sshd, nothing.clone()).message.contains("there is no key"));
    let locked = sshd.folder().join("locked");
    sshd.authorize("", &keygen(&locked, "rsa", "secret"));
    Agent::add(&sshd, &locked, "secret");
    is_let_in(&sshd, nothing);
    is_let_in(&sshd, SshOptions { keys: vec![locked], agent: agent.clone(), ..options(&sshd) });
    // A key is named: no other one is tried.
    let other = sshd.folder().join("other");
    keygen(&other, "ed25519", "");
    assert!(refusal(&sshd, SshOptions { keys: vec![other], agent, ..options(&sshd) }).message.contains("does not let"));
}

#[test]
fn every_address_of_a_name_is_tried() {
    let Some(sshd) = Sshd::start() else { return };
    // It has one of IPv6 too, usually, and nobody listens there.
    let pinned = sshd.folder().join("pinned");
    fs::write(&pinned, format!("[localhost]:{} {}\n", sshd.port(), sshd.public_host_key("ed25519"))).unwrap();
    let location = RemoteLocation::parse(&format!("ssh://{}@LocalHost:{}/x", sshd.user(), sshd.port()));
    let command = ServeCommand { program: "true".into(), ..ServeCommand::default() };
    let options = SshOptions { pinned, ..options(&sshd) };
    let connector = SshConnector::new(&location.unwrap().unwrap(), command, options);
    assert_eq!(talk(&connector, []).ended, Ended::Exited(0));
}

#[test]
fn one_that_is_not_there_is_said_to_be() {
    let Some(sshd) = Sshd::start() else { return };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = connector_at(&sshd, closed, options(&sshd)).connect(&Stop::default()).unwrap_err();
    assert!(error.message.starts_with(&format!("cannot connect to 127.0.0.1: 127.0.0.1:{closed}: Connection refused")));
    assert!(error.may_pass);
    // Somebody listens and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = SshOptions { step_timeout: Duration::from_millis(100), ..options(&sshd) };
    let port = silent.local_addr().unwrap().port();
    let error = connector_at(&sshd, port, options.clone()).connect(&Stop::default()).unwrap_err();
    assert_eq!(error.message, "127.0.0.1 did not agree on keys within 0.1 s");
    // Who is told to stop does not wait for it.
    let stop = Stop::default();
    stop.request();
    let patient = SshOptions { step_timeout: Duration::from_secs(1000), ..options };
    let error = connector_at(&sshd, port, patient).connect(&stop).unwrap_err();
    assert_eq!(error.message, "stopped while connecting");
}
