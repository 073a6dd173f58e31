//! Which directories are left out for a tag in them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use worldkeeper_engine::{ExcludeTags, TagName, TagNameError};

use super::create::switch;
use super::layers::{Origin, Said, Setting, look_up};
use super::{Environment, SettingsError, or_default};
use crate::args::TagFlags;

/// Which directories are left out for a tag in them.
#[derive(Clone, Debug)]
pub(crate) struct TagSettings {
    exclude_caches: Setting<bool>,
    exclude_if_present: Setting<Vec<TagName>>,
    keep_exclude_tags: Setting<bool>,
}

impl TagSettings {
    /// Puts the layers together.
    pub(super) fn resolve(flags: &TagFlags, environment: &Environment) -> Result<Self, SettingsError> {
        let switch = |flag, is_given, variable| switch(environment, flag, is_given, variable);
        Ok(Self {
            exclude_caches: switch("--exclude-caches", flags.exclude_caches, "EXCLUDE_CACHES")?,
            exclude_if_present: names(flags, environment)?,
            keep_exclude_tags: switch("--keep-exclude-tags", flags.keep_exclude_tags, "KEEP_EXCLUDE_TAGS")?,
        })
    }

    /// What that means.
    pub(crate) fn to_tags(&self) -> ExcludeTags {
        ExcludeTags {
            caches: self.exclude_caches.value,
            if_present: self.exclude_if_present.value.clone(),
            keep: self.keep_exclude_tags.value,
        }
    }

    /// Every setting in words, with where it was said.
    pub(crate) fn describe(&self) -> [(&'static str, String, Origin); 3] {
        let switch = |setting: &Setting<bool>| if setting.value { "yes" } else { "no" }.to_owned();
        let names = self.exclude_if_present.value.iter().map(|name| String::from_utf8_lossy(name.as_bytes()));
        [
            ("exclude caches", switch(&self.exclude_caches), self.exclude_caches.origin),
            ("exclude if present", names.collect::<Vec<_>>().join(", "), self.exclude_if_present.origin),
            ("keep exclude tags", switch(&self.keep_exclude_tags), self.keep_exclude_tags.origin),
        ]
    }
}

/// A flag is repeated, a variable split.
fn names(flags: &TagFlags, environment: &Environment) -> Result<Setting<Vec<TagName>>, SettingsError> {
    const FLAG: &str = "--exclude-if-present";
    let mut value = Vec::new();
    for given in &flags.exclude_if_present {
        let said = Said { value: given.clone(), origin: Origin::Flag(FLAG) };
        value.push(said.parse_os(|name| TagName::new(name.as_bytes()))?.value);
    }
    if !value.is_empty() {
        return Ok(Setting { value, origin: Origin::Flag(FLAG) });
    }
    or_default(look_up(environment, FLAG, None, &["EXCLUDE_IF_PRESENT"])?, |said| said.parse_os(split), Vec::new)
}

fn split(list: &OsStr) -> Result<Vec<TagName>, TagNameError> {
    list.as_bytes().split(|byte| *byte == b',').map(|name| TagName::new(name.trim_ascii())).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Settings;
    use super::*;
    use crate::args::Args;

    fn tags(verb: &str, flags: &[&str], variables: &[(&str, &str)]) -> Result<ExcludeTags, String> {
        let args = Args::try_parse_from(["worldkeeper", verb].iter().chain(flags)).unwrap();
        let environment = [("HOME", "/home/steve")].iter().chain(variables).copied().collect();
        let settings = Settings::of(&args, &environment);
        settings.map(|settings| settings.create.tags.to_tags()).map_err(|error| worldkeeper_core::error_text(&error))
    }

    #[test]
    fn flags_and_variables_mean_the_same() {
        let expected = ExcludeTags {
            caches: true,
            if_present: [".nobackup", ".skip"].map(|name| TagName::new(name.as_bytes()).unwrap()).to_vec(),
            keep: true,
        };
        let flags = "--exclude-caches --exclude-if-present .nobackup --exclude-if-present .skip --keep-exclude-tags";
        let flags = flags.split(' ').collect::<Vec<_>>();
        let variables =
            [("EXCLUDE_CACHES", "yes"), ("EXCLUDE_IF_PRESENT", ".nobackup, .skip"), ("KEEP_EXCLUDE_TAGS", "1")];
        for verb in ["run", "backup"] {
            assert_eq!(tags(verb, &[], &[]), Ok(ExcludeTags::default()));
            assert_eq!(tags(verb, &flags, &[("EXCLUDE_IF_PRESENT", "/")]).as_ref(), Ok(&expected));
            assert_eq!(tags(verb, &[], &variables).as_ref(), Ok(&expected));
        }
        // There they would change nothing, and are refused.
        assert!(Args::try_parse_from(["worldkeeper", "recreate", "--exclude-caches"]).is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "..", "a/b"] {
            let error = tags("backup", &["--exclude-if-present", name], &[]).unwrap_err();
            assert!(error.contains(&format!("--exclude-if-present cannot be {name:?}")), "{error}");
        }
        let error = tags("backup", &[], &[("EXCLUDE_IF_PRESENT", "a,,b")]).unwrap_err();
        assert!(error.contains("EXCLUDE_IF_PRESENT cannot be \"a,,b\""), "{error}");
    }
}
