//! Our client half with stock's `borg serve` at the end of a pipe.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use worldkeeper_core::{ChunkId, RepositoryError};
use worldkeeper_rpc::stderr::{Line, Lines};
use worldkeeper_rpc::{
    Answer, AsSeen, Call, Check, Class, Client, Commit, Event, Open, Outcome, Page, Payload, Reply, RequestError,
    Version, Window,
};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;

/// A session with a stock server.
struct Session {
    server: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    lines: JoinHandle<Vec<Line>>,
    client: Client,
}

impl Session {
    fn begin(borg: &Borg, options: &[&str]) -> Self {
        let mut command = borg.command();
        command.arg("serve").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let input = server.stdin.take().unwrap();
        let mut output = server.stdout.take().unwrap();
        let mut errors = server.stderr.take().unwrap();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        let lines = thread::spawn(move || {
            let mut text = Vec::new();
            errors.read_to_end(&mut text).unwrap();
            let mut lines = Lines::default();
            let mut found = lines.receive(&text);
            found.extend(lines.finish());
            found
        });
        let client = Client::new(&Version::release(1, 4, 5), Window::default());
        let mut session = Self { server, input, output: receiver, lines, client };
        assert!(matches!(session.event(), Some(Event::Negotiated(_))));
        let version = session.client.server_version().unwrap().to_string();
        assert_eq!(version, borg.version());
        session
    }

    /// The next event; `None` when nothing is unanswered.
    fn event(&mut self) -> Option<Event> {
        loop {
            while let Some(piece) = self.client.transmit() {
                self.input.write_all(&piece).unwrap();
            }
            if let Some(event) = self.client.poll().unwrap() {
                return Some(event);
            }
            if self.client.is_idle() {
                return None;
            }
            self.client.receive(&self.output.recv().expect("the server lives"));
        }
    }

