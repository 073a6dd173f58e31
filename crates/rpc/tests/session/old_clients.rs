//! Clients of before 1.1, and those that never had the old form.

use worldkeeper_core::{ChunkId, RepositoryId};
use worldkeeper_rpc::{Call, Commit, Open, Payload, RemoteError, Reply, Server, Version};

use crate::pair::{serve, version};

fn calls(server: &mut Server, bytes: &[u8], reply: &Reply) -> (Vec<Call>, Vec<u8>) {
    let mut calls = Vec::new();
    let sent = serve(server, bytes, |call| {
        calls.push(call.clone());
        Ok(reply.clone())
    });
    (calls, sent)
}

#[test]
fn a_client_of_1_0_is_spoken_with_in_its_own_form() {
    let mut server = Server::new(version());
    let negotiate = b"\x94\x01\x01\xa9negotiate\x91\x02";
    assert_eq!(calls(&mut server, negotiate, &Reply::Done), (vec![], b"\x94\x01\x01\xc0\x02".to_vec()));
    assert_eq!(server.client_version(), None);
    assert!(!server.logs_json());

    // [1, 2, "open", ["r", false, 1, true, false, true]]
    let open = b"\x94\x01\x02\xa4open\x96\xa1r\xc2\x01\xc3\xc2\xc3";
    let (called, sent) = calls(&mut server, open, &Reply::Opened(RepositoryId([7; 32])));
    assert_eq!(called, [Call::Open(Open { append_only: true, ..Open::existing("r") })]);
    assert_eq!(sent, [&b"\x94\x01\x02\xc0\xda\x00\x20"[..], &[7; 32]].concat());

    // Before 1.0.7 open has four arguments; before 1.1 a commit always compacts.
    let open = b"\x94\x01\x03\xa4open\x94\xa1r\xc2\xc0\xc3";
    let (called, _) = calls(&mut server, open, &Reply::Opened(RepositoryId([7; 32])));
    assert_eq!(called, [Call::Open(Open { lock_wait: None, exclusive: None, ..Open::existing("r") })]);
    let commit = b"\x94\x01\x04\xa6commit\x91\xc2";
    let (called, _) = calls(&mut server, commit, &Reply::Done);
    assert_eq!(called, [Call::Commit(Commit { compact: true, threshold: 0.1, ..Commit::default() })]);
    // [1, 5, "put", [id, "ab"]]
    let put = [&b"\x94\x01\x05\xa3put\x92\xda\x00\x20"[..], &[1; 32], b"\xa2ab"].concat();
    let (called, sent) = calls(&mut server, &put, &Reply::Done);
    assert_eq!(called, [Call::Put { id: ChunkId([1; 32]), data: Payload("ab".into()), wait: None }]);
    assert_eq!(sent, b"\x94\x01\x05\xc0\xc0");

    let len = b"\x94\x01\x06\xa7__len__\x90";
    let sent = serve(&mut server, len, |_| Err(RemoteError::python("KeyError", "x")));
    assert_eq!(sent, b"\x94\x01\x06\xa8KeyError\xda\x00\x33Remote Exception (see remote log for the traceback)");
}

#[test]
fn a_client_may_negotiate_in_the_new_form() {
    let mut server = Server::new(version());
    // {"i": 1, "m": "negotiate", "a": {"client_data": {"client_version": [1, 2, 4, -1]}}}
    let negotiate =
        b"\x83\xa1i\x01\xa1m\xa9negotiate\xa1a\x81\xabclient_data\x81\xaeclient_version\x94\x01\x02\x04\xff";
    let (called, sent) = calls(&mut server, negotiate, &Reply::Done);
    assert_eq!(
        (called.len(), sent.as_slice()),
        (0, &b"\x82\xa1i\x01\xa1r\x81\xaeserver_version\x94\x01\x04\x05\xff"[..])
    );
    assert_eq!(server.client_version(), Some(&Version::release(1, 2, 4)));
    assert!(server.logs_json());
}

#[test]
fn bin_types_are_read_and_never_written() {
    let mut server = Server::new(version());
    // {"i": 2, "m": "open", "a": {"path": bin "r"}}
    let (called, sent) = calls(
        &mut server,
        b"\x83\xa1i\x02\xa1m\xc4\x04open\xa1a\x81\xc4\x04path\xc4\x01r",
        &Reply::Opened(RepositoryId([7; 32])),
    );
    assert_eq!(called, [Call::Open(Open { lock_wait: None, exclusive: None, ..Open::existing("r") })]);
    assert_eq!(sent, [&b"\x82\xa1i\x02\xa1r\xda\x00\x20"[..], &[7; 32]].concat());
}
