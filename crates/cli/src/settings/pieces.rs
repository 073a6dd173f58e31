//! A repository on another machine, said in pieces: `REMOTE_HOST`, `REMOTE_PATH`, and `REMOTE_USER` and `REMOTE_PORT` if
//! they are needed and not in the host already.

use std::convert::Infallible;

use worldkeeper_remote::{LocationError, RemoteLocation};

use super::layers::{Origin, Said, Setting, look_up};
use super::{Environment, Location, SettingsError};

const HOST: &str = "REMOTE_HOST";
const PATH: &str = "REMOTE_PATH";
const USER: &str = "REMOTE_USER";
const PORT: &str = "REMOTE_PORT";

/// Puts the pieces together; `None` if there are none. A path without a host, or the other way round, was surely meant to
/// be more.
pub(super) fn resolve(environment: &Environment) -> Result<Option<Setting<Location>>, SettingsError> {
    let Some(host) = look_up(environment, HOST, None, &[HOST])? else {
        let stray = [PATH, USER, PORT].into_iter().find(|name| environment.value(name).is_some());
        return stray.map_or(Ok(None), |given| Err(SettingsError::Incomplete { given, missing: HOST }));
    };
    let said = |name| look_up(environment, name, None, &[name]);
    let (said_path, said_user, said_port) = (said(PATH)?, said(USER)?, said(PORT)?);
    let said_path = said_path.ok_or(SettingsError::Incomplete { given: HOST, missing: PATH })?;
    let text = |said: &Said| said.parse(|text| Ok::<_, Infallible>(text.to_owned())).map(|said| said.value);
    let path = text(&said_path)?;
    let [user, port] = [&said_user, &said_port].map(|said| said.as_ref().map(text).transpose());
    let (user, port) = (user?, port?);
    let parts = host.parse(Host::parse)?.value;
    for (own, other, second) in [(&parts.user, &user, USER), (&parts.port, &port, PORT)] {
        if own.is_some() && other.is_some() {
            return Err(SettingsError::Conflict { first: HOST, second });
        }
    }
    let user = parts.user.or(user).map(|user| format!("{user}@")).unwrap_or_default();
    let port = parts.port.or(port).map(|port| format!(":{port}")).unwrap_or_default();
    let below = match path.as_bytes() {
        [b'/', ..] => "",
        [b'~', ..] => "/",
        _ => "/./",
    };
    let url = format!("ssh://{user}{}{port}{below}{path}", parts.name);
    let location = RemoteLocation::parse(&url).expect("it begins with ssh://");
    let wrong = match &location {
        Err(LocationError::Port(_)) => said_port,
        Err(LocationError::Name(name)) => said_user.filter(|user| user.value == **name),
        Err(LocationError::NoPath | LocationError::Archive) => Some(said_path),
        _ => None,
    };
    let location = wrong.as_ref().unwrap_or(&host).parse(|_| location)?;
    Ok(Some(Setting { value: Location::Remote(location.value), origin: location.origin }))
}

/// Requires that there are no pieces beside a location that a variable says as a whole.
pub(super) fn require_none(environment: &Environment, whole: Origin) -> Result<(), SettingsError> {
    let Origin::Variable(first) = whole else { return Ok(()) };
    match [HOST, PATH, USER, PORT].into_iter().find(|name| environment.value(name).is_some()) {
        Some(second) => Err(SettingsError::Conflict { first, second }),
        None => Ok(()),
    }
}

/// `[USER@]HOST[:PORT]`, taken apart.
struct Host {
    user: Option<String>,
    /// As a URL has it: an address of IPv6 in brackets.
    name: String,
    port: Option<String>,
}

impl Host {
    fn parse(text: &str) -> Result<Self, LocationError> {
        if text.contains('/') {
            return Err(LocationError::Name(text.to_owned()));
        }
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, text),
        };
        // One colon is before a port, more than one are in an address, unless brackets say where that ends.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                (name.to_owned(), Some(port.to_owned()))
            }
            Some(_) if !host.starts_with('[') => (format!("[{host}]"), None),
            _ => (host.to_owned(), None),
        };
        Ok(Self { user, name, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let location = resolve(&variables.iter().copied().collect());
        location
            .map(|said| said.map(|said| said.value.to_string()))
            .map_err(|error| worldkeeper_core::error_text(&error))
    }

    #[test]
    fn the_pieces_make_the_url_that_says_the_same() {
        for (host, path, more, expected) in [
            ("nas", "/srv/borg", &[][..], "ssh://nas/srv/borg"),
            ("nas", "world", &[], "ssh://nas/./world"),
            ("nas", "~/world", &[], "ssh://nas/~/world"),
            ("nas", "/a b:c=d,e", &[(USER, "borg"), (PORT, "2222")], "ssh://borg@nas:2222/a b:c=d,e"),
            ("borg@nas:2222", "/a", &[], "ssh://borg@nas:2222/a"),
            ("u123@s456@box.example", "/./a", &[(PORT, "23")], "ssh://u123@s456@box.example:23/./a"),
            ("::1", "/a", &[(PORT, "22")], "ssh://[::1]:22/a"),
            ("[::1]", "/a", &[], "ssh://[::1]/a"),
            ("u@[::1]:22", "/a", &[], "ssh://u@[::1]:22/a"),
        ] {
            let variables = [&[(HOST, host), (PATH, path)], more].concat();
            assert_eq!(resolved(&variables), Ok(Some(expected.to_owned())), "{variables:?}");
        }
        assert_eq!(resolved(&[]), Ok(None));
    }

    #[test]
    fn what_is_too_little_or_too_much_is_named() {
        for (variables, words) in [
            (&[(HOST, "nas")][..], "REMOTE_HOST is set, but not REMOTE_PATH"),
            (&[(PATH, "/a")], "REMOTE_PATH is set, but not REMOTE_HOST"),
            (&[(USER, "u")], "REMOTE_USER is set, but not REMOTE_HOST"),
            (&[(HOST, "u@nas"), (PATH, "/a"), (USER, "v")], "REMOTE_HOST and REMOTE_USER are both set"),
            (&[(HOST, "nas:1"), (PATH, "/a"), (PORT, "2")], "REMOTE_HOST and REMOTE_PORT are both set"),
            (&[(HOST, "ssh://nas"), (PATH, "/a")], "REMOTE_HOST cannot be \"ssh://nas\""),
            (&[(HOST, "nas"), (PATH, "/a"), (PORT, "x")], "REMOTE_PORT cannot be \"x\": \"x\" is no port"),
            (&[(HOST, "nas:x"), (PATH, "/a")], "REMOTE_HOST cannot be \"nas:x\": \"x\" is no port"),
            (&[(HOST, "nas"), (PATH, "/a"), (USER, "-x")], "REMOTE_USER cannot be \"-x\""),
            (&[(HOST, "nas"), (PATH, "/")], "REMOTE_PATH cannot be \"/\": it names no path"),
            (&[(HOST, "-oProxyCommand=x"), (PATH, "/a")], "REMOTE_HOST cannot be"),
            (&[(HOST, "nas"), (PATH, "/a::b")], "REMOTE_PATH cannot be \"/a::b\": a repository is expected, without"),
        ] {
            let error = resolved(variables).unwrap_err();
            assert!(error.contains(words), "{variables:?}: {error}");
        }
    }
}
