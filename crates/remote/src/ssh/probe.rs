//! How far a login gets, step by step, for somebody who wants to know what is wrong with it.

use std::net::IpAddr;
use std::sync::Arc;

use worldkeeper_core::Stop;

use super::dial::{connect_any, resolve};
use super::host_keys::HostKeys;
use super::keys::Keys;
use super::session::Session;
use super::{SshConnector, SshOptions, Target, login};
use crate::ConnectError;
use crate::runtime::wait;

/// What has to go well before anything can be run on another machine, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The host's name is that of an address.
    Name,
    /// Somebody takes the call there.
    Port,
    /// It is the host that we mean, by its key.
    HostKey,
    /// It lets us in.
    Login,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Name, Self::Port, Self::HostKey, Self::Login];
}

/// How far it went.
#[derive(Debug, Default)]
pub struct Probe {
    /// The steps that went well, in order, each with what was found.
    pub passed: Vec<(Step, String)>,
    /// The first that did not, and why. Those behind it were not tried.
    pub failed: Option<(Step, ConnectError)>,
}

impl SshConnector {
    /// Connects and logs in, and runs nothing there.
    ///
    /// # Errors
    ///
    /// If a stop was requested, or nothing could be tried. That a step fails is in the [`Probe`].
    pub fn probe(&self, stop: &Stop) -> Result<Probe, ConnectError> {
        let (target, options) = (self.target.clone(), Arc::clone(&self.options));
        wait(stop, async move {
            let mut probe = Probe::default();
            probe.failed = probe.try_all(&target, &options).await.err();
            Ok(probe)
        })
    }
}

impl Probe {
    async fn try_all(&mut self, target: &Target, options: &SshOptions) -> Result<(), (Step, ConnectError)> {
        let at = |step| move |error| (step, error);
        let addresses = resolve(target, options).await.map_err(at(Step::Name))?;
        let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        let named = match target.host.parse::<IpAddr>() {
            Ok(address) => format!("{address} needs none"),
            Err(_) => format!("{} is {}", target.host, list.join(", ")),
        };
        self.passed.push((Step::Name, named));

        let stream = connect_any(target, &addresses, options).await.map_err(at(Step::Port))?;
        let peer = stream.peer_addr().map_or_else(|_| target.host.clone(), |address| address.to_string());
        self.passed.push((Step::Port, format!("{peer} answers")));

        let known = HostKeys::read(options, target.name()).map_err(at(Step::HostKey))?;
        let mut session = Session::over(stream, target, known, options).await.map_err(at(Step::HostKey))?;
        self.passed.push((Step::HostKey, format!("{} shows a key that is known", target.name().typed())));

        let keys = Keys::read(options).map_err(at(Step::Login))?;
        login::log_in(&mut session, target, keys, options).await.map_err(at(Step::Login))?;
        self.passed.push((Step::Login, format!("{} is let in", target.user)));
        Ok(())
    }
}
