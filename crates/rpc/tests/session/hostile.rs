//! Servers that mean harm, and what is no server at all.

use worldkeeper_core::ChunkId;
use worldkeeper_rpc::{Call, Client, Event, Method, MsgId, Open, Page, ProtocolError, RequestError, Server, Window};

use crate::pair::{negotiated, opened, sent_by, version};

/// A client that waits for these answers, of which the first has number 3.
fn asked(calls: &[Call]) -> Client {
    let mut client = opened(Window::default());
    for call in calls {
        client.request(call).unwrap();
    }
    sent_by(&mut client);
    client
}

#[track_caller]
fn refused(mut client: Client, bytes: &[u8]) -> ProtocolError {
    client.receive(bytes);
    let error = loop {
        match client.poll() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it waits for more"),
            Err(error) => break error,
        }
    };
    assert_eq!(client.poll(), Err(error.clone()), "there is no going on");
    assert_eq!(client.request(&Call::Len), Err(RequestError::Ended));
    assert_eq!(client.transmit(), None);
    error
}

fn reply(msgid: u8, result: &[u8]) -> Vec<u8> {
    [&[0x82, 0xa1, b'i', msgid, 0xa1, b'r'], result].concat()
}

#[test]
fn an_answer_is_held_against_the_oldest_request() {
    let calls = [Call::Len, Call::Len];
    let out_of_order = |found| ProtocolError::OutOfOrder { expected: MsgId(3), found: MsgId(found) };
    assert_eq!(refused(asked(&calls), &reply(4, b"\x00")), out_of_order(4), "it is not its turn");
    assert_eq!(refused(asked(&calls), &reply(2, b"\x00")), out_of_order(2), "it was answered before");
    assert_eq!(refused(asked(&calls), &reply(99, b"\x00")), out_of_order(99), "nobody has asked it");
    let twice = [reply(3, b"\x00"), reply(3, b"\x00")].concat();
    let duplicate = ProtocolError::OutOfOrder { expected: MsgId(4), found: MsgId(3) };
    assert_eq!(refused(asked(&calls), &twice), duplicate);
    let late = [reply(3, b"\x00"), reply(4, b"\x00"), reply(4, b"\x00")].concat();
    assert_eq!(refused(asked(&calls), &late), ProtocolError::Unsolicited);
    assert_eq!(refused(asked(&[]), b"\x00"), ProtocolError::Unsolicited);
    assert_eq!(
        refused(asked(&calls), &[reply(3, b"\x00"), reply(0x7f, b"\x00")].concat()),
        ProtocolError::OutOfOrder { expected: MsgId(4), found: MsgId(0x7f) }
    );
}

#[test]
fn an_answer_to_what_was_not_sent_is_none() {
    let mut client = opened(Window::default());
    client.request(&Call::Len).unwrap();
    client.receive(&reply(3, b"\x00"));
    assert_eq!(client.poll(), Err(ProtocolError::Unsolicited));
}

#[test]
fn a_result_of_another_type_is_refused() {
    let id = ChunkId::MANIFEST;
    let page = Page { limit: Some(10), marker: None };
    for call in [
        Call::Open(Open::existing("r")),
        Call::Len,
        Call::Get { id },
        Call::Put { id, data: worldkeeper_rpc::Payload::default(), wait: None },
        Call::List(page),
        Call::LoadKey,
        Call::GetFreeNonce,
        Call::Rollback,
    ] {
        // A float; a map; a list of a short id; text that is no id.
        for result in [&b"\xcb\0\0\0\0\0\0\0\0"[..], b"\x80", b"\x91\xa1x", b"\xc3"] {
            let method = call.method();
            let error = refused(asked(std::slice::from_ref(&call)), &reply(3, result));
            assert!(
                matches!(error, ProtocolError::Result { method: found, .. } if found == method),
                "{method}: {error}"
            );
        }
    }
}

#[test]
fn more_than_was_asked_for_is_refused() {
    let id = ChunkId::MANIFEST;
    let two = Call::List(Page { limit: Some(2), marker: None });
    let mut three = reply(3, b"\x93");
    for _ in 0..3 {
        three.extend_from_slice(b"\xda\x00\x20");
        three.extend_from_slice(&[5; 32]);
    }
    let excess = ProtocolError::Excess { method: Method::List, found: 3, limit: 2 };
    assert_eq!(refused(asked(&[two]), &three), excess);

    // An object of one byte more than a repository holds.
    let mut long = reply(3, b"\xdb\x01\x3f\xff\xd8");
    long.resize(long.len() + 20_971_480, 0);
    let excess = ProtocolError::Excess { method: Method::Get, found: 20_971_480, limit: 20_971_479 };
    assert_eq!(refused(asked(&[Call::Get { id }]), &long), excess);
}

