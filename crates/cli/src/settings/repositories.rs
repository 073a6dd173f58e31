//! The repositories that backups go to: one, or several that are told apart by their labels.
//!
//! A flag names one: `LOCATION`, `LABEL=LOCATION`, or just the `LABEL` of one that a variable names. A variable that begins
//! with a label may hold several, with a comma or a line break before each further label; any other is one location, commas
//! and all.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::layers::{Origin, Said, Setting, look_up};
use super::location::LocationError;
use super::{Environment, Location, Settings, SettingsError, pieces};

const FLAG: &str = "--repository";

/// A repository, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    /// Only where there are several it must have one.
    pub(crate) label: Option<String>,
    /// Where it is.
    pub(crate) location: Location,
}

/// Which repositories there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repositories {
    /// Those that the command is about, at least one.
    pub(crate) chosen: Setting<Vec<Repository>>,
    /// Those that were set, and were not picked.
    pub(crate) others: Vec<Repository>,
}

impl Repository {
    /// Reads `LOCATION` or `LABEL=LOCATION`.
    fn parse(text: &OsStr) -> Result<Self, LocationError> {
        let (label, location) = split_label(text.as_bytes()).unzip();
        let location = location.map_or(text, OsStr::from_bytes);
        Ok(Self { label: label.map(str::to_owned), location: Location::parse(location)? })
    }

    /// Reads what a variable holds.
    fn parse_list(text: &OsStr) -> Result<Vec<Self>, LocationError> {
        let mut repositories = Vec::new();
        let mut rest = text.as_bytes().trim_ascii();
        let is_list = split_label(rest).is_some();
        while !rest.is_empty() {
            let is_end = |at: &usize| match rest[*at] {
                b',' | b'\n' if is_list => split_label(rest[at + 1..].trim_ascii_start()).is_some(),
                _ => false,
            };
            let end = (0..rest.len()).find(is_end).unwrap_or(rest.len());
            let one = rest[..end].trim_ascii();
            // Far likelier a label was forgotten than that a directory is called so.
            if one.contains(&b'\n') || one.split(|byte| *byte == b',').skip(1).any(looks_like_location) {
                return Err(LocationError::SeveralUnlabelled);
            }
            repositories.push(Self::parse(OsStr::from_bytes(one))?);
            rest = rest.get(end + 1..).unwrap_or_default().trim_ascii();
        }
        if repositories.is_empty() { Err(LocationError::Empty) } else { Ok(repositories) }
    }

    /// What it is called: its label, else its location.
    pub(crate) fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.location.to_string())
    }
}

/// As it is set: `LABEL=LOCATION`, or `LOCATION`.
impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "{label}=")?;
        }
        self.location.fmt(f)
    }
}

impl Repositories {
    /// Puts the layers together.
    pub(super) fn resolve(flags: &[OsString], environment: &Environment) -> Result<Self, SettingsError> {
        let repositories = if flags.is_empty() {
            Self { chosen: of_environment(environment)?, others: Vec::new() }
        } else {
            Self::of_flags(flags, environment)?
        };
        repositories.require_different()?;
        Ok(repositories)
    }

    fn of_flags(flags: &[OsString], environment: &Environment) -> Result<Self, SettingsError> {
        let origin = Origin::Flag(FLAG);
        // What variables say matters only where it may be picked from.
        let may_pick = flags.iter().any(|flag| as_label(flag.as_bytes()).is_some());
        let mut set = if may_pick { of_environment(environment)?.value } else { Vec::new() };
        set.retain(|repository| repository.label.is_some());
        let mut chosen = Vec::new();
        for flag in flags {
            match as_label(flag.as_bytes()).filter(|_| !set.is_empty()) {
                Some(label) => chosen.push(labelled(&set, label)?.clone()),
                None => chosen.push(Said { value: flag.clone(), origin }.parse_os(Repository::parse)?.value),
            }
        }
        let others = set.into_iter().filter(|repository| !chosen.contains(repository)).collect();
        Ok(Self { chosen: Setting { value: chosen, origin }, others })
    }

