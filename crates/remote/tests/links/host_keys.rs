//! Whom we talk to: an exact pin, or nobody.

use std::fs;
use std::process::Command;

use worldkeeper_core::Stop;
use worldkeeper_remote::ssh::SshOptions;
use worldkeeper_remote::{Connect, ConnectError, Ended};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::sshd::{Sshd, keygen};

use crate::ssh::{connector, options};
use crate::talk::talk;

/// What a server is refused for, when `known_hosts` says this. Nothing is sent to it, a login neither.
#[track_caller]
fn refusal(sshd: &Sshd, known_hosts: &str) -> ConnectError {
    let pinned = sshd.folder().join("pinned");
    fs::write(&pinned, known_hosts).unwrap();
    let refused = connector(sshd, SshOptions { pinned, ..options(sshd) }).connect(&Stop::default());
    let refused = refused.expect_err("it is not to be trusted");
    assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
    assert!(!refused.may_pass);
    refused
}

/// Runs a command there.
#[track_caller]
fn accepted(sshd: &Sshd, known_hosts: &str) {
    let pinned = sshd.folder().join("pinned");
    fs::write(&pinned, known_hosts).unwrap();
    let heard = talk(&connector(sshd, SshOptions { pinned, ..options(sshd) }), []);
    assert_eq!(heard.ended, Ended::Exited(0), "{heard:?}");
}

