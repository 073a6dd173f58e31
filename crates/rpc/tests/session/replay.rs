//! Recorded sessions through both halves: what our client sends and what our server sends is what stock's did.

use worldkeeper_rpc::stderr::{Line, Lines};
use worldkeeper_rpc::{Answer, Call, Client, Event, Outcome, Reply, Server, Version, Window};

use crate::pair::{sent_by, sent_by_server};
use crate::recordings::{SESSIONS, Session};

/// Bytes come one by one, in pieces, and at once.
const PIECES: [usize; 5] = [1, 2, 7, 4096, usize::MAX];

#[test]
fn every_session_runs_through_both_halves_byte_for_byte() {
    for name in SESSIONS {
        for piece in PIECES {
            replay(name, piece);
        }
    }
}

fn replay(name: &str, piece: usize) {
    let session = Session::read(name);
    assert_eq!(session.requests.len(), session.replies.len(), "{name}");
    let version = if name.starts_with("borg1.2.4") { Version::release(1, 2, 4) } else { Version::release(1, 4, 5) };
    let mut server = Server::new(version.clone());
    let mut client = Client::new(&version, Window::default());

    for (number, (request, reply)) in session.requests.iter().zip(&session.replies).enumerate() {
        let case = format!("{name}, message {number}, in pieces of {piece}");
        let mut call = None;
        for bytes in request.chunks(piece) {
            assert_eq!(call, None, "{case}");
            server.receive(bytes);
            call = server.poll().unwrap();
        }
        if number == 0 {
            assert_eq!(sent_by(&mut client), *request, "{case}");
            assert_eq!(receive(&mut client, reply, piece), Some(Event::Negotiated(version.clone())), "{case}");
            assert_eq!(server.client_version(), Some(&version), "{case}");
            assert_eq!(sent_by_server(&mut server), *reply, "{case}");
            continue;
        }
        let call = call.unwrap_or_else(|| panic!("{case}: no call"));
        let posted = matches!(call, Call::Put { wait: None, .. } | Call::Delete { wait: None, .. });
        if posted { client.post(&call) } else { client.request(&call) }.unwrap();
        assert_eq!(sent_by(&mut client), *request, "{case}");
        let outcome = match receive(&mut client, reply, piece) {
            Some(Event::Answer(Answer { method, result, .. })) => {
                assert_eq!(method, call.method(), "{case}");
                result
            }
            None if posted => Ok(Reply::Done),
            other => panic!("{case}: {other:?}"),
        };
        assert!(client.is_idle(), "{case}");
        server.answer(&outcome);
        let sent = sent_by_server(&mut server);
        if outcome.is_ok() {
            assert_eq!(sent, *reply, "{case}");
        } else {
            // We send the lines of a traceback as one.
            assert_eq!(outcome, reread(&call, number, &sent), "{case}");
        }
    }
}

fn receive(client: &mut Client, bytes: &[u8], piece: usize) -> Option<Event> {
    let mut event = None;
    for bytes in bytes.chunks(piece) {
        assert_eq!(event, None, "not before the last byte");
        client.receive(bytes);
        event = client.poll().unwrap();
    }
    event
}

/// What a client makes of a reply that we have written.
fn reread(call: &Call, number: usize, reply: &[u8]) -> Outcome {
    let mut client = crate::pair::negotiated(Version::release(1, 4, 5), Window::default());
    assert_eq!(number, 1, "the first request after negotiation");
    client.request(call).unwrap();
    sent_by(&mut client);
    client.receive(reply);
    match client.poll() {
        Ok(Some(Event::Answer(answer))) => answer.result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_line_of_the_error_stream_is_progress() {
    let mut count = 0;
    for name in SESSIONS {
        for line in Session::read(name).lines {
            let found = Lines::default().receive(format!("{line}\n").as_bytes());
            let [Line::Progress(progress)] = found.as_slice() else { panic!("{name}: {line}: {found:?}") };
            assert!(progress.msgid.as_ref().is_some_and(|msgid| msgid.starts_with("repository.")), "{line}");
            assert_eq!(progress.steps.is_none(), progress.finished, "{line}");
            let again = Lines::default().receive(progress.to_json_line(1.0).as_bytes());
            assert_eq!(again, found, "written and read again");
            count += 1;
        }
    }
    assert!(count > 50, "{count} lines");
}
