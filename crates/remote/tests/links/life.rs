//! Whether somebody is there.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use worldkeeper_remote::ssh::SshOptions;
use worldkeeper_remote::{Ended, Incoming};
use worldkeeper_testkit::gate;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::sshd::Sshd;

use crate::proxy::Proxy;
use crate::ssh::{connector, connector_at, options};
use crate::talk::{connect, pieces, talk, talk_over};

/// Talks through a peer that falls silent, then sends so many MiB; returns how it ended, and how long that took.
#[track_caller]
fn end_of_silence(keepalive: Duration, sent: usize) -> Option<(Ended, Duration)> {
    let sshd = Sshd::start()?;
    sshd.force("cat");
    let proxy = Proxy::start(sshd.address(), usize::MAX);
    let mut link = connect(&connector_at(&sshd, proxy.port(), SshOptions { keepalive, ..known(&sshd, &proxy) }));
    link.input.blocking_send(Bytes::from("alive")).unwrap();
    assert_eq!(link.output.blocking_recv(), Some(Incoming::Output(Bytes::from("alive"))));
    proxy.be_silent();
    let from = Instant::now();
    // Nothing is sent after it, and the stream stays open: a server at work looks the same.
    let input = link.input.clone();
    let ended = talk_over(link, pieces(sent)).ended;
    drop(input);
    Some((ended, from.elapsed()))
}

/// What is known of the server is known of the port in front of it, too.
fn known(sshd: &Sshd, proxy: &Proxy) -> SshOptions {
    let pinned = sshd.folder().join("pinned");
    let line = format!("[127.0.0.1]:{} {}\n", proxy.port(), sshd.public_host_key("ed25519"));
    std::fs::write(&pinned, line).unwrap();
    SshOptions { pinned, ..options(sshd) }
}

#[test]
fn a_peer_that_falls_silent_is_noticed() {
    let Some((ended, _)) = end_of_silence(Duration::from_millis(50), 0) else { return };
    let Ended::Lost(reason) = ended else { panic!("{ended:?}") };
    assert_eq!(reason, "the server is silent, and does not answer when asked whether it is there");
}

#[test]
fn a_peer_that_falls_silent_is_noticed_while_there_is_more_to_send_than_it_takes() {
    let Some((ended, _)) = end_of_silence(Duration::from_millis(50), 32) else { return };
    assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
}

/// At night, as it is set.
#[test]
fn gate_silence_ends_within_45_s() {
    if !gate::is_nightly() {
        return;
    }
    for sent in [0, 1, 32] {
        let Some((ended, took)) = end_of_silence(SshOptions::default().keepalive, sent) else { return };
        assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
        assert!(took < Duration::from_secs(45), "{took:?} with {sent} MiB to send");
        println!("{sent} MiB: {took:?}");
    }
}

/// At night, by packets that get lost in a network of its own: that of another process, with no other way out.
#[test]
fn gate_a_network_that_drops_everything_is_noticed_within_45_s() {
    const WITHIN: &str = "LINKS_TEST_WITHIN";
    if !gate::is_nightly() || !worldkeeper_testkit::peers::is_root() {
        return;
    }
    if std::env::var_os(WITHIN).is_none() {
        let name = "life::gate_a_network_that_drops_everything_is_noticed_within_45_s";
        let mut command = Command::new("unshare");
        command.args(["--net", "--"]).arg(std::env::current_exe().unwrap());
        let _ = Outcome::of(command.args([name, "--exact"]).env(WITHIN, "1")).exits(0);
        return;
    }
    let run = |line: &str| drop(Outcome::of(Command::new("sh").arg("-c").arg(line)).exits(0));
    run("ip link set lo up");
    let Some(sshd) = Sshd::start() else { return };
    sshd.force("cat");
    for sent in [0, 1, 32] {
        let mut link = connect(&connector(&sshd, options(&sshd)));
        link.input.blocking_send(Bytes::from("alive")).unwrap();
        assert_eq!(link.output.blocking_recv(), Some(Incoming::Output(Bytes::from("alive"))));
        run("iptables -A INPUT -p tcp -j DROP");
        let from = Instant::now();
        let input = link.input.clone();
        let ended = talk_over(link, pieces(sent)).ended;
        drop(input);
        assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
        assert!(from.elapsed() < Duration::from_secs(45), "{:?} with {sent} MiB to send", from.elapsed());
        println!("{sent} MiB: {:?}", from.elapsed());
        run("iptables -F INPUT");
    }
}

#[test]
fn a_server_that_is_silent_for_long_because_it_works_is_not_dead() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.force("sleep 1; echo done; exit 5");
    let busy = SshOptions { keepalive: Duration::from_millis(50), ..options(&sshd) };
    let heard = talk(&connector(&sshd, busy), []);
    assert_eq!((&*heard.output, heard.ended), (&b"done\n"[..], Ended::Exited(5)));
}

#[test]
fn a_connection_that_drips_is_slow_and_nothing_else() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.force("cat");
    let proxy = Proxy::start(sshd.address(), 1);
    let sent = vec![7; 100_000];
    let connector = connector_at(&sshd, proxy.port(), known(&sshd, &proxy));
    let heard = talk(&connector, [Bytes::from(sent.clone())]);
    assert_eq!(heard.ended, Ended::Exited(0));
    assert!(heard.output == sent);
}

#[test]
fn gate_keys_are_changed_for_every_mebibyte() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.force("cat");
    sshd.set_log_level("DEBUG1");
    let sent = gate::amount(24, 200);
    let changes = |rekey_bytes| {
        let before = sshd.log().matches("SSH2_MSG_NEWKEYS sent").count();
        let heard = talk(&connector(&sshd, SshOptions { rekey_bytes, ..options(&sshd) }), pieces(sent));
        assert_eq!(heard.ended, Ended::Exited(0));
        assert!(heard.output.iter().copied().eq(pieces(sent).flatten()));
        sshd.log().matches("SSH2_MSG_NEWKEYS sent").count() - before
    };
    assert!(changes(1 << 20) >= sent / 2);
    // And by the server, while data is under way both ways.
    sshd.configure("RekeyLimit 1M\n");
    assert!(changes(1 << 30) >= sent / 2);
}
