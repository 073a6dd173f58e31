//! The server half of the conversation, with pipes at its ends.

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender, select};
use worldkeeper_rpc::{Call, Outcome, ProtocolError, Server, Version};

use super::ErrorStream;

/// How bytes come from a client and go to it.
#[derive(Debug)]
pub struct Pipes {
    /// What the client has sent; disconnected at its end.
    pub input: Receiver<Bytes>,
    /// What the client is to get; disconnected when nobody reads it any more. Bounded, or it holds all that a client
    /// asks for.
    pub output: Sender<Bytes>,
    /// Disconnected when the session is to end, whatever the client does.
    pub end: Receiver<()>,
}

/// Why a session ended before the client ended it. Nothing that it had not committed is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It was told to.
    #[error("the session was told to end")]
    Stopped,
    /// Nobody reads the answers.
    #[error("the client does not read its answers any more")]
    BrokenPipe,
    /// What the client says is no borg's.
    #[error("unexpected RPC data format from client")]
    Protocol(#[from] ProtocolError),
}

/// Short answers are sent together, so many bytes at a time.
const BATCH_BYTES: usize = 64 * 1024;

/// A session's talk with its client.
pub(super) struct Conversation<'a> {
    server: Server,
    pipes: &'a Pipes,
    pub(super) errors: &'a ErrorStream,
    batch: BytesMut,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(version: Version, pipes: &'a Pipes, errors: &'a ErrorStream) -> Self {
        Self { server: Server::new(version), pipes, errors, batch: BytesMut::new() }
    }

    /// The next call, which is to be [answered](Self::answer); `None` at the end of the client's input.
    pub(super) fn next(&mut self) -> Result<Option<Call>, ServeError> {
        loop {
            self.hand_out()?;
            if let Some(call) = self.server.poll()? {
                // What takes long must not hold back what is answered.
                if !matches!(call, Call::Put { .. } | Call::Delete { .. }) {
                    self.flush()?;
                }
                return Ok(Some(call));
            }
            if self.server.logs_json() {
                self.errors.speak_json();
            }
            if self.server.wants_bytes() {
                // Looked at first, for one who always has something to say is to be ended, too.
                match self.receive()? {
                    Some(bytes) => self.server.receive(&bytes),
                    None => return Ok(None),
                }
            }
        }
    }

    /// Answers the call that was handed out last.
    pub(super) fn answer(&mut self, outcome: &Outcome) {
        self.server.answer(outcome);
    }

    /// More of the input; what is answered goes out before it is waited for.
    fn receive(&mut self) -> Result<Option<Bytes>, ServeError> {
        if let Ok(bytes) = self.pipes.input.try_recv() {
            return if self.is_to_end() { Err(ServeError::Stopped) } else { Ok(Some(bytes)) };
        }
        self.flush()?;
        select! {
            recv(self.pipes.input) -> bytes => Ok(bytes.ok()),
            recv(self.pipes.end) -> _ => Err(ServeError::Stopped),
        }
    }

    fn is_to_end(&self) -> bool {
        use crossbeam_channel::TryRecvError;
        !matches!(self.pipes.end.try_recv(), Err(TryRecvError::Empty))
    }

    /// Takes answers out of the server half, and sends them if they are many.
    fn hand_out(&mut self) -> Result<(), ServeError> {
        while let Some(piece) = self.server.transmit() {
            if piece.len() >= BATCH_BYTES {
                self.flush()?;
                self.send(piece)?;
                continue;
            }
            self.batch.extend_from_slice(&piece);
            if self.batch.len() >= BATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ServeError> {
        if self.batch.is_empty() {
            Ok(())
        } else {
            let batch = self.batch.split().freeze();
            self.send(batch)
        }
    }

    fn send(&self, bytes: Bytes) -> Result<(), ServeError> {
        select! {
            send(self.pipes.output, bytes) -> sent => sent.map_err(|_| ServeError::BrokenPipe),
            recv(self.pipes.end) -> _ => Err(ServeError::Stopped),
        }
    }
}
