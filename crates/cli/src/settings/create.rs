//! How files are read and made into archives.

use std::ffi::OsStr;
use std::str::FromStr;
use std::time::Duration;

use worldkeeper_chunker::ChunkerParams;
use worldkeeper_engine::{CreateOptions, Verify};

use super::layers::{Origin, Setting, look_up};
use super::tags::TagSettings;
use super::{Environment, SettingsError, duration, duration_text, or_default};
use crate::args::CreateFlags;

/// How an archive is made.
#[derive(Clone, Debug)]
pub(crate) struct CreateSettings {
    /// Directories with these tags are left out.
    pub(crate) tags: TagSettings,
    /// What is mounted within a source is left out.
    pub(crate) one_file_system: Setting<bool>,
    /// FIFOs and devices are opened and stored as regular files.
    pub(crate) read_special: Setting<bool>,
    /// The files of games' worlds are judged.
    pub(crate) world_checks: Setting<bool>,
    /// The files of games' worlds are cut where games write them.
    pub(crate) world_cuts: Setting<bool>,
    /// How files are cut.
    pub(crate) chunker_params: Setting<ChunkerParams>,
    /// Holes restart fixed blocks.
    pub(crate) sparse: Setting<bool>,
    /// How often an archive in the making is saved; zero for never.
    pub(crate) checkpoint_interval: Setting<Duration>,
    /// How long a file system may take to answer; zero for ever.
    pub(crate) read_timeout: Setting<Duration>,
    /// How new objects are checked.
    pub(crate) verify: Setting<Verify>,
}

impl CreateSettings {
    /// Puts the layers together.
    pub(super) fn resolve(flags: &CreateFlags, environment: &Environment) -> Result<Self, SettingsError> {
        let text = |flag, given: &Option<String>, variable| {
            look_up(environment, flag, given.as_deref().map(OsStr::new), &[variable])
        };
        let switch = |flag, is_given, variable| switch(environment, flag, is_given, variable);
        Ok(Self {
            tags: TagSettings::resolve(&flags.tags, environment)?,
            one_file_system: switch("--one-file-system", flags.one_file_system, "ONE_FILE_SYSTEM")?,
            read_special: switch("--read-special", flags.read_special, "READ_SPECIAL")?,
            world_checks: or_default(
                text("--world-checks", &flags.world_checks, "WORLD_CHECKS")?,
                |said| said.parse(on_or_off),
                || true,
            )?,
            world_cuts: or_default(
                text("--world-cuts", &flags.world_cuts, "WORLD_CUTS")?,
                |said| said.parse(on_or_off),
                || true,
            )?,
            chunker_params: or_default(
                text("--chunker-params", &flags.chunker_params, "BORG_CHUNKER_PARAMS")?,
                |said| said.parse(ChunkerParams::from_str),
                ChunkerParams::default,
            )?,
            sparse: switch("--sparse", flags.sparse, "SPARSE")?,
            checkpoint_interval: or_default(
                text("--checkpoint-interval", &flags.checkpoint_interval, "CHECKPOINT_INTERVAL")?,
                |said| said.parse(duration::parse),
                || Duration::from_mins(5),
            )?,
            read_timeout: or_default(
                text("--read-timeout", &flags.read_timeout, "READ_TIMEOUT")?,
                |said| said.parse(duration::parse),
                || CreateOptions::READ_TIMEOUT,
            )?,
            verify: or_default(
                text("--verify", &flags.verify, "VERIFY")?,
                |said| said.parse(Verify::from_str),
                Verify::default,
            )?,
        })
    }

    /// Every setting in words, with where it was said.
    pub(super) fn describe(&self) -> Vec<(&'static str, String, Origin)> {
        let switch = |setting: &Setting<bool>| if setting.value { "yes" } else { "no" }.to_owned();
        let on = |setting: &Setting<bool>| if setting.value { "on" } else { "off" }.to_owned();
        let unless_zero = |setting: &Setting<Duration>, zero: &str| match setting.value {
            Duration::ZERO => zero.to_owned(),
            duration => duration_text(duration),
        };
        let mut described = self.tags.describe().to_vec();
        described.extend([
            ("one file system", switch(&self.one_file_system), self.one_file_system.origin),
            ("read special", switch(&self.read_special), self.read_special.origin),
            ("world checks", on(&self.world_checks), self.world_checks.origin),
            ("world cuts", on(&self.world_cuts), self.world_cuts.origin),
            ("chunker params", self.chunker_params.value.to_string(), self.chunker_params.origin),
            ("sparse", switch(&self.sparse), self.sparse.origin),
            ("checkpoint interval", unless_zero(&self.checkpoint_interval, "never"), self.checkpoint_interval.origin),
            ("read timeout", unless_zero(&self.read_timeout, "none"), self.read_timeout.origin),
            ("verify", self.verify.value.to_string(), self.verify.origin),
        ]);
        described
    }
}

/// What is switched on by a flag, or by a variable that says yes.
pub(super) fn switch(
    environment: &Environment,
    flag: &'static str,
    is_given: bool,
    variable: &'static str,
) -> Result<Setting<bool>, SettingsError> {
    if is_given {
        return Ok(Setting { value: true, origin: Origin::Flag(flag) });
    }
    or_default(look_up(environment, flag, None, &[variable])?, |said| said.parse(yes_or_no), || false)
}

/// Neither yes nor no.
#[derive(Debug, thiserror::Error)]
#[error("expected yes or no")]
struct SwitchError;

fn yes_or_no(text: &str) -> Result<bool, SwitchError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(SwitchError),
    }
}

/// Neither on nor off.
#[derive(Debug, thiserror::Error)]
#[error("expected on or off")]
struct OnOffError;

fn on_or_off(text: &str) -> Result<bool, OnOffError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(OnOffError),
    }
}
