//! Stock's replies to single calls: what our client makes of them, and that our server says the same.

use bytes::Bytes;
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::{Decoder, Encoder, Value};
use worldkeeper_rpc::{
    Answer, Arg, Call, Check, Client, Commit, Event, Open, Outcome, Page, Payload, RemoteError, Server, Window,
};

use crate::pair::{opened, sent_by, serve, version};
use crate::recordings::{Case, cases};

#[test]
fn every_recorded_error_is_kept_by_name_and_said_again_in_stocks_words() {
    let mut borgs = 0;
    for case in cases() {
        let name = &case.name;
        let Err(error) = outcome(&case) else {
            assert!(case.reply.get("exception_class").is_none(), "{name}");
            continue;
        };
        assert_eq!(case.reply["exception_class"], error.name.as_str(), "{name}");
        let short = case.reply["exception_short"][0].as_str().unwrap();
        assert_eq!(&*error.short, short, "{name}");
        assert_eq!(case.reply["exception_args"].as_array().unwrap().len(), error.args.len(), "{name}");
        assert_eq!(&*error.full, "(traceback lines removed)\n", "{name}");

        let ours = match error.class() {
            Some(class) => RemoteError::borg(class, error.args.clone()),
            None => RemoteError::python(&error.name, error.text(0)),
        };
        assert_eq!(RemoteError { full: error.full.clone(), ..ours }, error, "{name}");
        borgs += usize::from(error.class().is_some());
    }
    assert!(borgs >= 15, "{borgs} of borg's own");
}

/// What needs no repository, our server answers by itself.
#[test]
fn what_a_session_refuses_by_itself_is_refused_in_stocks_words() {
    for (name, is_open, method, args) in [
        ("method before open", false, "get", Value::Map(vec![pair("id", raw(&[0; 32]))])),
        ("unknown method", true, "frobnicate", Value::Map(vec![])),
        ("missing argument", true, "put", Value::Map(vec![pair("id", raw(&[1; 32]))])),
    ] {
        let mut server = Server::new(version());
        let mut asked = Vec::new();
        if is_open {
            asked.extend(packed(2, "open", &Value::Map(vec![pair("path", raw(b"r"))])));
        }
        let opening = serve(&mut server, &asked, |_| Ok(worldkeeper_rpc::Reply::Done));
        assert_eq!(opening.is_empty(), !is_open);
        let sent = serve(&mut server, &packed(3, method, &args), |call| panic!("{name}: {call:?}"));

        let mut client = opened(Window::default());
        client.request(&Call::Len).unwrap();
        sent_by(&mut client);
        client.receive(&sent);
        let ours = answered(&mut client).unwrap_err();
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let stocks = outcome(&case).unwrap_err();
        assert_eq!(RemoteError { full: stocks.full.clone(), ..ours }, stocks, "{name}");
    }
}

#[test]
fn arguments_of_a_wrong_type_are_refused_and_the_session_goes_on() {
    let mut server = Server::new(version());
    serve(&mut server, &packed(2, "open", &Value::Map(vec![pair("path", raw(b"r"))])), |_| {
        Ok(worldkeeper_rpc::Reply::Done)
    });
    for (method, args) in [
        ("get", Value::Map(vec![pair("id", raw(&[1; 31]))])),
        ("get", Value::Map(vec![pair("id", Value::Nil)])),
        ("get", Value::Nil),
        ("list", Value::Map(vec![pair("limit", Value::Int(-1))])),
        ("commit", Value::Map(vec![pair("threshold", Value::Int(2))])),
        ("commit", Value::Map(vec![pair("compact", Value::Nil)])),
        ("open", Value::Map(vec![])),
        ("negotiate", Value::Map(vec![])),
        ("negotiate", Value::Map(vec![pair("client_data", Value::Map(vec![]))])),
    ] {
        let sent = serve(&mut server, &packed(3, method, &args), |call| panic!("{call:?}"));
        let mut decoder = Decoder::new(&sent);
        let reply = Value::decode(&mut decoder).unwrap();
        assert_eq!(reply.get("exception_class"), Some(&raw(b"TypeError")), "{method} {args:?}");
        decoder.finish().unwrap();
    }
    // Unknown ones are none of our business.
    let args = Value::Map(vec![pair("colour", raw(b"red")), pair("id", raw(&[1; 32]))]);
    let mut calls = Vec::new();
    serve(&mut server, &packed(4, "get", &args), |call| {
        calls.push(call.clone());
        Ok(worldkeeper_rpc::Reply::Done)
    });
    assert_eq!(calls, [Call::Get { id: ChunkId([1; 32]) }]);
}