/// As `ssh-keygen` says it.
fn fingerprint(sshd: &Sshd, key_type: &str) -> String {
    let outcome = Outcome::of(Command::new("ssh-keygen").arg("-lf").arg(sshd.host_key(key_type))).exits(0);
    outcome.stdout().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn one_that_is_not_known_is_refused_with_the_command_that_pins_it() {
    let Some(sshd) = Sshd::start() else { return };
    let (port, fingerprint) = (sshd.port(), fingerprint(&sshd, "ed25519"));
    let key = sshd.public_host_key("ed25519");
    // Another host's, another port's, and a name that only looks like it.
    for known in ["", &format!("127.0.0.1 {key}\n"), &format!("[127.0.0.1]:1 {key}\n[127.0.0.11]:{port} {key}\n")] {
        let refused = refusal(&sshd, known);
        let expected = format!("127.0.0.1:{port} is not known: it shows the host key ssh-ed25519 {fingerprint}");
        assert_eq!(refused.message, expected);
        let command = format!("`worldkeeper trust-host 127.0.0.1:{port} {fingerprint}`");
        assert!(refused.remedy.unwrap().ends_with(&command));
    }
    // No file at all is as good as an empty one, where it is ours.
    let pinned = sshd.folder().join("none");
    let refused = connector(&sshd, SshOptions { pinned, ..options(&sshd) }).connect(&Stop::default());
    assert!(refused.unwrap_err().message.contains("is not known"));
}

#[test]
fn one_that_has_changed_is_refused_whatever_type_it_shows() {
    let Some(sshd) = Sshd::with_host_keys(&["ed25519", "ecdsa"]) else { return };
    let host = format!("[127.0.0.1]:{}", sshd.port());
    let known = format!("{host} {}\n", sshd.public_host_key("ed25519"));
    accepted(&sshd, &known);
    fs::write(sshd.folder().join("log"), "").unwrap();
    // The same type, another key; then only another type, as somebody in between may offer.
    sshd.set_host_keys(&["ed25519"]);
    let refused = refusal(&sshd, &known);
    assert!(refused.message.contains("has changed: it shows ssh-ed25519 SHA256:"), "{refused}");
    assert!(refused.message.contains("(line 1 of "), "{refused}");
    assert!(refused.remedy.unwrap().contains("trust-host --replace"));
    sshd.set_host_keys(&["ecdsa"]);
    let refused = refusal(&sshd, &known);
    assert!(refused.message.contains("has changed: it shows ecdsa-sha2-nistp256 SHA256:"), "{refused}");
}

#[test]
fn the_type_that_is_pinned_is_asked_for_first() {
    let Some(sshd) = Sshd::with_host_keys(&["ed25519", "ecdsa", "rsa"]) else { return };
    for key_type in ["rsa", "ecdsa", "ed25519"] {
        accepted(&sshd, &fs::read_to_string(sshd.known_hosts(key_type)).unwrap());
    }
}

#[test]
fn one_that_is_revoked_is_refused_though_it_is_pinned() {
    let Some(sshd) = Sshd::start() else { return };
    let known = fs::read_to_string(sshd.known_hosts("ed25519")).unwrap();
    let refused = refusal(&sshd, &format!("{known}@revoked * {}\n", sshd.public_host_key("ed25519")));
    assert!(refused.message.contains("is revoked by line 2 of"), "{refused}");
    // A mounted file revokes what ours has pinned.
    let mounted = sshd.folder().join("mounted");
    fs::write(&mounted, format!("@revoked * {}\n", sshd.public_host_key("ed25519"))).unwrap();
    let both = SshOptions { known_hosts: vec![mounted], ..options(&sshd) };
    let refused = connector(&sshd, both).connect(&Stop::default()).unwrap_err();
    assert!(refused.message.contains("is revoked by line 1 of"), "{refused}");
}

#[test]
fn a_file_that_cannot_be_read_trusts_nobody() {
    let Some(sshd) = Sshd::start() else { return };
    for missing in [sshd.folder().join("none"), sshd.folder().to_owned()] {
        let options = SshOptions { known_hosts: vec![missing], ..options(&sshd) };
        let refused = connector(&sshd, options).connect(&Stop::default()).unwrap_err();
        assert!(refused.message.starts_with("cannot read the known hosts in "), "{refused}");
    }
    let known = fs::read_to_string(sshd.known_hosts("ed25519")).unwrap();
    let refused = refusal(&sshd, &format!("{known}@revoked * something else\n"));
    assert!(refused.message.starts_with("line 2 of "), "{refused}");
}

#[test]
fn a_certificate_counts_if_who_may_vouch_for_the_host_has_signed_it() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = sshd.folder();
    let authority = keygen(&folder.join("authority"), "ed25519", "");
    let other = keygen(&folder.join("other"), "ed25519", "");
    let host_key = sshd.host_key("ed25519").with_extension("pub");
    let certify = |authority: &str, words: &[&str]| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-I", "it", "-s"]).arg(folder.join(authority)).args(words).arg(&host_key);
        let _ = Outcome::of(&mut command).exits(0);
        fs::write(folder.join("log"), "").unwrap();
    };
    sshd.configure(&format!("HostCertificate {}\n", folder.join("host_ed25519-cert.pub").display()));
    let known = format!("@cert-authority [127.0.0.1]:* {authority}");

    certify("authority", &["-h", "-n", "127.0.0.1,host"]);
    accepted(&sshd, &known);
    for (by, words, why) in [
        ("other", &["-h", "-n", "127.0.0.1"][..], "nobody we know has signed"),
        ("authority", &["-h", "-n", "host"], "made for another host"),
        ("authority", &["-h"], "made for another host"),
        ("authority", &["-h", "-n", "127.0.0.1", "-V", "20200101:20200102"], "not valid now"),
    ] {
        certify(by, words);
        assert!(refusal(&sshd, &known).message.contains(why), "{why}");
    }
    // By somebody else, or out of date: the key itself may be pinned.
    accepted(&sshd, &format!("{known}{}", fs::read_to_string(sshd.known_hosts("ed25519")).unwrap()));
    certify("authority", &["-h", "-n", "127.0.0.1"]);
    let revoked = format!("{known}@revoked * {authority}");
    assert!(refusal(&sshd, &revoked).message.contains("is revoked by line 2"));
    // Who trusts another authority only knows nothing of this one.
    assert!(refusal(&sshd, &format!("@cert-authority * {other}")).message.contains("nobody we know"));
}
