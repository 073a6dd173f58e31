//! A cable to a server that can be cut at any byte, in either direction, or made to drip.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use worldkeeper_core::Stop;
use worldkeeper_core::msgpack::Scanner;
use worldkeeper_remote::{Connect, ConnectError, Ended, Incoming, Link};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    There,
    Back,
}

/// Where the cable is cut: when so many bytes have gone that way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) way: Way,
    pub(crate) at: u64,
}

/// A cable, over which one connection after the other goes.
#[derive(Clone)]
pub(crate) struct Cable(Arc<Inner>);

/// Starts a server; this is its standard input and output.
pub(crate) type Start = Arc<dyn Fn() -> UnixStream + Send + Sync>;

struct Inner {
    server: Start,
    /// How many bytes it carries at once.
    piece: usize,
    /// The next cut; none are made after it.
    cut: Mutex<Option<Cut>>,
    /// What has gone, if that is kept.
    gone: Mutex<[Traffic; 2]>,
    keeps: bool,
    turns: Mutex<Turns>,
}

/// How often somebody has spoken who had listened.
#[derive(Default)]
struct Turns {
    count: usize,
    last: Option<Way>,
}

/// What has gone one way.
#[derive(Default)]
struct Traffic {
    count: u64,
    bytes: Vec<u8>,
}

impl Cable {
    pub(crate) fn new(server: &Start, cut: Option<Cut>) -> Self {
        Self::with(server, cut, 64 << 10)
    }

    /// One that carries a byte at a time.
    pub(crate) fn dripping(server: &Start) -> Self {
        Self::with(server, None, 1)
    }

    fn with(server: &Start, cut: Option<Cut>, piece: usize) -> Self {
        let (gone, turns) = Default::default();
        let server = Arc::clone(server);
        Self(Arc::new(Inner { server, piece, cut: Mutex::new(cut), gone, keeps: cut.is_none(), turns }))
    }

    /// Where messages have ended, in bytes from the first connection's begin; for one without a cut.
    pub(crate) fn edges(&self, way: Way) -> Vec<u64> {
        let gone = lock(&self.0.gone);
        let bytes = &gone[way as usize].bytes;
        let (mut edges, mut start) = (Vec::new(), 0);
        while start < bytes.len() {
            let len = Scanner::with_floats().scan(&bytes[start..]).expect("both ends speak msgpack");
            start += len.expect("both ends have ended");
            edges.push(start as u64);
        }
        edges
    }

    /// How often the client has said something after it had heard something: round trips, of a client that is slower
    /// than its server.
    pub(crate) fn round_trips(&self) -> usize {
        lock(&self.0.turns).count
    }

    /// Returns whether the cut that was planned was made.
    pub(crate) fn was_cut(&self) -> bool {
        lock(&self.0.cut).is_none()
    }

    /// Counts bytes; returns how many of them come through, and whether the cable is cut behind them.
    fn pass(&self, way: Way, bytes: &[u8]) -> (usize, bool) {
        let mut turns = lock(&self.0.turns);
        turns.count += usize::from(way == Way::There && turns.last != Some(Way::There));
        turns.last = Some(way);
        let mut gone = lock(&self.0.gone);
        let traffic = &mut gone[way as usize];
        let begin = traffic.count;
        traffic.count += bytes.len() as u64;
        if self.0.keeps {
            traffic.bytes.extend_from_slice(bytes);
        }
        let mut cut = lock(&self.0.cut);
        match *cut {
            Some(Cut { way: cut_way, at }) if cut_way == way && at < traffic.count => {
                *cut = None;
                ((at - begin) as usize, true)
            }
            _ => (bytes.len(), false),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connect for Cable {
    fn connect(&self, _stop: &Stop) -> Result<Link, ConnectError> {
        let from = (self.0.server)();
        let to = from.try_clone().expect("there are descriptors left");
        let (input, requests) = channel(4);
        let (answers, output) = channel(4);
        let (there, back) = (self.clone(), self.clone());
        let lost = answers.clone();
        thread::spawn(move || there.carry_there(requests, to, &lost));
        thread::spawn(move || back.carry_back(from, &answers));
        Ok(Link { input, output })
    }
}

impl Cable {
    fn carry_there(&self, mut requests: Receiver<Bytes>, mut server: UnixStream, lost: &Sender<Incoming>) {
        while let Some(bytes) = requests.blocking_recv() {
            let (len, is_cut) = self.pass(Way::There, &bytes);
            for piece in bytes[..len].chunks(self.0.piece) {
                // A server that has gone is noticed by the other thread.
                let _ = server.write_all(piece);
                if len > piece.len() {
                    // So that the other end sees the pieces.
                    thread::yield_now();
                }
            }
            if is_cut {
                let _ = server.shutdown(Shutdown::Write);
                let _ = lost.blocking_send(Incoming::Ended(Ended::Lost("the cable was cut".to_owned())));
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    }

    fn carry_back(&self, mut server: UnixStream, answers: &Sender<Incoming>) {
        let mut buffer = vec![0; self.0.piece];
        let ended = loop {
            let len = match server.read(&mut buffer) {
                Ok(0) | Err(_) => break Ended::Exited(0),
                Ok(len) => len,
            };
            let (len, is_cut) = self.pass(Way::Back, &buffer[..len]);
            let bytes = Bytes::copy_from_slice(&buffer[..len]);
            let is_taken = bytes.is_empty() || answers.blocking_send(Incoming::Output(bytes)).is_ok();
            if is_cut || !is_taken {
                break Ended::Lost("the cable was cut".to_owned());
            }
        };
        let _ = server.shutdown(Shutdown::Read);
        let _ = answers.blocking_send(Incoming::Ended(ended));
    }
}
