//! What our client does with a repository behind a server, and stock then finds there.

use std::fs;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::sshd::Sshd;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};

use crate::{Remote, Server, Transport};

#[test]
fn every_command_works_with_every_server_over_a_pipe() {
    for server in Server::all() {
        let _ = try_every_command(&server, Transport::Pipe);
    }
}

#[test]
fn every_command_works_with_every_server_over_ssh() {
    for server in Server::all() {
        let (Some(ours), Some(systems)) = (Sshd::start(), Sshd::start()) else { return };
        for (sshd, is_ours) in [(ours, true), (systems, false)] {
            // At this level it says who comes.
            sshd.set_log_level("DEBUG1");
            let transport = if is_ours { Transport::Ssh(sshd) } else { Transport::SshCommand(sshd) };
            let transport = try_every_command(&server, transport);
            let log = transport.sshd().log();
            let mut clients = log.lines().filter_map(|line| line.split_once("remote software version ")).peekable();
            assert!(clients.peek().is_some(), "nobody came over {}", transport.name());
            assert!(clients.all(|(_, client)| client.starts_with("OpenSSH") != is_ours), "{}: {log}", transport.name());
        }
    }
}

/// Returns what it went over.
fn try_every_command(server: &Server, transport: Transport) -> Transport {
    let name = format!("{} over {}", server.name(), transport.name());
    let remote = Remote::new(server, transport);
    let keeper = &remote.keeper;
    tree::nasty(&keeper.world());
    let first = keeper.backup();
    tree::write(&keeper.world().join("names/later"), b"more of it");
    let second = keeper.backup();
    assert_eq!(keeper.archives(), [first.as_str(), &second], "{name}");

    let target = remote.folder.path().join("restored");
    let _ = keeper.restore(&second, &target);
    tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));

    let _ = keeper.run(["rename", &first, "renamed"]);
    let _ = keeper.run(["check", "--verify-data"]);
    let _ = keeper.run(["info"]);
    let _ = keeper.run(["delete", "renamed"]);
    let _ = keeper.run(["compact"]);
    fs::remove_file(keeper.world().join("names/later")).unwrap();
    let third = keeper.backup();
    let _ = keeper.clone().without("KEEP_WITHIN").run(["prune", "--keep-last", "1"]);
    assert_eq!(keeper.archives(), [third.as_str()], "{name}");
    let _ = keeper.run(["compact", "--threshold", "0"]);
    let _ = keeper.run(["check", "--repository-only"]);

    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let repository = remote.on_disk();
        let _ = borg.run(["check".as_ref(), "--verify-data".as_ref(), repository.as_os_str()]);
        let target = tempfile::tempdir().unwrap();
        borg.extract(&repository, &third, target.path());
        tree::assert_same(&keeper.world(), &below(target.path(), &keeper.world()));
    }
    remote.transport
}
