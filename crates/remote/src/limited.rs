//! A link that sends no faster than a limit says.

use std::io;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;
use worldkeeper_core::Clock;

use crate::Link;
use crate::rate::{Bucket, UploadLimit, piece};

/// Puts a limit before what goes to the server.
///
/// What comes from the server is not touched, and neither is what keeps the connection alive: a link that is slow because
/// of its limit looks slow to nobody but the one who sends. Ends as the link does: dropping the input sends the rest and
/// is the end of the stream then; dropping the output ends it at once.
///
/// # Errors
///
/// The system has no thread left.
pub fn limited(link: Link, limit: UploadLimit, clock: Arc<dyn Clock>) -> io::Result<Link> {
    let Link { input, output } = link;
    let (sender, receiver) = mpsc::channel(1);
    thread::Builder::new().name("upload limit".into()).spawn(move || pace(receiver, &input, &limit, clock.as_ref()))?;
    Ok(Link { input: sender, output })
}

/// Passes on piece by piece, until there is nothing more or nobody takes it.
fn pace(mut from: mpsc::Receiver<Bytes>, to: &mpsc::Sender<Bytes>, limit: &UploadLimit, clock: &dyn Clock) {
    let mut bucket = Bucket::new(clock.monotonic());
    while let Some(mut bytes) = from.blocking_recv() {
        while !bytes.is_empty() {
            loop {
                // The limit is asked for again after each wait, which is short.
                match bucket.wait(limit.rate(), clock.monotonic()) {
                    wait if wait.is_zero() => break,
                    _ if to.is_closed() => return,
                    wait => clock.sleep(wait),
                }
            }
            let piece = bytes.split_to(piece(limit.rate()).min(bytes.len()));
            bucket.sent(piece.len());
            if to.blocking_send(piece).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use worldkeeper_testkit::clock::ManualClock;

    use super::*;
    use crate::{Ended, Incoming};

    /// A limited link, and the other end of it.
    struct Ends {
        link: Link,
        input: mpsc::Receiver<Bytes>,
        output: mpsc::Sender<Incoming>,
        clock: Arc<ManualClock>,
        limit: UploadLimit,
    }

    fn ends(rate: u64) -> Ends {
        let (input_sender, input) = mpsc::channel(1);
        let (output, output_receiver) = mpsc::channel(1);
        let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
        let limit = UploadLimit::new(NonZeroU64::new(rate));
        let link = Link { input: input_sender, output: output_receiver };
        let link = limited(link, limit.clone(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        Ends { link, input, output, clock, limit }
    }

    #[test]
    fn bytes_arrive_whole_in_pieces_as_fast_as_allowed() {
        let Ends { link, mut input, clock, .. } = ends(256 << 10);
        let began = clock.monotonic();
        let sent: Bytes = (0..1_u32 << 20).map(|at| (at % 251) as u8).collect();
        link.input.blocking_send(sent.clone()).unwrap();
        drop(link.input);
        let mut received = Vec::new();
        while let Some(piece) = input.blocking_recv() {
            assert!(piece.len() <= 26_214, "a tenth of a second's worth");
            received.extend_from_slice(&piece);
        }
        assert_eq!(received, sent, "and dropping the input is the end of it");
        let taken = clock.monotonic().saturating_sub(began);
        assert!(taken > Duration::from_millis(3_800) && taken <= Duration::from_secs(4), "{taken:?}");
    }

    #[test]
    fn a_limit_that_is_taken_away_holds_no_longer() {
        let Ends { link, mut input, clock, limit, .. } = ends(1 << 10);
        link.input.blocking_send(Bytes::from(vec![0; 1 << 20])).unwrap();
        input.blocking_recv().unwrap();
        limit.set(None);
        let began = clock.monotonic();
        drop(link.input);
        while input.blocking_recv().is_some() {}
        assert!(clock.monotonic().saturating_sub(began) <= 3 * crate::rate::SAVED);
    }

    #[test]
    fn what_comes_back_is_not_touched_and_a_server_that_is_gone_ends_it() {
        let Ends { mut link, input, output, .. } = ends(1);
        let ended = Incoming::Ended(Ended::Exited(0));
        output.blocking_send(ended.clone()).unwrap();
        assert_eq!(link.output.blocking_recv(), Some(ended));
        drop(input);
        link.input.blocking_send(Bytes::from_static(b"in vain")).unwrap();
        // The thread goes with what it holds, and whoever sends is told.
        while link.input.blocking_send(Bytes::from_static(b"more")).is_ok() {}
    }
}
