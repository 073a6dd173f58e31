//! From a name to a TCP connection.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::algorithms::KEEPALIVES;
use super::{SshOptions, Target};
use crate::ConnectError;

/// Connects to the first of the host's addresses that answers, in the order the system gives them.
pub(super) async fn dial(target: &Target, options: &SshOptions) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(target, options).await?;
    connect_any(target, &addresses, options).await
}

/// Asks for the addresses of the host, of which there is one at least.
pub(super) async fn resolve(target: &Target, options: &SshOptions) -> Result<Vec<SocketAddr>, ConnectError> {
    let Target { host, port, .. } = target;
    let addresses = match timeout(options.step_timeout, lookup_host((host.as_str(), *port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => return Err(fail(format!("the name {host} cannot be resolved: {error}"))),
        Err(_) => return Err(fail(format!("the name {host} was not resolved within {:?}", options.step_timeout))),
    };
    if addresses.is_empty() {
        return Err(fail(format!("the name {host} has no address")));
    }
    Ok(addresses)
}

/// Connects to the first of these addresses that answers.
pub(super) async fn connect_any(
    target: &Target,
    addresses: &[SocketAddr],
    options: &SshOptions,
) -> Result<TcpStream, ConnectError> {
    let mut failures = Vec::new();
    for address in addresses {
        match connect(*address, options).await {
            Ok(stream) => return Ok(stream),
            Err(failure) => failures.push(failure),
        }
    }
    Err(fail(format!("cannot connect to {}: {}", target.host, failures.join("; "))))
}

async fn connect(address: SocketAddr, options: &SshOptions) -> Result<TcpStream, String> {
    let stream = match timeout(options.step_timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("{address}: {error}")),
        Err(_) => return Err(format!("{address}: no answer within {:?}", options.step_timeout)),
    };
    // Else a short request waits for the acknowledgement of the one before, some 40 ms.
    stream.set_nodelay(true).map_err(|error| format!("{address}: {error}"))?;
    // Else TCP would try for a quarter of an hour.
    let unacknowledged = options.keepalive.saturating_mul(KEEPALIVES);
    let milliseconds = u32::try_from(unacknowledged.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(&stream, milliseconds).map_err(|error| format!("{address}: {error}"))?;
    Ok(stream)
}

/// Networks come back.
fn fail(message: String) -> ConnectError {
    ConnectError { message, remedy: None, may_pass: true }
}

/// What ends later than it should.
pub(super) fn late(what: &str, limit: Duration) -> ConnectError {
    fail(format!("{what} within {} s", limit.as_secs_f32()))
}
