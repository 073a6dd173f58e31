//! A long, narrow line on one machine: hands connections on, each byte so much later, and no more bytes in a second than so many.
//!
//! `slow_line LISTEN TO DELAY_MS BYTES_PER_SECOND`, like `slow_line 127.0.0.1:2200 127.0.0.1:22 40 10000000`. The delay is that of
//! one way; the rate is that of each way. A line takes what it is given as long as less than a megabyte is under way
//! beyond what the delay holds, as a router's buffer would.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// What goes over the line at a time.
const PIECE: usize = 4096;
/// How late a sleep may end.
const SLACK: Duration = Duration::from_millis(20);
/// Pieces that a router keeps.
const KEPT: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [listen, to, delay, rate] = words.try_into().map_err(|_| "slow_line LISTEN TO DELAY_MS BYTES_PER_SECOND")?;
    let (delay, rate) = (Duration::from_millis(delay.parse()?), rate.parse::<f64>()?);
    let under_way = (rate * delay.as_secs_f64()) as usize / PIECE + KEPT;
    for near in TcpListener::bind(&listen)?.incoming() {
        let (near, far) = (near?, TcpStream::connect(&to)?);
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            let (line, end) = sync_channel(under_way);
            thread::spawn(move || enter(from, &line, rate));
            thread::spawn(move || leave(&end, to, delay));
        }
    }
    Ok(())
}

/// Puts what comes on the line as fast as it takes it, with the time.
fn enter(mut from: TcpStream, line: &SyncSender<(Instant, Vec<u8>)>, rate: f64) {
    let mut buffer = [0; PIECE];
    let mut free = Instant::now();
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        // The line is busy with what went before; a sleep that was too long is made up for.
        let latest = Instant::now().checked_sub(SLACK).unwrap_or_else(Instant::now);
        free = free.max(latest) + Duration::from_secs_f64(len as f64 / rate);
        thread::sleep(free.saturating_duration_since(Instant::now()));
        if line.send((free, buffer[..len].to_vec())).is_err() {
            return;
        }
    }
}

/// Takes from the line what has been on it long enough.
fn leave(line: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, delay: Duration) {
    for (entered, bytes) in line {
        thread::sleep((entered + delay).saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