    fn require_different(&self) -> Result<(), SettingsError> {
        let all = &self.chosen.value;
        for (index, repository) in all.iter().enumerate() {
            let Some(label) = &repository.label else {
                if all.len() == 1 {
                    return Ok(());
                }
                return Err(SettingsError::NoLabel(repository.location.to_string()));
            };
            let before = &all[..index];
            if before.iter().any(|other| other.label.as_ref() == Some(label)) {
                return Err(SettingsError::LabelTwice(label.clone()));
            }
            if before.iter().any(|other| other.location == repository.location) {
                return Err(SettingsError::RepositoryTwice(repository.location.to_string()));
            }
        }
        Ok(())
    }

    /// All that were set, picked or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Repository> {
        self.chosen.value.iter().chain(&self.others)
    }
}

impl Settings {
    /// Makes a repository the one that this is about.
    pub(crate) fn about(&self, repository: &Repository) -> Self {
        let location = Setting { value: repository.location.clone(), origin: self.repository.origin };
        Self { repository: location, ..self.clone() }
    }

    /// Requires that it is said which repository is meant.
    pub(crate) fn require_one(&self) -> Result<(), SettingsError> {
        match &self.repositories.chosen.value[..] {
            [_] => Ok(()),
            several => Err(SettingsError::WhichRepository { labels: labels(several) }),
        }
    }

    /// Makes a repository that an argument names, by its label or location, the only one. It must be among those that are
    /// set, if somebody set any.
    pub(crate) fn name_repository(&mut self, argument: &OsStr) -> Result<(), SettingsError> {
        let origin = Origin::Flag("REPOSITORY");
        let set = &self.repositories.chosen;
        let label = as_label(argument.as_bytes());
        let by_label = |label| self.repositories.all().find(|set| set.label.as_deref() == Some(label));
        let named = match label.and_then(by_label) {
            Some(repository) => repository.clone(),
            None => Said { value: argument.to_owned(), origin }.parse_os(Repository::parse)?.value,
        };
        if set.origin != Origin::Default && set.value.iter().all(|set| set.location != named.location) {
            return Err(SettingsError::AnotherRepository {
                named: named.location.to_string(),
                set: set.value.iter().map(|set| set.location.to_string()).collect::<Vec<_>>().join(", "),
                origin: set.origin,
            });
        }
        self.repository = Setting { value: named.location.clone(), origin };
        self.repositories.chosen = Setting { value: vec![named], origin };
        Ok(())
    }
}

/// What the variables say; or the default.
fn of_environment(environment: &Environment) -> Result<Setting<Vec<Repository>>, SettingsError> {
    if let Some(said) = look_up(environment, FLAG, None, &["BORG_REPO_PATH", "BORG_REPO"])? {
        pieces::require_none(environment, said.origin)?;
        return said.parse_os(Repository::parse_list);
    }
    let default = || Setting::default(Location::Local("/repository".into()));
    let Setting { value: location, origin } = pieces::resolve(environment)?.unwrap_or_else(default);
    Ok(Setting { value: vec![Repository { label: None, location }], origin })
}

fn labelled<'a>(set: &'a [Repository], label: &str) -> Result<&'a Repository, SettingsError> {
    let unknown = || SettingsError::UnknownLabel { label: label.to_owned(), labels: labels(set) };
    set.iter().find(|repository| repository.label.as_deref() == Some(label)).ok_or_else(unknown)
}

fn labels(repositories: &[Repository]) -> String {
    repositories.iter().map(Repository::name).collect::<Vec<_>>().join(", ")
}

/// What can be a label, and no location of another form: `./LABEL` is a directory.
fn as_label(text: &[u8]) -> Option<&str> {
    let is_label = !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    std::str::from_utf8(text).ok().filter(|_| is_label)
}

/// Splits `LABEL=LOCATION`.
fn split_label(text: &[u8]) -> Option<(&str, &[u8])> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((as_label(&text[..equals])?, &text[equals + 1..]))
}

