//! The environment as a value, so that whoever reads it can be tested from a table.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Names and values of environment variables. Holds secrets, so it has no `Debug`.
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// What this process was started with.
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value of a variable. An empty one counts as not set: compose files make those of `${NAME:-}`.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The names of all variables that are text, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.to_str())
    }

    /// Everything but the variables of these names: what a child may see.
    pub(crate) fn without<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = (&'a OsStr, &'a OsStr)> {
        let is_left_out = move |name: &OsStr| names.iter().any(|left_out| name == OsStr::new(left_out));
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
            .filter(move |(name, _)| !is_left_out(name))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
