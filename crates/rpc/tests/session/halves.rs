//! Client and server together: order, windows, posts, and what a lost connection leaves.

use bytes::Bytes;
use worldkeeper_core::{ChunkId, RepositoryId};
use worldkeeper_rpc::{
    Answer, Call, Check, Class, Client, Commit, Event, Method, MsgId, Open, Outcome, Payload, RemoteError, Reply,
    RequestError, Server, Unanswered, Version, Window,
};

use crate::pair::{negotiated, opened, sent_by, serve, version};

fn put(number: u8, len: usize) -> Call {
    Call::Put { id: ChunkId([number; 32]), data: Payload(Bytes::from(vec![number; len])), wait: None }
}

fn get(number: u8) -> Call {
    Call::Get { id: ChunkId([number; 32]) }
}

fn answers(client: &mut Client) -> Vec<(MsgId, Outcome)> {
    let mut answers = Vec::new();
    while let Some(event) = client.poll().unwrap() {
        let Event::Answer(Answer { msgid, result, .. }) = event else { panic!("{event:?}") };
        answers.push((msgid, result));
    }
    answers
}

fn open_server() -> Server {
    let mut server = Server::new(version());
    let mut client = negotiated(version(), Window::default());
    client.request(&Call::Open(Open::existing("r"))).unwrap();
    serve(&mut server, &sent_by(&mut client), |_| Ok(Reply::Opened(RepositoryId([7; 32]))));
    server
}

