//! A conversation over a link, as whoever holds it has it: from two threads.

use std::thread;

use bytes::Bytes;
use worldkeeper_core::Stop;
use worldkeeper_remote::{Connect, Ended, Incoming, Link};

/// What came back.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) output: Vec<u8>,
    pub(crate) errors: Vec<u8>,
    pub(crate) ended: Ended,
}

/// Connects, or fails the test.
#[track_caller]
pub(crate) fn connect(connector: &dyn Connect) -> Link {
    connector.connect(&Stop::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Sends the pieces and the end of the stream, while listening until the end.
#[track_caller]
pub(crate) fn talk(connector: &dyn Connect, pieces: impl IntoIterator<Item = Bytes> + Send) -> Heard {
    talk_over(connect(connector), pieces)
}

/// The same over a link that there is.
#[track_caller]
pub(crate) fn talk_over(link: Link, pieces: impl IntoIterator<Item = Bytes> + Send) -> Heard {
    let Link { input, mut output } = link;
    thread::scope(|scope| {
        scope.spawn(move || {
            for piece in pieces {
                // A server may end before it has read everything.
                if input.blocking_send(piece).is_err() {
                    return;
                }
            }
        });
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        loop {
            match output.blocking_recv().expect("a link says how it ended") {
                Incoming::Output(bytes) => out.extend_from_slice(&bytes),
                Incoming::Errors(bytes) => errors.extend_from_slice(&bytes),
                Incoming::Ended(ended) => {
                    assert_eq!(output.blocking_recv(), None, "nothing follows the end");
                    return Heard { output: out, errors, ended };
                }
            }
        }
    })
}

/// So many bytes in objects of 1 MiB, none like another.
pub(crate) fn pieces(count: usize) -> impl Iterator<Item = Bytes> + Send {
    (0..count).map(|number| {
        let bytes: Vec<u8> = (0..1 << 20).map(|at: usize| (at.wrapping_mul(number * 2 + 1) >> 7) as u8).collect();
        bytes.into()
    })
}
