//! Where a repository on another machine is, as borg writes it.

use std::fmt;

/// A repository on another machine.
///
/// Source: borg 1.4 `helpers/parseformat.py`, `Location`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteLocation {
    /// Who logs in there; without it, whoever runs this process, or what the SSH configuration says.
    pub user: Option<String>,
    /// A name or an address; one of IPv6 without its brackets.
    pub host: String,
    /// The port, if it was given.
    pub port: Option<u16>,
    /// The path as the server is told it: absolute, or relative with `./`, `~/` or `~user/` in front after a `/`, or as it
    /// stood behind a colon.
    pub path: String,
}

/// Why a location cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// There is no host in it.
    #[error("it names no host")]
    NoHost,
    /// The host, or the user, begins with a dash or holds what no such name holds: ssh would take it for something else.
    #[error("{0:?} is no name of a host or user")]
    Name(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// There is no path in it.
    #[error("it names no path")]
    NoPath,
    /// An archive is named too.
    #[error("a repository is expected, without ::ARCHIVE")]
    Archive,
}

impl RemoteLocation {
    /// Reads `ssh://[USER@]HOST[:PORT]/PATH` or `[USER@]HOST:PATH`; `None` if it is of neither form.
    pub fn parse(text: &str) -> Option<Result<Self, LocationError>> {
        if let Some(rest) = text.strip_prefix("ssh://") {
            return Some(Self::parse_url(rest));
        }
        // A colon makes a host of what stands before it, unless a slash shows that it is a path.
        let (authority, path) = split_host(text)?;
        (!authority.is_empty() && !authority.contains('/')).then(|| Self::of_parts(authority, None, path))
    }

    fn parse_url(rest: &str) -> Result<Self, LocationError> {
        let slash = rest.find('/').ok_or(LocationError::NoPath)?;
        let (authority, path) = rest.split_at(slash);
        // A colon within brackets belongs to the address.
        let (authority, port) = match split_host(authority) {
            Some((authority, port)) => (authority, Some(port)),
            None => (authority, None),
        };
        Self::of_parts(authority, port, path)
    }

    fn of_parts(authority: &str, port: Option<&str>, path: &str) -> Result<Self, LocationError> {
        // Of `HOST::ARCHIVE` the first colon has gone with the host.
        if path.contains("::") || path.starts_with(':') {
            return Err(LocationError::Archive);
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = address.unwrap_or(host);
        if host.is_empty() {
            return Err(LocationError::NoHost);
        }
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
        if host.starts_with('-') || !(host.bytes().all(is_host) || !host.is_ascii() && !has_odd(host)) {
            return Err(LocationError::Name(host.to_owned()));
        }
        if let Some(user) = user.filter(|user| user.is_empty() || user.starts_with('-') || has_odd(user)) {
            return Err(LocationError::Name(user.to_owned()));
        }
        let port = match port {
            Some(port) => match port.parse::<u16>() {
                Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Some(number),
                _ => return Err(LocationError::Port(port.to_owned())),
            },
            None => None,
        };
        if path.is_empty() || path == "/" {
            return Err(LocationError::NoPath);
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port, path: path.to_owned() })
    }
}

/// What no shell, terminal or ssh would take for a part of a name.
fn has_odd(name: &str) -> bool {
    name.chars().any(|c| c.is_control() || c.is_whitespace() || "\"'`$\\;&|<>(){}*?!#/".contains(c))
}

/// Splits at the first colon outside of brackets.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let from = match (text.find('['), text.find(']')) {
        (Some(open), Some(close)) if open < close => close,
        _ => 0,
    };
    let colon = from + text[from..].find(':')?;
    Some((&text[..colon], &text[colon + 1..]))
}

/// As borg writes it down: `ssh://user@host:port/path`, relative paths with `./` in front.
impl fmt::Display for RemoteLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        let path = &self.path;
        if path.starts_with('/') {
            f.write_str(path)
        } else if path.starts_with('~') {
            write!(f, "/{path}")
        } else {
            write!(f, "/./{path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(user: Option<&str>, host: &str, port: Option<u16>, path: &str) -> RemoteLocation {
        RemoteLocation { user: user.map(Into::into), host: host.into(), port, path: path.into() }
    }

    #[test]
    fn every_form_of_borgs_is_read_and_written_as_borg_does() {
        for (text, expected, canonical) in [
            ("ssh://u@h:22/srv/a", location(Some("u"), "h", Some(22), "/srv/a"), "ssh://u@h:22/srv/a"),
            ("ssh://h/./a", location(None, "h", None, "/./a"), "ssh://h/./a"),
            ("ssh://h/~/a", location(None, "h", None, "/~/a"), "ssh://h/~/a"),
            (
                "ssh://u@[fe80::1%eth0]:2222/a",
                location(Some("u"), "fe80::1%eth0", Some(2222), "/a"),
                "ssh://u@[fe80::1%eth0]:2222/a",
            ),
            ("ssh://[::1]/a", location(None, "::1", None, "/a"), "ssh://[::1]/a"),
            ("u@h:a/b", location(Some("u"), "h", None, "a/b"), "ssh://u@h/./a/b"),
            ("h:/a", location(None, "h", None, "/a"), "ssh://h/a"),
            ("h:~/a", location(None, "h", None, "~/a"), "ssh://h/~/a"),
            ("u@[::1]:a", location(Some("u"), "::1", None, "a"), "ssh://u@[::1]/./a"),
            ("ssh://a@b@h/x", location(Some("a@b"), "h", None, "/x"), "ssh://a@b@h/x"),
        ] {
            let parsed = RemoteLocation::parse(text).unwrap().unwrap();
            assert_eq!((&parsed, parsed.to_string().as_str()), (&expected, canonical), "{text}");
        }
    }

    #[test]
    fn paths_are_no_such_locations() {
        for text in ["/srv/a:b", "./a:b", "a/b:c", "repository", ":x"] {
            assert_eq!(RemoteLocation::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_ssh_or_a_shell_would_take_for_something_else_is_refused() {
        for text in [
            "ssh://-oProxyCommand=x/a",
            "-oProxyCommand=x:a",
            "ssh://h;x/a",
            "$(x):a",
            "u x@h:a",
            "-l@h:a",
            "ssh://h:0/a",
            "ssh://h:+1/a",
            "ssh://h:70000/a",
            "ssh://h:/a",
            "ssh:///a",
            "ssh://h",
            "ssh://h/",
            "h:",
            "h:a::b",
            "h::b",
        ] {
            assert!(RemoteLocation::parse(text).unwrap().is_err(), "{text}");
        }
    }
}
