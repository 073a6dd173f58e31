//! A client and a server with nothing but memory between them.

use worldkeeper_rpc::{Answer, Call, Client, Event, Open, Outcome, Server, Version, Window};

pub(crate) fn version() -> Version {
    Version::release(1, 4, 5)
}

/// All that there is to be sent.
pub(crate) fn sent_by(client: &mut Client) -> Vec<u8> {
    std::iter::from_fn(|| client.transmit()).flatten().collect()
}

/// All that there is to be sent.
pub(crate) fn sent_by_server(server: &mut Server) -> Vec<u8> {
    std::iter::from_fn(|| server.transmit()).flatten().collect()
}

/// A client to which a server of this version has introduced itself.
pub(crate) fn negotiated(server: Version, window: Window) -> Client {
    let mut client = Client::new(&version(), window);
    let mut server = Server::new(server);
    server.receive(&sent_by(&mut client));
    assert_eq!(server.poll(), Ok(None), "it answers by itself");
    client.receive(&sent_by_server(&mut server));
    assert!(matches!(client.poll(), Ok(Some(Event::Negotiated(_)))));
    client
}

/// A client that has opened a repository.
pub(crate) fn opened(window: Window) -> Client {
    let mut client = negotiated(version(), window);
    client.request(&Call::Open(Open::existing("r"))).unwrap();
    sent_by(&mut client);
    client.receive(b"\x82\xa1i\x02\xa1r\xda\x00\x20");
    client.receive(&[7; 32]);
    assert!(matches!(client.poll(), Ok(Some(Event::Answer(Answer { result: Ok(_), .. })))));
    client
}

/// Answers each call that comes out of the server with `answer`, and gives it back.
pub(crate) fn serve(server: &mut Server, bytes: &[u8], mut answer: impl FnMut(&Call) -> Outcome) -> Vec<u8> {
    server.receive(bytes);
    let mut sent = Vec::new();
    loop {
        match server.poll().unwrap() {
            Some(call) => server.answer(&answer(&call)),
            None => match server.transmit() {
                Some(piece) => sent.extend_from_slice(&piece),
                None => return sent,
            },
        }
    }
}
