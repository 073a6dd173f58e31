//! One connection for one request, with a budget of bytes.
//!
//! bollard gathers a whole reply in memory, and an event of any length. The connection below it therefore ends with
//! an error once the daemon has sent more than [`BUDGET_BYTES`]. That fails an absurd reply, and cuts an event stream
//! now and then, which has to be survived anyway.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::Endpoint;

/// Most bytes read from one connection. An inspect reply has some kilobytes.
pub(crate) const BUDGET_BYTES: u64 = 8 << 20;

/// Makes a client of `endpoint`; nothing is connected before the first request.
pub(crate) fn client(endpoint: &Endpoint, timeout_seconds: u64, version: &ClientVersion) -> Result<Docker, Error> {
    let endpoint = Arc::new(endpoint.clone());
    let transport = move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { send(&endpoint, request).await }
    };
    Docker::connect_with_custom_transport(transport, Some("http://docker"), timeout_seconds, version)
}

async fn send(endpoint: &Endpoint, request: BollardRequest) -> Result<Response<Incoming>, Error> {
    match endpoint {
        Endpoint::Unix(path) => exchange(UnixStream::connect(path).await?, "docker", request).await,
        Endpoint::Tcp { host, port } => {
            exchange(TcpStream::connect((host.as_str(), *port)).await?, host, request).await
        }
    }
}

/// Sends the request over a fresh connection and returns the head of the reply, with the body still to come.
async fn exchange<S>(stream: S, host: &str, mut request: BollardRequest) -> Result<Response<Incoming>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A server expects the path alone, and the host beside it. A raw IPv6 address has no place in the header as it
    // is; no daemon looks at the value, so it gets the placeholder.
    *request.uri_mut() =
        request.uri().path_and_query().map_or_else(|| Ok(Uri::from_static("/")), |path| path.as_str().parse())?;
    let host = HeaderValue::from_str(host).ok().filter(|_| !host.contains(':'));
    request.headers_mut().insert(HOST, host.unwrap_or(HeaderValue::from_static("docker")));

    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(Budgeted { stream, left: BUDGET_BYTES })).await?;
    // Ends by itself: with the reply's body, or when the reply is dropped. What goes wrong surfaces in the reply.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// A stream from which only so many bytes can be read.
struct Budgeted<S> {
    stream: S,
    left: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Budgeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "the daemon sent too much")));
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = (buffer.filled().len() - before) as u64;
        // One buffer more than the budget may pass; it is a limit on memory, not on meaning.
        self.left = self.left.saturating_sub(read);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Budgeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