/// Returns whether what follows a comma begins as a location does, and hardly as the rest of a name.
fn looks_like_location(text: &[u8]) -> bool {
    [b"/".as_slice(), b"./", b"../", b"ssh://"].iter().any(|begin| text.trim_ascii_start().starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: &[&str], variables: &[(&str, &str)]) -> Result<Repositories, String> {
        let flags: Vec<_> = flags.iter().map(OsString::from).collect();
        let resolved = Repositories::resolve(&flags, &variables.iter().copied().collect());
        resolved.map_err(|error| worldkeeper_core::error_text(&error))
    }

    #[track_caller]
    fn chosen(flags: &[&str], variable: &str, expected: &[&str]) {
        let repositories = resolve(flags, &[("BORG_REPO_PATH", variable)]).unwrap();
        let chosen: Vec<_> = repositories.chosen.value.iter().map(ToString::to_string).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn a_variable_that_begins_with_a_label_is_a_list() {
        chosen(&[], "", &["/repository"]);
        chosen(&[], "/srv/borg", &["/srv/borg"]);
        chosen(&[], "local=/srv/borg", &["local=/srv/borg"]);
        for separator in [",", ", ", "\n", ",\n  "] {
            let list = format!("local=/srv/borg{separator}nas=u@h:world{separator}x=/x\n");
            chosen(&[], &list, &["local=/srv/borg", "nas=ssh://u@h/./world", "x=/x"]);
        }
    }

    #[test]
    fn commas_and_signs_in_paths_stay_where_no_label_follows() {
        chosen(&[], "/srv/a,b=c", &["/srv/a,b=c"]);
        chosen(&[], "/srv/a, b", &["/srv/a, b"]);
        chosen(&[], "a=/srv/x,y z,b=/srv/1=2,3", &["a=/srv/x,y z", "b=/srv/1=2,3"]);
        chosen(&["/a,b=/c"], "", &["/a,b=/c"]);
        chosen(&["one=/a,two=/b"], "", &["one=/a,two=/b"]);
    }

    #[test]
    fn a_list_without_labels_is_refused_and_not_taken_for_an_odd_path() {
        for list in
            ["/a,/b", "a=/a,/b", "/a, /b", "/a\n/b", "ssh://h/a,ssh://i/b", "a=/a,b=/b,/c", "./a,./b", "a, ../b"]
        {
            let error = resolve(&[], &[("BORG_REPO", list)]).unwrap_err();
            assert!(error.contains("needs a label"), "{list}: {error}");
        }
        // A flag is never split, so it can say even that.
        chosen(&["/a,/b"], "", &["/a,/b"]);
    }

    #[test]
    fn flags_replace_variables_or_pick_from_them() {
        let set = "local=/srv/borg,nas=ssh://h/a";
        chosen(&["/x"], set, &["/x"]);
        chosen(&["a=/x", "b=/y"], set, &["a=/x", "b=/y"]);
        chosen(&["nas"], set, &["nas=ssh://h/a"]);
        chosen(&["nas", "local"], set, &["nas=ssh://h/a", "local=/srv/borg"]);
        chosen(&["nas", "usb=/mnt"], set, &["nas=ssh://h/a", "usb=/mnt"]);
        let picked = resolve(&["nas"], &[("BORG_REPO_PATH", set)]).unwrap();
        assert_eq!(picked.others.iter().map(Repository::name).collect::<Vec<_>>(), ["local"]);
        assert_eq!(picked.all().count(), 2);
        // Where there are no labels, a word is a directory, as ever.
        let here = std::env::current_dir().unwrap().join("nas");
        chosen(&["nas"], "/srv/borg", &[&here.display().to_string()]);
        chosen(&["./nas"], set, &[&here.display().to_string()]);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let set = ("BORG_REPO_PATH", "local=/srv/borg,nas=ssh://h/a");
        for (flags, words) in [
            (&["nsa"][..], "there is no repository nsa, only local, nas"),
            (&["nas", "nas"], "the label nas is there twice"),
            (&["a=/x", "a=/y"], "the label a is there twice"),
            (&["a=/x", "b=/y/../x"], "the repository /x is there twice"),
            (&["a=/x", "/y"], "the repository /y needs a label"),
            (&["/x", "/y"], "the repository /x needs a label"),
            (&["a="], "--repository cannot be \"a=\""),
            (&[""], "--repository cannot be \"\""),
        ] {
            let error = resolve(flags, &[set]).unwrap_err();
            assert!(error.contains(words), "{flags:?}: {error}");
        }
        for (list, words) in [
            ("a=/x,a=/y", "the label a is there twice"),
            ("a=/x,b=/x", "the repository /x is there twice"),
            ("a=,b=/x", "the path of a directory is expected"),
            (" \n", "the path of a directory is expected"),
        ] {
            let error = resolve(&[], &[("BORG_REPO", list)]).unwrap_err();
            assert!(error.contains(words), "{list}: {error}");
        }
    }
}
