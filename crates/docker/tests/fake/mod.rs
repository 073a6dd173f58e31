//! A Docker daemon of a few lines, which does what a test wants it to: answer, refuse, lie, hang up, fall silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use worldkeeper_docker::Endpoint;

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a body.
    Json(u16, String),
    /// These bytes, which may be no HTTP at all, then the end of the connection.
    Raw(&'static str),
    /// A reply of this many bytes in all.
    Long(usize),
    /// No answer, and no end.
    Silence,
}

/// What `inspect` says of a container in such a state.
pub(crate) fn container(id: &str, status: &str) -> Reply {
    let (running, paused) = (matches!(status, "running" | "paused" | "restarting"), status == "paused");
    Reply::Json(
        200,
        format!(r#"{{"Id":"{id}","State":{{"Status":"{status}","Running":{running},"Paused":{paused}}}}}"#),
    )
}

/// An event, as a line of the stream. Names in Docker's events have no slash; `oldName` has one.
pub(crate) fn event(action: &str, id: &str, attributes: &[(&str, &str)], time_ns: i64) -> String {
    let attributes: Vec<_> = attributes.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect();
    let attributes = attributes.join(",");
    let time = time_ns / 1_000_000_000;
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{{attributes}}}}},"scope":"local","time":{time},"timeNano":{time_ns}}}"#
    ) + "\n"
}

#[derive(Default)]
struct World {
    /// `inspect` replies by container name; others are 404.
    containers: HashMap<String, Reply>,
    /// What is said to requests whose path begins so, whatever else is known.
    overrides: HashMap<&'static str, Reply>,
    /// Request lines and `host` headers so far.
    requests: Vec<String>,
    /// What every event stream begins with.
    replay: String,
}

/// What happens on the event streams that are open.
#[derive(Clone, Debug)]
enum Beat {
    Bytes(String),
    Cut,
}

trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Pipe for S {}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    async fn accept(&self) -> Box<dyn Pipe> {
        match self {
            Self::Unix(listener) => Box::new(listener.accept().await.unwrap().0),
            Self::Tcp(listener) => Box::new(listener.accept().await.unwrap().0),
        }
    }
}

/// The daemon; it ends when it is dropped, with everything it has begun to say.
pub(crate) struct FakeDaemon {
    pub(crate) endpoint: Endpoint,
    world: Arc<Mutex<World>>,
    beats: broadcast::Sender<Beat>,
    opened: mpsc::UnboundedReceiver<()>,
    directory: Arc<TempDir>,
    serving: JoinHandle<()>,
}

