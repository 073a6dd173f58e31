//! The name of a series: what its archives' names begin with.

use std::path::{Path, PathBuf};

use worldkeeper_docker::ContainerName;

/// The longest name of a series, in bytes: what follows it in an archive's name still fits into a file name.
const MAX_LEN: usize = 200;

/// Why there is no name for the series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SeriesError {
    /// Nothing can be named.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than a file name may be.
    #[error("a name has at most {MAX_LEN} bytes")]
    TooLong,
    /// Something that means something else to borg, or to a terminal.
    #[error("{0:?} cannot be part of an archive's name; use letters, digits and the characters _ . - +")]
    Character(char),
    /// Blanks that nobody would see.
    #[error("a name must not begin or end with a blank, nor begin with a dash")]
    Edge,
    /// No name can be made of the source's path.
    #[error("no name can be made from the source {}", .0.display())]
    Source(PathBuf),
}

/// Checks a name that somebody chose.
pub(super) fn check(name: &str) -> Result<String, SeriesError> {
    if name.is_empty() {
        return Err(SeriesError::Empty);
    }
    if name.len() > MAX_LEN {
        return Err(SeriesError::TooLong);
    }
    if let Some(character) = name.chars().find(|character| !is_allowed(*character)) {
        return Err(SeriesError::Character(character));
    }
    if name.trim() != name || name.starts_with('-') {
        return Err(SeriesError::Edge);
    }
    Ok(name.to_owned())
}

/// Makes the name when nobody chose one: the first container's, else the last part of the first source.
pub(super) fn derive(containers: &[ContainerName], sources: &[PathBuf]) -> Result<String, SeriesError> {
    if let Some(container) = containers.first() {
        return check(container.as_str());
    }
    let source = sources.first().map_or(Path::new("."), PathBuf::as_path);
    // `.` is a fine source; the directory it stands for has the name.
    let absolute = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let name = absolute.file_name().ok_or_else(|| SeriesError::Source(source.to_owned()))?;
    let name: String = name.to_string_lossy().chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    check(name.trim_matches([' ', '-'])).map_err(|_| SeriesError::Source(source.to_owned()))
}

/// Slashes separate archives in a mount, colons end a repository's name, braces are borg's placeholders, and the rest
/// of what is refused are borg's wild cards, quotes and what cannot be printed.
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, ' ' | '_' | '.' | '-' | '+' | '@' | '#' | '(' | ')' | ',' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(containers: &[&str], sources: &[&str]) -> Result<String, SeriesError> {
        let containers: Vec<ContainerName> = containers.iter().map(|name| name.parse().unwrap()).collect();
        derive(&containers, &sources.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_chosen_name_is_taken_as_it_is_or_not_at_all() {
        for name in ["world", "mc-1.21", "Überwelt", "my world", "a+b", &"x".repeat(200)] {
            assert_eq!(check(name), Ok(name.to_owned()));
        }
        assert_eq!(check(""), Err(SeriesError::Empty));
        assert_eq!(check(&"x".repeat(201)), Err(SeriesError::TooLong));
        for name in ["a/b", "a::b", "{now}", "a*", "a\nb", "a\u{202e}b", "a\0", "[a]"] {
            assert!(matches!(check(name), Err(SeriesError::Character(_))), "{name:?}");
        }
        for name in [" a", "a ", "-a"] {
            assert_eq!(check(name), Err(SeriesError::Edge), "{name:?}");
        }
    }

    #[test]
    fn without_one_the_container_then_the_source_gives_the_name() {
        assert_eq!(derived(&["mc", "proxy"], &["/srv/world"]), Ok("mc".into()));
        assert_eq!(derived(&[], &["/srv/world/", "/srv/other"]), Ok("world".into()));
        assert_eq!(derived(&[], &["/srv/wo{r}ld: 2"]), Ok("wo_r_ld_ 2".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(derived(&[], &["."]), Ok(here.file_name().unwrap().to_str().unwrap().into()));
        for source in ["/", "/srv/..", "/---"] {
            assert_eq!(derived(&[], &[source]), Err(SeriesError::Source(source.into())), "{source}");
        }
    }
}
