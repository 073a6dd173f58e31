//! The thread that carries what is sent and received.
//!
//! Whoever holds a [`Link`](crate::Link) is blocking code on threads of its own; nothing of it runs here, so a wait there
//! holds nobody up here.

use std::sync::LazyLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use worldkeeper_core::Stop;

use crate::ConnectError;

/// The runtime of all links; one worker does for several, because each is as fast as its network.
pub(crate) fn runtime() -> Result<&'static Runtime, ConnectError> {
    static RUNTIME: LazyLock<Result<Runtime, String>> = LazyLock::new(|| {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("remote").enable_all().build();
        runtime.map_err(|error| format!("cannot start the thread for connections: {error}"))
    });
    RUNTIME.as_ref().map_err(|message| ConnectError { message: message.clone(), remedy: None, may_pass: false })
}

/// Does `work` on the runtime and waits for it, from any thread, one of another runtime too; gives up when `stop` is
/// requested.
pub(crate) fn wait<T: Send + 'static>(
    stop: &Stop,
    work: impl Future<Output = Result<T, ConnectError>> + Send + 'static,
) -> Result<T, ConnectError> {
    /// How late a stop may be seen.
    const LOOK: Duration = Duration::from_millis(50);
    let (sender, receiver) = sync_channel(1);
    let task = runtime()?.spawn(async move {
        // Nobody waits any more after a stop.
        let _ = sender.send(work.await);
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) if !stop.is_requested() => {}
            Err(_) => {
                task.abort();
                return Err(ConnectError { message: "stopped while connecting".into(), remedy: None, may_pass: true });
            }
        }
    }
}