#[test]
fn upstreams_test_errors_can_be_asked_for() {
    for (kind, name, args) in [
        ("DoesNotExist", "DoesNotExist", &["test string"][..]),
        ("ObjectNotFound", "ObjectNotFound", &["test string", "test string2"]),
        ("PathNotAllowed", "PathNotAllowed", &["foo"]),
        ("divide", "ZeroDivisionError", &["integer division or modulo by zero"]),
    ] {
        let mut server = Server::new(version());
        let args_sent = Value::Map(vec![pair("kind", raw(kind.as_bytes()))]);
        let sent = serve(&mut server, &packed(3, "inject_exception", &args_sent), |call| panic!("{call:?}"));
        let mut client = opened(Window::default());
        client.request(&Call::Len).unwrap();
        sent_by(&mut client);
        client.receive(&sent);
        let error = answered(&mut client).unwrap_err();
        assert_eq!(error.name, name);
        assert_eq!(error.args, args.iter().map(|arg| Arg::from(*arg)).collect::<Vec<_>>());
    }
}

/// What our client makes of the recorded reply.
pub(crate) fn outcome(case: &Case) -> Outcome {
    let mut client = opened(Window::default());
    client.request(&call(&case.method)).unwrap();
    sent_by(&mut client);
    // Its number depends on what was called before.
    let reply = hex::decode(&case.reply_hex).unwrap();
    let Value::Map(mut pairs) = Value::decode(&mut Decoder::new(&reply)).unwrap() else { panic!("it is a map") };
    assert_eq!(pairs[0].0, raw(b"i"));
    pairs[0].1 = Value::Int(3);
    let mut encoder = Encoder::new();
    Value::Map(pairs).encode(&mut encoder);
    client.receive(&encoder.finish());
    answered(&mut client)
}

fn answered(client: &mut Client) -> Outcome {
    match client.poll() {
        Ok(Some(Event::Answer(Answer { result, .. }))) => result,
        other => panic!("{other:?}"),
    }
}

fn call(method: &str) -> Call {
    let id = ChunkId([1; 32]);
    let page = Page { limit: Some(10), marker: None };
    match method {
        "open" => Call::Open(Open::existing("r")),
        "__len__" => Call::Len,
        "put" => Call::Put { id, data: Payload(Bytes::from_static(b"hello")), wait: None },
        "delete" => Call::Delete { id, wait: None },
        "list" => Call::List(page),
        "scan" => Call::Scan(page),
        "commit" => Call::Commit(Commit::default()),
        "rollback" => Call::Rollback,
        "check" => Call::Check(Check::default()),
        "destroy" => Call::Destroy,
        "load_key" => Call::LoadKey,
        "get_free_nonce" => Call::GetFreeNonce,
        "commit_nonce_reservation" => Call::CommitNonceReservation { next_unreserved: 9, start_nonce: Some(4) },
        "get" | "frobnicate" => Call::Get { id },
        other => panic!("{other}"),
    }
}

fn packed(msgid: i128, method: &str, args: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let request = vec![pair("i", Value::Int(msgid)), pair("m", raw(method.as_bytes())), pair("a", args.clone())];
    Value::Map(request).encode(&mut encoder);
    encoder.finish()
}

fn pair(key: &str, value: Value) -> (Value, Value) {
    (raw(key.as_bytes()), value)
}

fn raw(bytes: &[u8]) -> Value {
    Value::Raw(bytes.to_vec())
}