impl FakeDaemon {
    /// Starts a daemon behind a socket of its own.
    pub(crate) fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Starts a daemon behind a TCP port.
    pub(crate) async fn start_on_tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        Self::serve(Listener::Tcp(listener), endpoint, Arc::new(tempfile::tempdir().unwrap()))
    }

    fn start_in(directory: Arc<TempDir>) -> Self {
        let path = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        Self::serve(Listener::Unix(listener), Endpoint::Unix(path), directory)
    }

    fn serve(listener: Listener, endpoint: Endpoint, directory: Arc<TempDir>) -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let (beats, _) = broadcast::channel(100);
        let (opens, opened) = mpsc::unbounded_channel();
        let serving = tokio::spawn({
            let (world, beats) = (Arc::clone(&world), beats.clone());
            async move {
                // Dropped, and its tasks with it, when this task is aborted.
                let mut connections = JoinSet::new();
                loop {
                    let stream = listener.accept().await;
                    connections.spawn(answer(stream, Arc::clone(&world), beats.clone(), opens.clone()));
                }
            }
        });
        Self { endpoint, world, beats, opened, directory, serving }
    }

    /// Ends everything; the socket is gone. [`Stopped::start`] starts a daemon that knows nothing at the same place.
    pub(crate) async fn stop(mut self) -> Stopped {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        let directory = Arc::clone(&self.directory);
        let _ = std::fs::remove_file(directory.path().join("docker.sock"));
        Stopped(directory)
    }

    /// From now on `inspect` says this of the container.
    pub(crate) fn set(&self, name: &str, reply: Reply) {
        self.world.lock().unwrap().containers.insert(name.to_owned(), reply);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.world.lock().unwrap().containers.remove(name);
    }

    /// From now on requests whose path begins with `path` are answered so; `None` ends that.
    pub(crate) fn override_path(&self, path: &'static str, reply: Option<Reply>) {
        let overrides = &mut self.world.lock().unwrap().overrides;
        match reply {
            Some(reply) => overrides.insert(path, reply),
            None => overrides.remove(path),
        };
    }

    /// What every event stream that is opened from now on begins with.
    pub(crate) fn replay(&self, lines: &str) {
        lines.clone_into(&mut self.world.lock().unwrap().replay);
    }

    /// Waits until the next event stream is open.
    pub(crate) async fn stream_opened(&mut self) {
        self.opened.recv().await.unwrap();
    }

    /// Sends bytes over the open event streams.
    pub(crate) fn send(&self, bytes: &str) {
        self.beats.send(Beat::Bytes(bytes.to_owned())).expect("an event stream is open");
    }

    /// Cuts the open event streams, without a word.
    pub(crate) fn cut(&self) {
        self.beats.send(Beat::Cut).expect("an event stream is open");
    }

    /// The requests so far that hold `part`.
    pub(crate) fn requests(&self, part: &str) -> Vec<String> {
        self.world.lock().unwrap().requests.iter().filter(|request| request.contains(part)).cloned().collect()
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A daemon that was stopped, and the place where it listened.
pub(crate) struct Stopped(Arc<TempDir>);

impl Stopped {
    pub(crate) fn start(self) -> FakeDaemon {
        FakeDaemon::start_in(self.0)
    }
}

async fn answer(
    mut stream: Box<dyn Pipe>,
    world: Arc<Mutex<World>>,
    beats: broadcast::Sender<Beat>,
    opens: mpsc::UnboundedSender<()>,
) {
    let Some((path, head)) = read_head(&mut stream).await else { return };
    let reply = {
        let mut world = world.lock().unwrap();
        world.requests.push(head);
        let overridden = world.overrides.iter().find(|(start, _)| path.starts_with(**start));
        match (overridden, path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json"))) {
            (Some((_, reply)), _) => Some(reply.clone()),
            (None, Some(name)) => Some(
                world
                    .containers
                    .get(name)
                    .cloned()
                    .unwrap_or_else(|| Reply::Json(404, format!(r#"{{"message":"No such container: {name}"}}"#))),
            ),
            (None, None) if path.starts_with("/events") => None,
            (None, None) if path == "/version" => Some(Reply::Json(200, r#"{"ApiVersion":"1.41"}"#.to_owned())),
            (None, None) => Some(Reply::Json(404, r#"{"message":"page not found"}"#.to_owned())),
        }
    };
    // A client that has hung up is its own matter.
    let _ = if let Some(reply) = reply {
        send_reply(&mut stream, reply).await
    } else {
        let replay = world.lock().unwrap().replay.clone();
        send_events(&mut stream, beats.subscribe(), replay, opens).await
    };
}

/// Reads the head of a request; returns the path, and the request line with the `host` header.
async fn read_head(stream: &mut Box<dyn Pipe>) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap();
    let host = lines.find(|line| line.to_ascii_lowercase().starts_with("host:")).unwrap_or("no host");
    Some((line.split(' ').nth(1).unwrap().to_owned(), format!("{line} {host}")))
}

async fn send_reply(stream: &mut Box<dyn Pipe>, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Json(status, body) => {
            let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await
        }
        Reply::Raw(text) => stream.write_all(text.as_bytes()).await,
        Reply::Long(len) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").as_bytes()).await?;
            for _ in 0..len / 1000 {
                stream.write_all(&[b' '; 1000]).await?;
            }
            Ok(())
        }
        Reply::Silence => std::future::pending().await,
    }
}

async fn send_events(
    stream: &mut Box<dyn Pipe>,
    mut beats: broadcast::Receiver<Beat>,
    replay: String,
    opens: mpsc::UnboundedSender<()>,
) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let mut next = Some(replay).filter(|replay| !replay.is_empty());
    let _ = opens.send(());
    loop {
        if let Some(bytes) = next.take() {
            stream.write_all(format!("{:x}\r\n{bytes}\r\n", bytes.len()).as_bytes()).await?;
        }
        match beats.recv().await {
            Ok(Beat::Bytes(bytes)) => next = Some(bytes),
            Ok(Beat::Cut) | Err(RecvError::Closed) => return Ok(()),
            Err(RecvError::Lagged(_)) => unreachable!("no test sends so much"),
        }
    }
}
