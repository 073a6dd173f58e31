//! Flags beat the environment, the environment beats the default; and every value knows which it was.

use std::ffi::{OsStr, OsString};
use std::fmt;

use super::{Environment, SettingsError};

/// Where a value was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By this flag.
    Flag(&'static str),
    /// By this environment variable.
    Variable(&'static str),
    /// Nowhere.
    Default,
}

/// A value and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it was said.
    pub(crate) origin: Origin,
}

/// What was said, before anybody makes sense of it.
pub(super) type Said = Setting<OsString>;

/// Looks a setting up: what the flag says, else the first of `variables` that is set.
///
/// # Errors
///
/// [`SettingsError::Conflict`] if two of the variables say different things.
pub(super) fn look_up(
    environment: &Environment,
    flag: &'static str,
    given: Option<&OsStr>,
    variables: &[&'static str],
) -> Result<Option<Said>, SettingsError> {
    if let Some(value) = given {
        return Ok(Some(Said { value: value.to_owned(), origin: Origin::Flag(flag) }));
    }
    let mut said: Option<(&'static str, &OsStr)> = None;
    for variable in variables {
        let Some(value) = environment.value(variable) else { continue };
        match said {
            Some((first, other)) if other != value => return Err(SettingsError::Conflict { first, second: variable }),
            _ => said = said.or(Some((variable, value))),
        }
    }
    Ok(said.map(|(variable, value)| Said { value: value.to_owned(), origin: Origin::Variable(variable) }))
}

impl<T> Setting<T> {
    /// A value nobody said.
    pub(super) fn default(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }
}

impl Said {
    /// Makes sense of text.
    pub(super) fn parse<T, E: std::error::Error + Send + Sync + 'static>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Setting<T>, SettingsError> {
        let text = self.value.to_str().ok_or(SettingsError::NotText { origin: self.origin })?;
        self.parse_os(|_| parse(text))
    }

    /// Makes sense of what need not be text.
    pub(super) fn parse_os<T, E: std::error::Error + Send + Sync + 'static>(
        &self,
        parse: impl FnOnce(&OsStr) -> Result<T, E>,
    ) -> Result<Setting<T>, SettingsError> {
        match parse(&self.value) {
            Ok(value) => Ok(Setting { value, origin: self.origin }),
            Err(reason) => Err(SettingsError::Invalid {
                origin: self.origin,
                value: self.value.to_string_lossy().into_owned(),
                reason: Box::new(reason),
            }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<(String, Origin)>, String> {
        let environment = variables.iter().copied().collect();
        let said = look_up(&environment, "--repository", flag.map(OsStr::new), &["BORG_REPO_PATH", "BORG_REPO"]);
        said.map(|said| said.map(|said| (said.value.into_string().unwrap(), said.origin)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_beats_the_environment() {
        let flag = Ok(Some(("/f".into(), Origin::Flag("--repository"))));
        assert_eq!(said(Some("/f"), &[("BORG_REPO_PATH", "/e"), ("BORG_REPO", "/x")]), flag);
        let variable = Ok(Some(("/e".into(), Origin::Variable("BORG_REPO"))));
        assert_eq!(said(None, &[("BORG_REPO_PATH", ""), ("BORG_REPO", "/e")]), variable);
        assert_eq!(said(None, &[("BORG_REPO_PATH", "")]), Ok(None));
    }

    #[test]
    fn two_words_for_one_thing_must_agree() {
        assert!(said(None, &[("BORG_REPO_PATH", "/e"), ("BORG_REPO", "/e")]).is_ok());
        let error = said(None, &[("BORG_REPO_PATH", "/e"), ("BORG_REPO", "/x")]).unwrap_err();
        assert_eq!(error, "BORG_REPO_PATH and BORG_REPO are both set, to different things");
    }
}
