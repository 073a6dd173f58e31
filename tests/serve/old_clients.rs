//! A client of before 1.0.7: it gives arguments by position, and does not say that it will write.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use worldkeeper_core::msgpack::{Decoder, Encoder, Value};
use worldkeeper_rpc::{Call, Open, Reply};

use crate::site::Site;
use crate::talk::{Talk, commit, create, id, put};

/// A session in the old form.
struct OldTalk {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl OldTalk {
    fn with(site: &Site) -> Self {
        let mut command = site.serve(&[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut talk = Self { child, input, output };
        assert_eq!(talk.ask("negotiate", 1, |encoder| _ = encoder.uint(2)), ("nil".to_owned(), Value::Int(2)));
        talk
    }

    /// The name of the exception, or `nil`, and the result.
    fn ask(&mut self, method: &str, count: usize, arguments: impl FnOnce(&mut Encoder)) -> (String, Value) {
        let mut encoder = Encoder::new();
        encoder.array(4).uint(1).uint(7).raw(method).array(count);
        arguments(&mut encoder);
        self.input.write_all(&encoder.finish()).unwrap();
        let mut answer = Vec::new();
        loop {
            let mut byte = [0];
            self.output.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
            let Ok(Value::Array(mut parts)) = Value::decode(&mut Decoder::new(&answer)) else { continue };
            let (result, error) = (parts.pop().unwrap(), parts.pop().unwrap());
            let error = error.as_raw().map_or("nil".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
            return (error, result);
        }
    }

    fn put(&mut self, number: u8) -> String {
        self.ask("put", 2, |encoder| _ = encoder.raw(id(number).0).raw("data")).0
    }
}

#[test]
fn a_client_that_does_not_say_that_it_writes_gets_the_lock_when_it_does() {
    let site = Site::new();
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    assert_eq!(talk.ask(&put(1, 10)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
    assert_eq!(talk.end().0.code(), Some(0));

    let mut old = OldTalk::with(&site);
    let path = site.repository();
    let opened = old.ask("open", 4, |encoder| {
        encoder.raw(path.to_str().unwrap()).bool(false).uint(0).bool(true);
    });
    assert_eq!((opened.0.as_str(), opened.1.as_raw().map(<[u8]>::len)), ("nil", Some(32)));
    // Others may read beside it, and keep it from writing for as long.
    let mut reader = Talk::with(&mut site.serve(&[]));
    let read = Call::Open(Open { lock_wait: Some(0), ..Open::existing(path.to_str().unwrap()) });
    assert!(reader.ask(&read).is_ok());
    assert_eq!(old.put(2), "LockTimeout");
    assert_eq!(old.ask("get", 1, |encoder| _ = encoder.raw(id(1).0)).0, "nil");
    assert_eq!(reader.end().0.code(), Some(0));
    assert_eq!(old.put(2), "nil");
    let mut refused = Talk::with(&mut site.serve(&[]));
    assert!(refused.ask(&read).is_err());
    drop(refused);
    assert_eq!(old.ask("commit", 1, |encoder| _ = encoder.bool(false)).0, "nil");
    assert_eq!(old.put(3), "nil");
    assert_eq!(old.ask("rollback", 0, |_| {}).0, "nil");
    assert_eq!(old.ask("__len__", 0, |_| {}).1, Value::Int(2));
    assert_eq!(old.ask("frobnicate", 0, |_| {}).0, "InvalidRPCMethod");
    drop(old.input);
    assert_eq!(old.child.wait().unwrap().code(), Some(0));
    assert_eq!(site.left_behind(), [""; 0]);
}
