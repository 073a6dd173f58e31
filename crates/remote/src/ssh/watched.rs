//! A connection that gives up when it can send nothing and hears nothing.
//!
//! The session asks a silent server whether it is there, but not while it has something else to send and cannot: then it does
//! nothing until it can. TCP gives up by itself when nothing is acknowledged. In between are peers whose system takes what is
//! sent, slower and slower, while the server behind it hangs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A stream, and when something was heard over it.
pub(super) struct Watched {
    stream: TcpStream,
    /// For how long it may be silent.
    limit: Duration,
    heard: Instant,
    /// When sending is given up; set while it waits.
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Watched {
    /// Watches a stream over which something was just heard.
    pub(super) fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, heard: Instant::now(), timer: Box::pin(sleep(limit)), is_waiting: false }
    }

    /// Whether sending, which has to wait, has waited for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !self.is_waiting {
            self.is_waiting = true;
            // What has come while nobody has read is heard late: it gets a moment to show.
            let end = (self.heard + self.limit).max(Instant::now() + self.limit / 8);
            self.timer.as_mut().reset(end);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.stream.poll_read_ready(cx).is_pending() {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the server is silent and takes nothing"));
            }
            // Nothing is read while sending waits, but something is there.
            self.heard = Instant::now();
            self.timer.as_mut().reset(self.heard + self.limit);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.heard = Instant::now();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) {
            self.is_waiting = false;
            return Poll::Ready(written);
        }
        self.poll_patience(cx).map(Err)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(limit: Duration) -> (Watched, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Watched::new(stream, limit), listener.accept().await.unwrap().0)
    }

    /// More than two sockets hold.
    const MUCH: usize = 64 << 20;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_and_says_nothing_is_given_up() {
        let (mut near, _far) = pair(Duration::from_millis(100)).await;
        let error = near.write_all(&vec![0; MUCH]).await.unwrap_err();
        assert_eq!(
            (error.kind(), &*error.to_string()),
            (io::ErrorKind::TimedOut, "the server is silent and takes nothing")
        );
    }

    #[tokio::test]
    async fn one_that_has_said_something_is_not_however_slowly_it_takes() {
        // So little that every wait is too long.
        let (mut near, mut far) = pair(Duration::from_nanos(1)).await;
        far.write_all(b"here").await.unwrap();
        near.stream.readable().await.unwrap();
        let reading = tokio::spawn(async move {
            let mut read = vec![0; MUCH];
            far.read_exact(&mut read).await.unwrap();
            far
        });
        near.write_all(&vec![0; MUCH]).await.unwrap();
        let mut said = [0; 4];
        near.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"here");
        drop(reading.await.unwrap());
    }
}
