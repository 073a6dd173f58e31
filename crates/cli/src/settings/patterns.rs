//! What is left out or meant: patterns from flags, and from the files that flags name; and paths, which are patterns too.

use std::error::Error;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use worldkeeper_engine::{PatternError, Patterns, Selection};

use super::{Origin, SettingsError};
use crate::args::{PatternFlag, PatternOption};

/// Makes patterns of flags, and reads the files among them.
pub(super) fn read(flags: &[PatternFlag]) -> Result<Patterns, SettingsError> {
    let mut patterns = Patterns::default();
    for flag in flags {
        add(&mut patterns, flag).map_err(|reason| SettingsError::Invalid {
            origin: Origin::Flag(flag.option.flag()),
            value: flag.value.to_string_lossy().into_owned(),
            reason,
        })?;
    }
    Ok(patterns)
}

/// What of an archive is meant by flags and by what was `named`: paths, as the archive has them, and patterns.
pub(crate) fn select<'a>(
    flags: &[PatternFlag],
    named: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Selection, SettingsError> {
    select_by(flags, named, |selection, named| {
        if Selection::is_pattern(named) {
            return selection.include(named);
        }
        selection.include_path(named);
        Ok(())
    })
}

/// The same, where what was named may be the end of a path, with wildcards.
pub(crate) fn select_anywhere<'a>(
    flags: &[PatternFlag],
    named: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Selection, SettingsError> {
    select_by(flags, named, Selection::include_anywhere)
}

fn select_by<'a>(
    flags: &[PatternFlag],
    named: impl IntoIterator<Item = &'a [u8]>,
    include: impl Fn(&mut Selection, &[u8]) -> Result<(), PatternError>,
) -> Result<Selection, SettingsError> {
    let invalid = |value: &[u8], reason: PatternError| SettingsError::Invalid {
        origin: Origin::Flag("PATH"),
        value: String::from_utf8_lossy(value).into_owned(),
        reason: reason.into(),
    };
    let patterns = read(flags)?;
    let roots = patterns.roots().join(&b' ');
    let mut selection = Selection::new(patterns).map_err(|error| invalid(&roots, error))?;
    for named in named {
        include(&mut selection, named).map_err(|error| invalid(named, error))?;
    }
    Ok(selection)
}

fn add(
    patterns: &mut Patterns,
    PatternFlag { option, value }: &PatternFlag,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    match option {
        PatternOption::Exclude => patterns.exclude(value.as_bytes())?,
        PatternOption::ExcludeFrom => patterns.exclude_from(&fs::read(value)?)?,
        PatternOption::Pattern => patterns.pattern(value.as_bytes())?,
        PatternOption::PatternsFrom => patterns.patterns_from(&fs::read(value)?)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Environment, Settings};
    use super::*;
    use crate::args::Args;

    fn settings(flags: &[&str]) -> Result<Settings, String> {
        let args = Args::try_parse_from(["worldkeeper", "backup"].iter().chain(flags)).unwrap();
        let environment: Environment = [("HOME", "/home/steve"), ("BACKUP_SOURCES", "/data")].into_iter().collect();
        Settings::of(&args, &environment).map_err(|error| worldkeeper_core::error_text(&error))
    }

    #[test]
    fn sources_that_patterns_name_are_as_good_as_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("patterns");
        fs::write(&file, "R /srv/world\n- **/*.tmp\n").unwrap();
        let named = settings(&["--source", "/srv/plugins", "--patterns-from", file.to_str().unwrap()]).unwrap();
        assert_eq!(named.sources.value, ["/srv/world", "/srv/plugins"].map(std::path::PathBuf::from));
        assert_eq!((named.sources.origin, named.name.value.as_str()), (Origin::Flag("--source"), "world"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = settings(&["--exclude", "sh:[z-a]"]).unwrap_err();
        assert!(error.contains("--exclude cannot be \"sh:[z-a]\"") && error.contains("the range z-a"), "{error}");
        let error = settings(&["--exclude-from", "/nowhere/at/all"]).unwrap_err();
        assert!(error.contains("--exclude-from cannot be \"/nowhere/at/all\": No such file"), "{error}");
    }
}
