//! Where the Docker daemon listens.

use std::fmt;
use std::path::PathBuf;

/// Where the usual installation listens.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The port of a plain TCP endpoint that names none.
const DEFAULT_PORT: u16 = 2375;

/// Where a daemon, or a proxy before it, listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket file.
    Unix(PathBuf),
    /// A host and a port, without TLS.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

/// `DOCKER_HOST` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no usable Docker endpoint: {reason}")]
pub struct EndpointError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Endpoint {
    /// Finds the endpoint: what `docker_host` says, else the usual socket, be it there or not.
    ///
    /// Takes a path, `unix://PATH`, `tcp://HOST[:PORT]` and `http://HOST[:PORT]`. An empty text is like none.
    pub fn resolve(docker_host: Option<&str>) -> Result<Self, EndpointError> {
        match docker_host.map(str::trim) {
            None | Some("") => Ok(Self::default()),
            Some(text) => Self::parse(text).map_err(|reason| EndpointError { text: text.to_owned(), reason }),
        }
    }

    /// Returns whether there may be something to connect to now: of a socket, whether its file is there.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Unix(path) => path.exists(),
            Self::Tcp { .. } => true,
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once("://") {
            None if text.starts_with('/') => Ok(Self::Unix(text.into())),
            None => Err("give a socket's path, unix://PATH or tcp://HOST:PORT"),
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", _)) => Err("the path of a socket must be absolute"),
            Some(("tcp" | "http", address)) => Self::parse_address(address),
            Some(("https", _)) => Err("TLS is not supported; use a socket, or a proxy on a private network"),
            Some(("ssh", _)) => Err("SSH is not supported; use a socket or tcp://"),
            Some(_) => Err("the scheme is none of unix, tcp and http"),
        }
    }

    fn parse_address(address: &str) -> Result<Self, &'static str> {
        let address = address.strip_suffix('/').unwrap_or(address);
        let (host, port) = if let Some(rest) = address.strip_prefix('[') {
            rest.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?
        } else {
            address.find(':').map_or((address, ""), |at| address.split_at(at))
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c)) {
            return Err("a host, and a port if it is not 2375, are expected after the scheme");
        }
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().map_err(|_| "the port is no number up to 65535")?,
            None if port.is_empty() => DEFAULT_PORT,
            None => return Err("only a port may follow the address"),
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl Default for Endpoint {
    /// Where the usual installation listens.
    fn default() -> Self {
        Self::Unix(DEFAULT_SOCKET.into())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_told_apart() {
        for (text, expected) in [
            ("/run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"),
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("tcp://proxy:2375", "tcp://proxy:2375"),
            ("tcp://proxy", "tcp://proxy:2375"),
            ("http://10.0.0.1:80/", "tcp://10.0.0.1:80"),
            ("tcp://[::1]:2375", "tcp://[::1]:2375"),
            (" tcp://[fe80::1] ", "tcp://[fe80::1]:2375"),
        ] {
            assert_eq!(Endpoint::resolve(Some(text)).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        for text in [
            "docker.sock",
            "unix://docker.sock",
            "https://host:2376",
            "ssh://host",
            "npipe:////./pipe/docker",
            "tcp://",
            "tcp://host:port",
            "tcp://host:70000",
            "tcp://user@host:1",
            "tcp://host/prefix",
            "tcp://[::1",
            "tcp://[::1]x",
        ] {
            let error = Endpoint::resolve(Some(text)).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn an_empty_setting_means_the_usual_socket() {
        for nothing in [None, Some(""), Some(" ")] {
            assert_eq!(Endpoint::resolve(nothing).unwrap().to_string(), "unix:///var/run/docker.sock");
        }
    }

    #[test]
    fn a_socket_may_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(folder.path().join("docker.sock"));
        assert!(!endpoint.is_there());
        std::fs::write(folder.path().join("docker.sock"), "").unwrap();
        assert!(endpoint.is_there());
        assert!(Endpoint::Tcp { host: "proxy".to_owned(), port: 2375 }.is_there(), "nobody knows");
    }
}
