//! The life of a command: fed, drained on both streams at once, and never left behind.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::CommandOptions;
use super::started::{self, Started};
use crate::link::{QUEUED_INPUTS, QUEUED_OUTPUTS};
use crate::{ConnectError, Ended, Incoming, Link};

/// Most that is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// What a pipe holds where the system allows it: less, and two processes take turns for every 64 KiB.
const PIPE_BYTES: usize = 1 << 20;

const RSH: &str = "correct the command in BORG_RSH or --rsh; or take it away: SSH is built in";

/// Starts the command of these words.
pub(super) fn start(runtime: &Runtime, words: &[String], options: &CommandOptions) -> Result<Link, ConnectError> {
    let fail = |message| ConnectError { message, remedy: None, may_pass: false };
    let (program, arguments) = words.split_first().ok_or_else(|| fail("no command is set to connect by".into()))?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    for name in &options.hidden {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The runtime is told when it ends.
    let _entered = runtime.enter();
    let (mut child, started) = started::start(&mut command).map_err(|error| ConnectError {
        remedy: Some(RSH.to_owned()),
        ..fail(format!("cannot start {program}: {error}"))
    })?;
    let stdin = child.stdin.take().expect("it was asked for");
    let stdout = child.stdout.take().expect("it was asked for");
    let stderr = child.stderr.take().expect("it was asked for");
    widen(&stdin);
    widen(&stdout);
    let (input, inputs) = mpsc::channel(QUEUED_INPUTS);
    let (outputs, output) = mpsc::channel(QUEUED_OUTPUTS);
    let (ending, ended) = watch::channel(false);
    let patience = options.patience;
    let out = Drain { pipe: stdout, what: Incoming::Output, outputs: outputs.clone(), ended: ended.clone(), patience };
    let errors = Drain { pipe: stderr, what: Incoming::Errors, outputs: outputs.clone(), ended, patience };
    let life = Life {
        child,
        started,
        feeding: tokio::spawn(feed(inputs, stdin)),
        draining: [tokio::spawn(out.drain()), tokio::spawn(errors.drain())],
        ending,
        outputs,
        patience,
    };
    tokio::spawn(life.live());
    Ok(Link { input, output })
}

/// Makes a pipe hold more. There is a limit for each user; without it, it is only slower.
fn widen(pipe: &impl AsFd) {
    let _ = fcntl_setpipe_size(pipe, PIPE_BYTES);
}

/// Writes what comes, to the end; a command that reads no more is noticed by its end.
async fn feed(mut inputs: mpsc::Receiver<Bytes>, mut stdin: ChildStdin) {
    while let Some(bytes) = inputs.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// One of its output streams.
struct Drain<P> {
    pipe: P,
    what: fn(Bytes) -> Incoming,
    outputs: mpsc::Sender<Incoming>,
    /// Whether the command has ended.
    ended: watch::Receiver<bool>,
    patience: Duration,
}

impl<P: AsyncRead + Unpin> Drain<P> {
    /// Passes on what can be read, to the end, or until nobody wants it.
    async fn drain(mut self) {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE_BYTES);
            // Somebody that the command has left behind may hold the pipe open, as the master of ssh's shared connections
            // does: after the end, a pipe in which nothing comes has ended, too.
            let silence = async {
                // Who tells of the end does not go before.
                let _ = self.ended.wait_for(|ended| *ended).await;
                sleep(self.patience).await;
            };
            let read = tokio::select! {
                read = self.pipe.read_buf(&mut buffer) => read,
                () = silence => return,
            };
            // A pipe that cannot be read is one that has ended.
            if !matches!(read, Ok(1..)) || self.outputs.send((self.what)(buffer.split().freeze())).await.is_err() {
                return;
            }
        }
    }
}

/// A command that runs.
struct Life {
    child: Child,
    started: Started,
    feeding: JoinHandle<()>,
    draining: [JoinHandle<()>; 2],
    ending: watch::Sender<bool>,
    outputs: mpsc::Sender<Incoming>,
    patience: Duration,
}

impl Life {
    async fn live(mut self) {
        let status = tokio::select! {
            status = self.child.wait() => Some(status),
            () = self.outputs.closed() => None,
        };
        match status {
            Some(status) => self.tell(status).await,
            None => self.end().await,
        }
    }

    /// It has ended: passes on what it has left in its pipes, and says so.
    async fn tell(self, status: std::io::Result<ExitStatus>) {
        self.feeding.abort();
        self.ending.send_replace(true);
        for draining in self.draining {
            // It does not panic, and nobody ends it before.
            let _ = draining.await;
        }
        let ended = match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Exited(code.cast_unsigned()),
                (None, signal) => Ended::Killed(signal_name(signal.unwrap_or_default())),
            },
            Err(error) => Ended::Lost(format!("it is not known how the command ended: {error}")),
        };
        // Nobody may be listening any more.
        let _ = self.outputs.send(Incoming::Ended(ended)).await;
    }

    /// Nobody listens any more: lets it end, then makes it.
    async fn end(mut self) {
        self.feeding.abort();
        self.draining.iter().for_each(JoinHandle::abort);
        for signal in [Signal::TERM, Signal::KILL] {
            if timeout(self.patience, self.child.wait()).await.is_ok() {
                return;
            }
            // Not waited for yet, so the number is still its own.
            if let Some(group) = Pid::from_raw(self.started.process().cast_signed()) {
                // It may have ended by itself.
                let _ = kill_process_group(group, signal);
            }
        }
        // What was killed ends.
        let _ = self.child.wait().await;
    }
}

/// `SIGKILL` for 9, as far as the common ones go.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        6 => "ABRT",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        15 => "TERM",
        other => return format!("signal {other}"),
    };
    format!("SIG{name}")
}
