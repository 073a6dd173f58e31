//! A peer in between, that can be told to be bad.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Passes everything on, both ways, until it is told otherwise. Ends with the test.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

struct State {
    target: SocketAddr,
    /// How many bytes are passed on at once.
    piece: usize,
    is_silent: AtomicBool,
    is_over: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// In front of `target`, passing on so many bytes at once.
    pub(crate) fn start(target: SocketAddr, piece: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (is_silent, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let state = Arc::new(State { target, piece, is_silent, is_over, streams: Mutex::default() });
        let serving = Arc::clone(&state);
        let listener = Some(thread::spawn(move || State::serve(&serving, &listener)));
        Self { address, state, listener }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Passes nothing on any more, and takes nothing: as if a cable was pulled, except that what is sent is acknowledged
    /// until the buffers are full.
    pub(crate) fn be_silent(&self) {
        self.state.is_silent.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.state.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.listener.take().unwrap().join();
    }
}

impl State {
    fn serve(this: &Arc<Self>, listener: &TcpListener) {
        for near in listener.incoming() {
            if this.is_over.load(Ordering::SeqCst) {
                return;
            }
            let near = near.unwrap();
            let far = TcpStream::connect(this.target).unwrap();
            for (from, to) in [(&near, &far), (&far, &near)] {
                from.set_nodelay(true).unwrap();
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let this = Arc::clone(this);
                thread::spawn(move || this.pass_on(from, to));
            }
            this.streams.lock().unwrap().extend([near, far]);
        }
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if self.is_silent.load(Ordering::SeqCst) {
                // The stream stays open, and nobody reads it.
                return;
            }
            if buffer[..read].chunks(self.piece).any(|piece| to.write_all(piece).is_err()) {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}