    fn ask(&mut self, call: &Call) -> Outcome {
        let asked = self.client.request(call).unwrap();
        match self.event() {
            Some(Event::Answer(Answer { msgid, result, .. })) if msgid == asked => result,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn done(&mut self, call: &Call) {
        assert_eq!(self.ask(call), Ok(Reply::Done), "{call:?}");
    }

    /// Posts as much as the window takes, and waits for the rest.
    fn post(&mut self, call: &Call) {
        while let Err(error) = self.client.post(call) {
            assert_eq!(error, RequestError::WindowFull);
            while let Some(piece) = self.client.transmit() {
                self.input.write_all(&piece).unwrap();
            }
            self.client.receive(&self.output.recv().expect("the server lives"));
            assert_eq!(self.client.poll(), Ok(None));
        }
    }

    /// Closes the connection and returns what the server has logged.
    fn end(mut self) -> Vec<Line> {
        drop(self.input);
        assert!(self.server.wait().unwrap().success());
        self.lines.join().unwrap()
    }
}

fn id(number: u8) -> ChunkId {
    ChunkId([number; 32])
}

fn object(number: u8) -> Payload {
    Payload(sha_stream(&format!("object {number}"), 700_000).into())
}

fn path(folder: &Path) -> Open {
    let path = folder.join("repository");
    Open { exclusive: Some(true), ..Open::existing(path.into_os_string().into_encoded_bytes()) }
}

#[test]
fn a_stock_server_does_what_our_client_half_asks() {
    for borg in Borg::all().iter().chain(&Borg::old()) {
        let folder = tempfile::tempdir().unwrap();
        let mut session = Session::begin(borg, &[]);
        let create = Call::Open(Open { create: true, ..path(folder.path()) });
        let Ok(Reply::Opened(repository)) = session.ask(&create) else { panic!("it is not created") };

        // Pipelined: 64 MB, more than the window and all pipes hold.
        for number in 1..=90 {
            session.post(&Call::Put { id: id(number), data: object(number), wait: None });
        }
        assert_eq!(session.event(), None, "no post fails");
        session.done(&Call::Commit(Commit { compact: false, ..Commit::default() }));
        assert_eq!(session.ask(&Call::Len), Ok(Reply::Count(90)));
        session.done(&Call::SaveKey { keydata: Payload("a key\nof two lines".into()) });
        assert_eq!(session.ask(&Call::LoadKey), Ok(Reply::Data(Payload("a key\nof two lines".into()))));
        nonces(&mut session);
        assert_eq!(session.end(), []);

        let mut session = Session::begin(borg, &[]);
        assert_eq!(session.ask(&Call::Open(path(folder.path()))), Ok(Reply::Opened(repository)));
        lists(&mut session);
        reads_ahead(&mut session);
        rolls_back(&mut session);
        assert_eq!(session.ask(&Call::Check(Check::default())), Ok(Reply::Sound(true)));
        let lines = session.end();
        assert!(lines.iter().all(|line| matches!(line, Line::Progress(_))), "{lines:?}");
        assert!(!lines.is_empty(), "a check tells how far it is");
    }
}

fn nonces(session: &mut Session) {
    let reserve = |next_unreserved, start_nonce| Call::CommitNonceReservation { next_unreserved, start_nonce };
    assert_eq!(session.ask(&Call::GetFreeNonce), Ok(Reply::FreeNonce(None)));
    session.done(&reserve(1 << 40, None));
    assert_eq!(session.ask(&Call::GetFreeNonce), Ok(Reply::FreeNonce(Some(1 << 40))));
    let seen = AsSeen { location: "here", lock_wait_seconds: 1 };
    let conflict = session.ask(&reserve(9, Some(4))).unwrap_err().into_repository_error(seen);
    assert!(matches!(conflict, RepositoryError::NonceConflict { .. }), "{conflict}");
}

fn lists(session: &mut Session) {
    for call in [Call::List as fn(Page) -> Call, Call::Scan] {
        let mut found = Vec::new();
        loop {
            let page = Page { limit: Some(40), marker: found.last().copied() };
            let Ok(Reply::Ids(ids)) = session.ask(&call(page)) else { panic!("no list") };
            if ids.is_empty() {
                break;
            }
            found.extend(ids);
        }
        found.sort_unstable();
        assert_eq!(found, (1..=90).map(id).collect::<Vec<_>>());
    }
}

fn reads_ahead(session: &mut Session) {
    for number in 1..=90 {
        session.client.request(&Call::Get { id: id(number) }).unwrap();
    }
    for number in 1..=90 {
        let Some(Event::Answer(answer)) = session.event() else { panic!("no answer") };
        assert!(answer.result == Ok(Reply::Data(object(number))), "object {number}");
    }
}

fn rolls_back(session: &mut Session) {
    session.done(&Call::Delete { id: id(1), wait: None });
    let missing = session.ask(&Call::Get { id: id(1) }).unwrap_err();
    assert_eq!((missing.class(), missing.text(0)), (Some(Class::ObjectNotFound), id(1).to_string()));
    session.post(&Call::Delete { id: id(1), wait: None });
    assert!(matches!(session.event(), Some(Event::PostFailed { .. })));
    assert_eq!(session.client.request(&Call::Commit(Commit::default())), Err(RequestError::Doomed));
    session.done(&Call::Rollback);
    assert!(session.ask(&Call::Get { id: id(1) }) == Ok(Reply::Data(object(1))));
}

#[test]
fn a_stock_server_refuses_in_words_that_our_client_half_knows() {
    for borg in Borg::all().iter().chain(&Borg::old()) {
        let folder = tempfile::tempdir().unwrap();
        let create = Call::Open(Open { create: true, ..path(folder.path()) });
        let open = Call::Open(path(folder.path()));
        let class = |session: &mut Session, call: &Call| session.ask(call).unwrap_err().class();

        let mut session = Session::begin(borg, &["--restrict-to-path", "/nowhere"]);
        assert_eq!(class(&mut session, &open), Some(Class::PathNotAllowed));
        session.end();

        let mut holder = Session::begin(borg, &[]);
        assert_eq!(class(&mut holder, &open), Some(Class::DoesNotExist));
        holder.ask(&create).unwrap();
        let mut session = Session::begin(borg, &[]);
        assert_eq!(class(&mut session, &create), Some(Class::AlreadyExists));
        let impatient = Call::Open(Open { lock_wait: Some(0), ..path(folder.path()) });
        assert_eq!(class(&mut session, &impatient), Some(Class::LockTimeout));
        session.end();
        holder.done(&Call::Destroy);
        holder.end();
    }
}
