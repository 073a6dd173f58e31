//! Bodies of fuzz targets: whatever the other side sends, each half ends in a value or an error.

use crate::call::{Call, Open, Page};
use crate::stderr::Lines;
use crate::{Client, Event, Reply, Server, Version, Window};

/// What a server may send to a client that has asked for one of everything. The first byte says in what pieces it comes.
pub fn fuzz_client(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut client = Client::new(&version(), Window::default());
    while client.transmit().is_some() {}
    client.receive(b"\x94\x01\x01\xc0\x81\xaeserver_version\x94\x01\x04\x05\xff");
    assert_eq!(client.poll(), Ok(Some(Event::Negotiated(version()))));
    let id = worldkeeper_core::ChunkId::MANIFEST;
    let page = Page { limit: Some(10), marker: None };
    let calls = [
        Call::Open(Open::existing("r")),
        Call::Get { id },
        Call::LoadKey,
        Call::Len,
        Call::List(page),
        Call::GetFreeNonce,
        Call::Rollback,
    ];
    for call in &calls {
        client.request(call).expect("nothing is in its way");
    }
    client.post(&Call::Delete { id, wait: None }).expect("nothing is in its way");
    while client.transmit().is_some() {}
    let mut unanswered = client.unanswered().count();
    for bytes in bytes.chunks(usize::from(*piece).max(1)) {
        client.receive(bytes);
        while let Ok(Some(_)) = client.poll() {
            let left = client.unanswered().count();
            assert!(left < unanswered, "an event is the answer to something");
            unanswered = left;
        }
    }
}

/// What a client may send to a server whose repository does everything. The first byte says in what pieces it comes.
pub fn fuzz_server(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut server = open_server();
    for bytes in bytes.chunks(usize::from(*piece).max(1)) {
        server.receive(bytes);
        loop {
            match server.poll() {
                Ok(Some(call)) => {
                    assert_eq!(reread(&call).as_ref(), Some(&call), "what was read is written and read again alike");
                    server.answer(&Ok(Reply::Done));
                }
                Ok(None) if server.transmit().is_some() => {}
                Ok(None) | Err(_) => break,
            }
        }
    }
}

/// What a server may write to its error stream.
pub fn fuzz_stderr(bytes: &[u8]) {
    let mut lines = Lines::default();
    let found = lines.receive(bytes);
    for line in found.iter().chain(&lines.finish()) {
        assert!(!format!("{line:?}").contains(char::is_control));
    }
}

fn version() -> Version {
    Version::release(1, 4, 5)
}

/// In which a repository is open.
fn open_server() -> Server {
    let mut server = Server::new(version());
    send(&mut server, &Call::Open(Open::existing("r")));
    assert!(matches!(server.poll(), Ok(Some(Call::Open(_)))));
    server.answer(&Ok(Reply::Done));
    while server.transmit().is_some() {}
    server
}

fn reread(call: &Call) -> Option<Call> {
    let mut server = open_server();
    send(&mut server, call);
    server.poll().expect("we have written it")
}

fn send(server: &mut Server, call: &Call) {
    let mut outbox = crate::message::Outbox::default();
    outbox.push(call.encode(crate::MsgId(1)));
    while let Some(bytes) = outbox.pop() {
        server.receive(&bytes);
    }
}
