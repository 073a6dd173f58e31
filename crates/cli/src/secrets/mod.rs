//! Where the passphrase comes from: a file, a command, a descriptor or the environment, and from one of them only.
//!
//! What is read lives in a [`Passphrase`], which is overwritten when it is dropped and has no `Debug`. Nothing of it
//! reaches an error, a log or a child.

mod command;
mod file;
mod new;

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

pub(crate) use command::CommandError;
pub(crate) use file::FileError;
pub(crate) use new::new;

use crate::settings::{Environment, Origin, Settings};

/// A passphrase; shows itself to whoever asks for the text, and nobody else.
pub(crate) struct Passphrase {
    text: Zeroizing<String>,
    origin: Origin,
}

impl Passphrase {
    /// The passphrase itself.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Who gave it.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }
}

/// Why there is no passphrase where one should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// Two places at once.
    #[error("{first} and {second} both say where the passphrase is")]
    TwoSources {
        /// The one.
        first: Origin,
        /// The other.
        second: Origin,
    },
    /// A file, or what is behind a descriptor.
    #[error("{origin} cannot be used")]
    File {
        /// Who named it.
        origin: Origin,
        /// What is wrong with it.
        #[source]
        reason: FileError,
    },
    /// The descriptor is no number.
    #[error("BORG_PASSPHRASE_FD is not the number of a file descriptor")]
    Descriptor,
    /// The command.
    #[error("BORG_PASSCOMMAND gives no passphrase")]
    Command(#[from] CommandError),
    /// What is in the environment is not UTF-8.
    #[error("the passphrase in {0} is not valid UTF-8")]
    NotText(&'static str),
    /// A new one is needed.
    #[error("no new passphrase is given")]
    NoneNew,
}

/// The variables that hold or lead to a secret: no child sees them.
pub(crate) const SECRET_VARIABLES: [&str; 5] = [VARIABLE, FILE, DESCRIPTOR, COMMAND, NEW_VARIABLE];

/// Holds the passphrase itself.
pub(crate) const VARIABLE: &str = "BORG_PASSPHRASE";
const NEW_VARIABLE: &str = "BORG_NEW_PASSPHRASE";
const FILE: &str = "BORG_PASSPHRASE_FILE";
/// Holds the number of the descriptor that it is read from.
pub(crate) const DESCRIPTOR: &str = "BORG_PASSPHRASE_FD";
const COMMAND: &str = "BORG_PASSCOMMAND";

/// How long a command may take: somebody may have to type into it.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);

/// Reads the passphrase the user gave; `None` if none was given.
pub(crate) fn given(settings: &Settings, environment: &Environment) -> Result<Option<Passphrase>, SecretError> {
    let file = settings.passphrase_file.as_ref();
    let sources = [
        file.map(|file| file.origin),
        environment.value(COMMAND).map(|_| Origin::Variable(COMMAND)),
        environment.value(DESCRIPTOR).map(|_| Origin::Variable(DESCRIPTOR)),
        environment.value(VARIABLE).map(|_| Origin::Variable(VARIABLE)),
    ];
    let mut sources = sources.into_iter().flatten();
    let Some(origin) = sources.next() else { return Ok(None) };
    if let Some(second) = sources.next() {
        return Err(SecretError::TwoSources { first: origin, second });
    }
    let failed = |reason| SecretError::File { origin, reason };
    let text = if let Some(file) = file {
        file::read(&file.value, &settings.sources.value).map_err(failed)?
    } else if let Some(command) = environment.value(COMMAND) {
        let environment = environment.without(&SECRET_VARIABLES);
        command::read(command, environment, COMMAND_TIMEOUT)?
    } else if let Some(number) = environment.value(DESCRIPTOR) {
        let number: u32 = number.to_str().and_then(|text| text.parse().ok()).ok_or(SecretError::Descriptor)?;
        file::read_open(&PathBuf::from(format!("/proc/self/fd/{number}"))).map_err(failed)?
    } else {
        let text = environment.value(VARIABLE).and_then(|text| text.to_str()).ok_or(SecretError::NotText(VARIABLE))?;
        Zeroizing::new(text.to_owned())
    };
    Ok(Some(Passphrase { text, origin }))
}

/// Reads what opens the SSH key, if a file with it is named.
pub(crate) fn of_ssh_key(settings: &Settings) -> Result<Option<Zeroizing<String>>, SecretError> {
    let Some(file) = &settings.remote.ssh_key_passphrase_file else { return Ok(None) };
    let read = file::read(&file.value, &settings.sources.value);
    read.map(Some).map_err(|reason| SecretError::File { origin: file.origin, reason })
}

/// Makes text of what was read, less the line break at its end.
fn text(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn passphrase(flags: &[&str], variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let args = Args::try_parse_from(["worldkeeper", "run"].iter().chain(flags)).unwrap();
        let environment = [("HOME", "/"), ("PATH", "/usr/bin:/bin")].iter().chain(variables).copied().collect();
        let settings = Settings::resolve(&args.flags, &environment).unwrap();
        let given = given(&settings, &environment).map_err(|error| crate::report::chain(&error));
        given.map(|passphrase| passphrase.map(|passphrase| passphrase.text().to_owned()))
    }

    #[test]
    fn every_source_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passphrase");
        fs::write(&file, "from a file\r\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        let file = file.to_str().unwrap();
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(passphrase(&[], &[]), Ok(None));
        assert_eq!(passphrase(&[], &[("BORG_PASSPHRASE", "from the environment ")]), some("from the environment "));
        assert_eq!(passphrase(&[], &[("BORG_PASSPHRASE", "")]), Ok(None));
        assert_eq!(passphrase(&[], &[("BORG_PASSPHRASE_FILE", file)]), some("from a file"));
        assert_eq!(passphrase(&["--passphrase-file", file], &[("BORG_PASSPHRASE_FILE", "/x")]), some("from a file"));
        assert_eq!(passphrase(&[], &[("BORG_PASSCOMMAND", "printf 'a b\\n\\n'")]), some("a b"));
    }

    #[test]
    fn a_descriptor_is_read() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "from a descriptor\n").unwrap();
        let open = fs::File::open(folder.path().join("x")).unwrap();
        let number = open.as_raw_fd().to_string();
        assert_eq!(passphrase(&[], &[("BORG_PASSPHRASE_FD", &number)]), Ok(Some("from a descriptor".into())));
        let error = passphrase(&[], &[("BORG_PASSPHRASE_FD", "three")]).unwrap_err();
        assert!(error.contains("not the number of a file descriptor"), "{error}");
        let error = passphrase(&[], &[("BORG_PASSPHRASE_FD", "987654")]).unwrap_err();
        assert!(error.contains("BORG_PASSPHRASE_FD cannot be used"), "{error}");
    }

    #[test]
    fn two_sources_are_both_named() {
        let error = passphrase(&["--passphrase-file", "/x"], &[("BORG_PASSPHRASE", "secret")]).unwrap_err();
        assert_eq!(error, "--passphrase-file and BORG_PASSPHRASE both say where the passphrase is");
        let error = passphrase(&[], &[("BORG_PASSCOMMAND", "x"), ("BORG_PASSPHRASE_FD", "3")]).unwrap_err();
        assert_eq!(error, "BORG_PASSCOMMAND and BORG_PASSPHRASE_FD both say where the passphrase is");
    }

    #[test]
    fn no_error_shows_a_secret() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let args = Args::try_parse_from(["worldkeeper", "run"]).unwrap();
        let secret = OsStr::from_bytes(b"canary\xff");
        let environment = [("HOME", OsStr::new("/")), ("BORG_PASSPHRASE", secret)].into_iter().collect();
        let settings = Settings::resolve(&args.flags, &environment).unwrap();
        let error = given(&settings, &environment).err().unwrap();
        assert!(!format!("{error:?} {error} {settings:?}").contains("canary"));
        let error = passphrase(&[], &[("BORG_PASSCOMMAND", "sh -c 'echo canary; exit 3'")]).unwrap_err();
        assert!(!error.contains("canary") && error.contains("exit status: 3"), "{error}");
    }
}
