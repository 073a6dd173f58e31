//! A container's name, checked where it comes in, so that it can stand in a request's path as it is.

use std::fmt;
use std::str::FromStr;

/// The name of a container, or its id, as Docker allows them. Of an id the first twelve digits will do; fewer are a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerName(String);

/// The text cannot be the name of a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be the name of a container: letters, digits and _.- are allowed, at most 255 of them")]
pub struct NameError(String);

impl ContainerName {
    /// The longest name taken, in characters. Docker has no limit of its own, host names do.
    pub const MAX_LEN: usize = 255;

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = NameError;

    /// Takes what Docker takes: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let well_formed = text.len() <= Self::MAX_LEN
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '.' | '-'));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(NameError(text.chars().take(64).collect())) }
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_allows_is_a_name() {
        for text in ["mc", "minecraft_server-1", "0a.b", &"x".repeat(255)] {
            assert_eq!(text.parse::<ContainerName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_could_reach_another_part_of_the_api_is_not() {
        for text in ["", "-x", ".x", "a/b", "../images", "a?b=c", "a b", "a%2fb", "mc\n", "ä", &"x".repeat(256)] {
            assert!(text.parse::<ContainerName>().is_err(), "{text:?}");
        }
    }
}