#[test]
fn what_follows_an_open_needs_not_wait_for_it() {
    let mut client = negotiated(version(), Window::default());
    assert_eq!(client.request(&Call::Len), Err(RequestError::NotOpen));
    for call in [Call::Open(Open::existing("r")), Call::LoadKey, get(0), Call::GetFreeNonce] {
        client.request(&call).unwrap();
    }
    let mut server = Server::new(version());
    let mut called = Vec::new();
    let sent = serve(&mut server, &sent_by(&mut client), |call| {
        called.push(call.method());
        Ok(match call {
            Call::Open(_) => Reply::Opened(RepositoryId([7; 32])),
            Call::GetFreeNonce => Reply::FreeNonce(Some(9)),
            _ => Reply::Data(Payload(Bytes::from(vec![1; 100_000]))),
        })
    });
    assert_eq!(called, [Method::Open, Method::LoadKey, Method::Get, Method::GetFreeNonce]);
    client.receive(&sent);
    let answers = answers(&mut client);
    assert_eq!(answers.iter().map(|(msgid, _)| msgid.0).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(answers[3].1, Ok(Reply::FreeNonce(Some(9))));
}

#[test]
fn an_open_that_fails_leaves_nothing_open() {
    let mut client = negotiated(version(), Window::default());
    client.request(&Call::Open(Open::existing("r"))).unwrap();
    client.request(&Call::Len).unwrap();
    let mut server = Server::new(version());
    let refused = || RemoteError::borg(Class::DoesNotExist, ["/r".into()]);
    let asked = sent_by(&mut client);
    client.receive(&serve(&mut server, &asked, |_| Err(refused())));
    let answers = answers(&mut client);
    assert_eq!(answers[0].1.as_ref().unwrap_err().class(), Some(Class::DoesNotExist));
    assert_eq!(answers[1].1.as_ref().unwrap_err().name, "AttributeError");
    assert_eq!(client.request(&Call::Len), Err(RequestError::NotOpen));
}

#[test]
fn the_window_is_bounded_in_requests_and_in_bytes() {
    let mut client = opened(Window { requests: 3, bytes: 10_000 });
    assert!(client.has_room(&put(1, 50_000)), "one is always allowed");
    client.post(&put(1, 50_000)).unwrap();
    assert_eq!(client.request(&Call::Len), Err(RequestError::WindowFull));

    let mut client = opened(Window { requests: 3, bytes: 10_000 });
    for number in 0..3 {
        client.request(&get(number)).unwrap();
    }
    assert_eq!(client.request(&get(3)), Err(RequestError::WindowFull));
    let sent = sent_by(&mut client);
    client.receive(&serve(&mut open_server(), &sent, |_| Ok(Reply::Data(Payload::default()))));
    assert!(!client.has_room(&get(3)), "not before the answers are taken");
    assert_eq!(answers(&mut client).len(), 3);
    assert!(client.has_room(&get(3)));
}

#[test]
fn nothing_is_committed_that_is_not_known_to_be_stored() {
    let mut client = opened(Window::default());
    let commit = Call::Commit(Commit::default());
    client.post(&put(1, 10)).unwrap();
    let second = client.post(&put(2, 10)).unwrap();
    assert_eq!(client.request(&commit), Err(RequestError::PostsUnanswered(2)));

    let mut server = open_server();
    let full = || RemoteError::borg(Class::StorageQuotaExceeded, ["1.00 MB".into(), "2.00 MB".into()]);
    let sent = serve(&mut server, &sent_by(&mut client), |call| match call {
        Call::Put { id: ChunkId([2, ..]), .. } => Err(full()),
        _ => Ok(Reply::Done),
    });
    client.receive(&sent);
    let failed = Event::PostFailed { msgid: second, method: Method::Put, error: full() };
    assert_eq!(client.poll(), Ok(Some(failed)), "of the first there is nothing to be told");
    assert_eq!(client.poll(), Ok(None));
    assert_eq!(client.request(&commit), Err(RequestError::Doomed));

    client.request(&Call::Rollback).unwrap();
    assert_eq!(client.request(&commit), Err(RequestError::Doomed), "it is not rolled back yet");
    let sent = serve(&mut server, &sent_by(&mut client), |_| Ok(Reply::Done));
    client.receive(&sent);
    assert_eq!(answers(&mut client).len(), 1);
    client.request(&commit).unwrap();
}

#[test]
fn a_lost_connection_leaves_what_was_done_what_may_be_and_what_cannot_be() {
    let mut client = opened(Window::default());
    client.request(&get(1)).unwrap();
    let asked = sent_by(&mut client);
    client.receive(&serve(&mut open_server(), &asked, |_| Ok(Reply::Data(Payload::default()))));
    assert_eq!(answers(&mut client).len(), 1);

    client.post(&put(1, 10_000)).unwrap();
    client.transmit().expect("the first piece of it");
    client.request(&Call::Rollback).unwrap();
    let unanswered: Vec<_> = client.unanswered().collect();
    assert_eq!(
        unanswered,
        [
            Unanswered { msgid: MsgId(4), method: Method::Put, sent: true },
            Unanswered { msgid: MsgId(5), method: Method::Rollback, sent: false },
        ]
    );
    assert!(!client.is_idle());
}

#[test]
fn arguments_that_an_old_server_would_ignore_are_not_sent() {
    let parents = Call::Open(Open { make_parent_dirs: true, ..Open::existing("r") });
    let limited = Call::Check(Check { max_duration: 60, ..Check::default() });
    for (server, call, since) in [
        (Version::release(1, 1, 8), &parents, Some("1.1.9")),
        (Version::release(1, 1, 9), &parents, None),
        (Version::release(1, 1, 18), &limited, Some("1.2.0a4")),
        (Version::release(1, 2, 0), &limited, None),
    ] {
        let mut client = negotiated(server.clone(), Window::default());
        if call.method() != Method::Open {
            client.request(&Call::Open(Open::existing("r"))).unwrap();
        }
        let refused = match client.request(call) {
            Err(RequestError::ServerOutdated { since, .. }) => Some(since),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(refused, since, "{server}");
        // Compaction happens on old ones whatever is said.
        let commit = Call::Commit(Commit { compact: false, ..Commit::default() });
        assert_eq!(commit.needs_newer(&server), None);
    }
}

#[test]
fn nothing_is_asked_before_negotiation() {
    let mut client = Client::new(&version(), Window::default());
    assert_eq!(client.request(&Call::Open(Open::existing("r"))), Err(RequestError::NotNegotiated));
}

/// What a client sends without waiting takes no memory but its own.
#[test]
fn a_server_looks_at_one_request_at_a_time() {
    let mut client = opened(Window::default());
    for number in 0..50 {
        client.request(&get(number)).unwrap();
    }
    let mut server = open_server();
    server.receive(&sent_by(&mut client));
    assert!(server.poll().unwrap().is_some());
    assert_eq!(server.poll(), Ok(None), "the first is not answered");
    assert!(!server.wants_bytes());
    server.answer(&Ok(Reply::Data(Payload::default())));
    assert_eq!(server.poll(), Ok(None), "the answer was not handed out");
    assert!(server.transmit().is_some());
    assert!(server.poll().unwrap().is_some());
}
