//! One command over a session, as a [`Link`].
//!
//! The session reads nothing more while nobody takes what it has read, window adjustments neither: so what it has is taken
//! all the time, by a task that does nothing else, and what is to be sent goes out by another.

use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Sig};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use worldkeeper_core::escape;

use super::dial::late;
use super::session::Session;
use crate::link::{QUEUED_INPUTS, QUEUED_OUTPUTS};
use crate::{ConnectError, Ended, Incoming, Link};

/// Runs a command line.
pub(super) async fn start(session: Session, line: &str, limit: Duration) -> Result<Link, ConnectError> {
    let refused = |session: &Session, why: &str| {
        let message = if session.handle.is_closed() {
            format!("the server was lost before it has run anything: {}", session.reason.text())
        } else {
            format!("the server does not run a command: {why}")
        };
        ConnectError { message, remedy: None, may_pass: true }
    };
    let running = async {
        let channel =
            session.handle.channel_open_session().await.map_err(|error| refused(&session, &error.to_string()))?;
        let (mut read, write) = channel.split();
        write.exec(true, line).await.map_err(|error| refused(&session, &error.to_string()))?;
        let mut early = Vec::new();
        loop {
            match read.wait().await {
                Some(ChannelMsg::Success) => return Ok((read, write, early)),
                Some(ChannelMsg::Failure) => return Err(refused(&session, "it refuses")),
                Some(message) => early.push(message),
                None => return Err(refused(&session, "it has closed the channel")),
            }
        }
    };
    let (read, write, early) =
        timeout(limit, running).await.unwrap_or_else(|_| Err(late("the server did not run the command", limit)))?;
    let (input, inputs) = mpsc::channel(QUEUED_INPUTS);
    let (outputs, output) = mpsc::channel(QUEUED_OUTPUTS);
    let running = Running { session, feeding: tokio::spawn(feed(inputs, write)), outputs, exit: None };
    tokio::spawn(running.run(read, early));
    Ok(Link { input, output })
}

/// Sends what comes, to the end.
async fn feed(mut inputs: mpsc::Receiver<Bytes>, write: ChannelWriteHalf<Msg>) {
    while let Some(bytes) = inputs.recv().await {
        // That the session is gone is said by whoever listens.
        if write.data_bytes(bytes).await.is_err() {
            return;
        }
    }
    let _ = write.eof().await;
}

/// A command that runs.
struct Running {
    session: Session,
    feeding: JoinHandle<()>,
    outputs: mpsc::Sender<Incoming>,
    exit: Option<Ended>,
}

impl Running {
    async fn run(mut self, mut read: ChannelReadHalf, early: Vec<ChannelMsg>) {
        let listened = self.listen(&mut read, early).await;
        self.feeding.abort();
        if listened.is_err() {
            // Nobody listens any more. The server notices by itself that we are gone.
            self.session.end();
            return;
        }
        // It says good-bye if it can.
        let bye = self.session.handle.disconnect(Disconnect::ByApplication, "", "");
        let _ = timeout(GOODBYE, bye).await;
        // Its end says why it has come, if it was not the command's.
        let _ = timeout(GOODBYE, &mut self.session.handle).await;
        let ended = self.exit.take().unwrap_or_else(|| Ended::Lost(self.session.reason.text()));
        self.session.end();
        let _ = self.outputs.send(Incoming::Ended(ended)).await;
    }

    /// Passes on what comes, to the end of the channel; an error if nobody listens any more.
    async fn listen(&mut self, read: &mut ChannelReadHalf, early: Vec<ChannelMsg>) -> Result<(), NobodyListens> {
        for message in early {
            self.pass_on(message).await?;
        }
        let outputs = self.outputs.clone();
        loop {
            let message = tokio::select! {
                message = read.wait() => message,
                () = outputs.closed() => return Err(NobodyListens),
            };
            match message {
                Some(ChannelMsg::Close) | None => return Ok(()),
                Some(message) => self.pass_on(message).await?,
            }
        }
    }

    async fn pass_on(&mut self, message: ChannelMsg) -> Result<(), NobodyListens> {
        let incoming = match message {
            ChannelMsg::Data { data } => Incoming::Output(data),
            // There is no other kind than standard error.
            ChannelMsg::ExtendedData { data, .. } => Incoming::Errors(data),
            ChannelMsg::ExitStatus { exit_status } => {
                self.exit = Some(Ended::Exited(exit_status));
                return Ok(());
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.exit = Some(Ended::Killed(name(&signal_name)));
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.outputs.send(incoming).await.map_err(|_| NobodyListens)
    }
}

/// How long the end of a session that has no more to say may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The link was dropped.
struct NobodyListens;

/// `SIGKILL`, where SSH says `KILL`.
fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => escape::escape(name).into_owned(),
        known => format!("SIG{known:?}"),
    }
}