#[test]
fn what_is_announced_too_long_is_refused_before_it_comes() {
    let id = ChunkId::MANIFEST;
    for call in [Call::Get { id }, Call::Len, Call::List(Page { limit: Some(10_000), marker: None })] {
        for announced in
            [&b"\xdb\xff\xff\xff\xff"[..], b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
        {
            let error = refused(asked(std::slice::from_ref(&call)), &reply(3, announced));
            assert!(matches!(error, ProtocolError::TooLong { .. }), "{error}");
        }
    }
    // 20 MiB are a good answer to one question and none to another.
    let announced = reply(3, b"\xdb\x01\x3f\xff\xd7");
    let error = refused(asked(&[Call::Len]), &announced);
    assert!(matches!(error, ProtocolError::TooLong { .. }), "{error}");
    let mut client = asked(&[Call::Get { id }]);
    client.receive(&announced);
    assert_eq!(client.poll(), Ok(None));
}

#[test]
fn nesting_ends() {
    for depth in [20, 100_000] {
        let nested = [vec![0x91; depth], vec![0xc0]].concat();
        let error = refused(asked(&[Call::Len]), &reply(3, &nested));
        assert!(matches!(error, ProtocolError::Malformed { .. }), "{error}");
        // As an argument of an exception, and under a key that nobody knows.
        let error = [b"\x83\xa1i\x03\xaeexception_args\x91", &*nested, b"\xafexception_class\xa1E"].concat();
        assert!(matches!(refused(asked(&[Call::Len]), &error), ProtocolError::Malformed { .. }));
        let unknown = [b"\x83\xa1i\x03\xa1r\x00\xa1z", &*nested].concat();
        assert!(matches!(refused(asked(&[Call::Len]), &unknown), ProtocolError::Malformed { .. }));
    }
}

#[test]
fn what_a_login_script_prints_is_shown() {
    for text in ["Welcome to \x1b[1mhost\x1b[0m!\n", "\u{202e}bash: borg: command not found\n"] {
        let mut client = Client::new(&version(), Window::default());
        sent_by(&mut client);
        client.receive(text.as_bytes());
        let error = client.poll().unwrap_err();
        assert!(!error.to_string().contains(|c: char| c.is_control() || c == '\u{202e}'), "{error}");
        let word = if text.starts_with('W') { "elcome" } else { "command" };
        assert!(matches!(error, ProtocolError::Malformed { .. }), "{word}: {error}");
    }
}

#[test]
fn replies_without_their_parts_are_refused() {
    for bytes in [
        &b"\x80"[..],
        b"\x81\xa1i\x03",
        b"\x81\xa1r\x00",
        b"\x83\xa1i\x03\xafexception_class\xa0\xa7sysinfo\xa0",
        b"\x93\x01\x03\xc0",
        b"\x94\x01\xc0\xc0\xc0",
        b"\x82\xa1i\xff\xa1r\x00",
        b"\x82\x01\x02\x03\x04",
        b"\xc0",
        b"\x07",
    ] {
        let error = refused(asked(&[Call::Len]), bytes);
        let expected = matches!(error, ProtocolError::Malformed { .. } | ProtocolError::Incomplete(_));
        assert!(expected, "{bytes:02x?}: {error}");
    }
}

#[test]
fn servers_of_other_generations_are_refused_by_name() {
    for (reply, expected) in [
        (&b"\x94\x01\x01\xc0\x02"[..], "the server's borg is older than 1.1"),
        (
            b"\x94\x01\x01\xc0\x81\xaeserver_version\x94\x01\x00\x0d\xff",
            "the server has borg 1.0.13; 1.1 to 1.4 are supported",
        ),
        (
            b"\x94\x01\x01\xc0\x81\xaeserver_version\x95\x02\x00\x00\xfd\x0e",
            "the server has borg 2.0.0b14; 1.1 to 1.4 are supported",
        ),
    ] {
        let mut client = Client::new(&version(), Window::default());
        sent_by(&mut client);
        client.receive(reply);
        assert_eq!(client.poll().unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_error_of_a_megabyte_is_taken_and_one_of_more_is_not() {
    for (len, taken) in [(1_000_000u32, true), (1 << 20, false)] {
        let mut message = b"\x83\xa1i\x03\xafexception_class\xa1E\xaeexception_full\x91\xdb".to_vec();
        message.extend_from_slice(&len.to_be_bytes());
        message.resize(message.len() + len as usize, b'x');
        let mut client = asked(&[Call::Len]);
        client.receive(&message);
        match client.poll() {
            Ok(Some(Event::Answer(answer))) => assert!(taken && answer.result.unwrap_err().full.len() == len as usize),
            other => assert!(!taken && matches!(other, Err(ProtocolError::TooLong { .. })), "{other:?}"),
        }
    }
}

#[test]
fn a_client_that_does_not_speak_the_protocol_is_not_spoken_with() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\xc0",
        b"\x93\x01\x02\x03",
        b"\x81\xa1i\x01",
        b"\xdb\xff\xff\xff\xff",
        b"\xdd\x7f\xff\xff\xff",
    ] {
        let mut server = Server::new(version());
        server.receive(bytes);
        let error = server.poll().unwrap_err();
        assert_eq!(server.poll(), Err(error));
        assert!(!server.wants_bytes());
    }
}

#[test]
fn a_negotiation_that_fails_is_told() {
    let mut client = Client::new(&version(), Window::default());
    sent_by(&mut client);
    client.receive(b"\x94\x01\x01\xa8KeyError\xa4text");
    let event = client.poll().unwrap().unwrap();
    let Event::Answer(answer) = event else { panic!("{event:?}") };
    assert_eq!((answer.method, answer.result.unwrap_err().to_string().as_str()), (Method::Negotiate, "KeyError"));
    assert_eq!(negotiated(version(), Window::default()).server_version(), Some(&version()));
}
