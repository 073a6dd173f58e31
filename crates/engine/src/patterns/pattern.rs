//! One pattern: its style, what it is made into, and what it matches.

use regex::Regex;

use super::error::{PatternError, PatternTooSlow};
use super::glob::{self, Wildcards};
use super::python::Expression;
use crate::paths::normalise;

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `fm`: a glob whose wildcards match slashes.
    Fnmatch,
    /// `sh`: a glob whose wildcards do not; `**/` matches any number of directories.
    Shell,
    /// `re`: a regular expression that matches anywhere in the path.
    Expression,
    /// `pp`: a path, and all that is beneath.
    Prefix,
    /// `pf`: a path, and nothing else.
    Full,
}

/// A pattern, ready to be matched.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// The path that matches. [`matches`](Pattern::matches) is not asked for these.
    Full(String),
    /// What the path and a slash begin with.
    Prefix(String),
    /// What the path and a slash are, as a whole.
    Glob(Regex),
    /// What is found in the path.
    Expression {
        /// How it was given.
        given: String,
        expression: Box<Expression>,
    },
}

impl Style {
    /// The style of that name.
    pub(super) fn named(name: &str) -> Result<Self, PatternError> {
        match name {
            "fm" => Ok(Self::Fnmatch),
            "sh" => Ok(Self::Shell),
            "re" => Ok(Self::Expression),
            "pp" => Ok(Self::Prefix),
            "pf" => Ok(Self::Full),
            _ => Err(PatternError::NoStyle { style: name.to_owned() }),
        }
    }
}

impl Pattern {
    /// Makes a pattern of `given`, which is in `style` unless it says another.
    pub(super) fn parse(given: &str, style: Style) -> Result<Self, PatternError> {
        let (style, text) = match given.split_once(':') {
            Some((name, text)) if name.chars().count() == 2 && name.chars().all(char::is_alphanumeric) => {
                (Style::named(name)?, text)
            }
            _ => (style, given),
        };
        let invalid = |reason| PatternError::Invalid { pattern: given.to_owned(), reason };
        Ok(match style {
            Style::Full => Self::Full(trim_start(&normal(text)).to_owned()),
            Style::Prefix => Self::prefix(text),
            Style::Fnmatch => Self::Glob(glob(text, "*", Wildcards::MatchSlashes).map_err(invalid)?),
            Style::Shell => Self::Glob(glob(text, "**/*", Wildcards::StopAtSlashes).map_err(invalid)?),
            Style::Expression => {
                let expression = Box::new(Expression::new(text).map_err(invalid)?);
                Self::Expression { given: given.to_owned(), expression }
            }
        })
    }

    /// The pattern of a path, and all beneath it.
    pub(super) fn prefix(path: &str) -> Self {
        Self::Prefix(trim_start(&format!("{}/", trim_end(&normal(path)))).to_owned())
    }

    /// The shell pattern that is matched by the end of a path, or by all of it where a slash is in front.
    pub(super) fn end_of_path(given: &str) -> Result<Self, PatternError> {
        let invalid = |reason| PatternError::Invalid { pattern: given.to_owned(), reason };
        let end = normal(given);
        let above = if end.starts_with('/') { "" } else { "**/" };
        let whole = format!("{above}{}/", trim_end(trim_start(&end)));
        let expression = glob::translate(&whole, Wildcards::StopAtSlashes).map_err(|error| invalid(error.into()))?;
        Ok(Self::Glob(Regex::new(&expression).map_err(|error| invalid(error.into()))?))
    }

    /// Returns whether a path matches that has no slash in front and one added to its end.
    pub(super) fn matches(&self, slashed: &str) -> Result<bool, PatternTooSlow> {
        let path = &slashed[..slashed.len() - 1];
        Ok(match self {
            Self::Full(full) => full == path,
            Self::Prefix(prefix) => slashed.starts_with(prefix.as_str()),
            Self::Glob(glob) => glob.is_match(slashed),
            Self::Expression { given, expression } => {
                expression.is_match(path).ok_or_else(|| PatternTooSlow { pattern: given.clone() })?
            }
        })
    }
}

/// A glob matches a path and all that is beneath; one that ends in a slash only what is beneath.
fn glob(text: &str, beneath: &str, wildcards: Wildcards) -> Result<Regex, Box<dyn std::error::Error + Send + Sync>> {
    let whole = if text.ends_with('/') {
        format!("{}/{beneath}/", trim_end(&normal(text)))
    } else {
        format!("{}/{beneath}", normal(text))
    };
    Ok(Regex::new(&glob::translate(trim_start(&whole), wildcards)?)?)
}

fn normal(text: &str) -> String {
    String::from_utf8(normalise(text.as_bytes())).expect("text that is cut at slashes is still text")
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches('/')
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches('/')
}
