//! How a repository on another machine is reached.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;
use worldkeeper_core::{Clock, RepositoryError, Stop};
use worldkeeper_remote::command::{CommandConnector, CommandOptions};
use worldkeeper_remote::ssh::{Passphrase, SshConnector, SshOptions};
use worldkeeper_remote::{
    Connect, ConnectError, Link, RemoteLocation, RemoteMode, RemoteOptions, ServeCommand, UploadLimit, limited,
};
use worldkeeper_repository::Mode;

use super::repository::Connector;
use crate::place::Place;
use crate::secrets::{self, SECRET_VARIABLES, SecretError};

/// How long a connection that was lost is tried to be made again, before the operation fails: long enough for a router or
/// a server to be started again.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a server may be silent over a bare pipe, where it has something short to answer.
const SILENCE: Duration = Duration::from_mins(5);

impl Place {
    /// What reaches the repository's machine.
    pub(super) fn connector(&self, location: &RemoteLocation) -> Result<Connector, RepositoryError> {
        let remote = &self.settings.remote;
        let connector: Connector = if let Some(ssh) = self.ssh_connector(location)? {
            Arc::new(ssh)
        } else {
            let hidden = SECRET_VARIABLES.map(Into::into).to_vec();
            let options = CommandOptions { rsh: remote.rsh.value.clone(), hidden, ..CommandOptions::default() };
            Arc::new(CommandConnector::new(location, &self.serve_command(), options))
        };
        if remote.upload_rate(true).is_none() && remote.upload_rate(false).is_none() {
            return Ok(connector);
        }
        let (limit, clock) = (self.upload_limit.clone(), Arc::clone(&self.clock));
        Ok(Arc::new(Limited { connector, limit, clock }))
    }

    /// What reaches it over the SSH that is built in; `None` where a command connects instead.
    pub(super) fn ssh_connector(&self, location: &RemoteLocation) -> Result<Option<SshConnector>, RepositoryError> {
        if !self.settings.remote.rsh.value.is_empty() {
            return Ok(None);
        }
        let options = self.ssh_options().map_err(|error| RepositoryError::Unreachable {
            location: location.to_string(),
            may_pass: false,
            source: Box::new(error),
        })?;
        Ok(Some(SshConnector::new(location, self.serve_command(), options)))
    }

    fn serve_command(&self) -> ServeCommand {
        ServeCommand { program: self.settings.remote.remote_path.value.clone(), ..ServeCommand::default() }
    }

    /// Who logs in, with what, and whom is trusted.
    pub(crate) fn ssh_options(&self) -> Result<SshOptions, SecretError> {
        let value = |name| self.environment.value(name);
        let remote = &self.settings.remote;
        let home = value("HOME").map(PathBuf::from);
        let users = ["id_ed25519", "id_ecdsa", "id_rsa"];
        let default_keys = [self.ssh_key_path()].into_iter();
        let default_keys =
            default_keys.chain(home.iter().flat_map(|home| users.map(|name| home.join(".ssh").join(name))));
        let known_hosts = remote.ssh_known_hosts.as_ref().map(|setting| setting.value.clone());
        Ok(SshOptions {
            user: value("USER")
                .or_else(|| value("LOGNAME"))
                .map_or("root".into(), |user| user.to_string_lossy().into()),
            keys: remote.ssh_key.iter().map(|setting| setting.value.clone()).collect(),
            default_keys: default_keys.collect(),
            passphrase: secrets::of_ssh_key(&self.settings)?.map(Passphrase::new),
            agent: value("SSH_AUTH_SOCK").map(PathBuf::from),
            pinned: self.pinned_hosts_path(),
            known_hosts: known_hosts.into_iter().collect(),
            ..SshOptions::default()
        })
    }

    /// Where our own SSH key is, if one was made.
    pub(crate) fn ssh_key_path(&self) -> PathBuf {
        self.state.path().join("ssh").join("id_ed25519")
    }

    /// Where the host keys are pinned that somebody has accepted.
    pub(crate) fn pinned_hosts_path(&self) -> PathBuf {
        self.state.path().join("ssh").join("known_hosts")
    }

    /// How it is opened there.
    pub(super) fn remote_options(
        &self,
        location: &RemoteLocation,
        mode: Mode,
        wait: Option<Duration>,
        stop: &Stop,
    ) -> RemoteOptions {
        let name = location.to_string();
        RemoteOptions {
            location: name.clone(),
            path: location.path.clone().into_bytes(),
            mode: match mode {
                Mode::Shared => RemoteMode::Shared,
                Mode::Exclusive => RemoteMode::Exclusive,
                Mode::WithoutLock => RemoteMode::WithoutLock,
            },
            wait,
            on_wait: Some(Arc::new(move |holder| info!("waiting for the repository at {name}: {holder} has the lock"))),
            // What is spoken here notices by itself.
            silence: (!self.settings.remote.rsh.value.is_empty()).then_some(SILENCE),
            patience: PATIENCE,
            window: worldkeeper_remote::Window::default(),
            clock: Arc::clone(&self.clock),
            stop: stop.clone(),
        }
    }
}

/// Connects as another does, and sends no faster than a limit says.
struct Limited {
    connector: Connector,
    limit: UploadLimit,
    clock: Arc<dyn Clock>,
}

impl Connect for Limited {
    fn connect(&self, stop: &Stop) -> Result<Link, ConnectError> {
        let link = self.connector.connect(stop)?;
        limited(link, self.limit.clone(), Arc::clone(&self.clock)).map_err(|error| ConnectError {
            message: format!("the upload cannot be limited: {error}"),
            remedy: None,
            may_pass: true,
        })
    }
}
