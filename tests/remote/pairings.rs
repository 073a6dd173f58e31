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
        try_every_command(&server, Transport::Pipe);
    }
}

#[test]
fn every_command_works_with_every_server_over_ssh() {
    for server in Server::all() {
        let (Some(ours), Some(systems)) = (Sshd::start(), Sshd::start()) else { return };
        try_every_command(&server, Transport::Ssh(ours));
        try_every_command(&server, Transport::SshCommand(systems));
    }
}

fn try_every_command(server: &Server, transport: Transport) {
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
}
