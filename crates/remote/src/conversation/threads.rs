//! The two threads of a session: one sends, one takes in.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender};

use super::shared::Shared;
use crate::{Ended, Incoming, Link};

/// Starts them. They end when the link does, or when nobody wants the session any more.
pub(super) fn start(shared: &Arc<Shared>, link: Link) {
    let Link { input, output } = link;
    let (sending, receiving) = (Arc::clone(shared), Arc::clone(shared));
    start_one("to server", move || send(&sending, &input));
    start_one("from server", move || receive(&receiving, output));
}

fn start_one(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system starts a handful of threads");
}

/// Ends by dropping the input, on which a server ends.
fn send(shared: &Shared, input: &Sender<Bytes>) {
    while let Some(mut bytes) = shared.next_to_send() {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            if input.blocking_send(piece).is_err() {
                // The other thread is told why, and tells.
                return;
            }
            shared.sent();
        }
    }
}

/// How much is sent before it counts as a sign of life: over the slowest line, in less than the patience with a silent one.
const PIECE: usize = 128 << 10;

fn receive(shared: &Shared, mut output: Receiver<Incoming>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers needs nothing");
    let ended = runtime.block_on(async {
        loop {
            let incoming = tokio::select! {
                biased;
                () = shared.cut.notified() => break Ended::Lost("the connection was closed".to_owned()),
                incoming = output.recv() => incoming,
            };
            match incoming {
                Some(Incoming::Output(bytes)) => shared.receive(&bytes),
                Some(Incoming::Errors(bytes)) => shared.hear(&bytes),
                Some(Incoming::Ended(ended)) => break ended,
                None => break Ended::Lost("the connection ended".to_owned()),
            }
        }
    });
    shared.ended(&ended);
}
