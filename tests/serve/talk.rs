//! A client that does what a test wants: our client half at the pipes of a server.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use worldkeeper_core::ChunkId;
use worldkeeper_rpc::{Call, Client, Commit, Event, Open, Outcome, Payload, Version, Window};

/// A session with a server that runs.
pub(crate) struct Talk {
    child: Child,
    client: Client,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
}

impl Talk {
    /// Starts a server and negotiates.
    pub(crate) fn with(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let client = Client::new(&Version::release(1, 4, 5), Window { requests: 1000, bytes: usize::MAX });
        let mut talk = Self { child, client, input, output };
        assert!(matches!(talk.event(), Event::Negotiated(_)));
        talk
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks without waiting for the answer.
    pub(crate) fn post(&mut self, call: &Call) {
        self.client.request(call).expect("it can be asked");
        self.transmit();
    }

    /// Waits for the next answer.
    pub(crate) fn answer(&mut self) -> Outcome {
        match self.event() {
            Event::Answer(answer) => answer.result,
            other => panic!("{other:?}"),
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, call: &Call) -> Outcome {
        self.post(call);
        self.answer()
    }

    /// Sends bytes that may mean nothing.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A server that has gone is seen by its exit code.
        let _ = self.input.as_mut().expect("the input is open").write_all(bytes);
    }

    /// Takes no more answers.
    pub(crate) fn stop_reading(&mut self) {
        self.output = None;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args(["-s", signal, &self.id().to_string()]).status();
        assert!(killed.expect("kill can be started").success());
    }

    /// Waits for its end without ending it; what it has said on standard error, too.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let input = self.input.take();
        let ended = self.wait();
        drop(input);
        ended
    }

    /// Ends the input and waits for its end.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        self.input = None;
        self.wait()
    }

    fn wait(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let mut errors = self.child.stderr.take().expect("nobody else has taken it");
        errors.read_to_string(&mut said).expect("it is text");
        (self.child.wait().expect("it can be waited for"), said)
    }

    fn transmit(&mut self) {
        while let Some(piece) = self.client.transmit() {
            self.send(&piece);
        }
    }

    fn event(&mut self) -> Event {
        self.transmit();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(event) = self.client.poll().expect("it speaks the protocol") {
                return event;
            }
            let len = self.output.as_mut().expect("the output is open").read(&mut buffer).expect("it can be read");
            assert!(len > 0, "the server has gone");
            self.client.receive(&buffer[..len]);
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // One that a test has given up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a repository for writing.
pub(crate) fn open(path: &Path) -> Call {
    Call::Open(Open { exclusive: Some(true), ..Open::existing(path.to_str().unwrap()) })
}

/// Makes a repository.
pub(crate) fn create(path: &Path) -> Call {
    Call::Open(Open { exclusive: Some(true), create: true, ..Open::existing(path.to_str().unwrap()) })
}

/// Puts `len` bytes under the id of this number.
pub(crate) fn put(number: u8, len: usize) -> Call {
    Call::Put { id: id(number), data: Payload(vec![number; len].into()), wait: None }
}

/// The id of this number.
pub(crate) fn id(number: u8) -> ChunkId {
    ChunkId([number; 32])
}

/// Commits, and compacts nothing.
pub(crate) fn commit() -> Call {
    Call::Commit(Commit { compact: false, ..Commit::default() })
}
