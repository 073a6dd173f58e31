//! The pipes of a server that a client has started: its standard streams.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use worldkeeper_core::Stop;

use super::Pipes;

/// How much is read at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// How many pieces of the input wait to be looked at: an object of the usual size. What is not taken from the SSH server
/// waits there, in a buffer that it enlarges and moves.
const READ_AHEAD: usize = 32;

/// Standard input and output, each with a thread of its own, so that a session can be ended whatever the client does.
#[derive(Debug)]
pub struct Stdio {
    /// For the session.
    pub pipes: Pipes,
    written: Receiver<()>,
}

impl Stdio {
    /// Begins to read. When `end` is disconnected, the session ends. At the end of the input `gone` is requested: nobody
    /// waits any more for what can be given up.
    ///
    /// # Errors
    ///
    /// That a stream is not there.
    pub fn open(end: Receiver<()>, gone: Stop) -> io::Result<Self> {
        let (stdin, stdout) = (blocking(io::stdin())?, blocking(io::stdout())?);
        let (to_session, input) = bounded(READ_AHEAD);
        let (output, from_session) = bounded(1);
        let (writing, written) = bounded(0);
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            read(stdin, &to_session);
            gone.request();
        })?;
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            let _writing: Sender<()> = writing;
            write(stdout, &from_session);
        })?;
        Ok(Self { pipes: Pipes { input, output, end }, written })
    }

    /// Waits until what the client is to get is written, or cannot be, or the session is to end.
    pub fn finish(self) {
        let Pipes { output, end, .. } = self.pipes;
        drop(output);
        crossbeam_channel::select! {
            recv(self.written) -> _ => {}
            recv(end) -> _ => {}
        }
    }
}

/// A stream that waits, whatever whoever has started this process made of it.
fn blocking(stream: impl AsFd) -> io::Result<File> {
    let flags = fcntl_getfl(stream.as_fd())?;
    fcntl_setfl(stream.as_fd(), flags - OFlags::NONBLOCK)?;
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

fn read(mut stdin: File, to_session: &Sender<Bytes>) {
    let (done, used) = bounded(READ_AHEAD);
    loop {
        let mut bytes = used.try_recv().unwrap_or_else(|_| vec![0; READ_BYTES]);
        match stdin.read(&mut bytes) {
            Ok(0) => return,
            Ok(len) => {
                let piece = Piece { bytes, len, done: done.clone() };
                if to_session.send(Bytes::from_owner(piece)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // For a client that is gone, some systems have an error instead of an end.
            Err(_) => return,
        }
    }
}

/// What was read at once; when it was looked at, its memory is used again.
struct Piece {
    bytes: Vec<u8>,
    len: usize,
    done: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // Where nobody reads any more, nobody needs it.
        _ = self.done.try_send(std::mem::take(&mut self.bytes));
    }
}

fn write(mut stdout: File, from_session: &Receiver<Bytes>) {
    // When this ends early, the session finds nobody to send to.
    for piece in from_session {
        if stdout.write_all(&piece).is_err() {
            return;
        }
    }
}
