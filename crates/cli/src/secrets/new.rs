//! The passphrase that a key is to be put under from now on.

use std::path::Path;

use zeroize::Zeroizing;

use super::{NEW_VARIABLE, Passphrase, SecretError, file};
use crate::settings::{Environment, Origin, Settings};

const FLAG: &str = "--new-passphrase-file";

/// Reads the new passphrase from the file that was named, or from the environment.
pub(crate) fn new(
    named: Option<&Path>,
    settings: &Settings,
    environment: &Environment,
) -> Result<Passphrase, SecretError> {
    let (flag, variable) = (Origin::Flag(FLAG), Origin::Variable(NEW_VARIABLE));
    match (named, environment.value(NEW_VARIABLE)) {
        (Some(_), Some(_)) => Err(SecretError::TwoSources { first: flag, second: variable }),
        (Some(path), None) => {
            let text = file::read(path, &settings.sources.value);
            let text = text.map_err(|reason| SecretError::File { origin: flag, reason })?;
            Ok(Passphrase { text, origin: flag })
        }
        (None, Some(text)) => {
            let text = text.to_str().ok_or(SecretError::NotText(NEW_VARIABLE))?;
            Ok(Passphrase { text: Zeroizing::new(text.to_owned()), origin: variable })
        }
        (None, None) => Err(SecretError::NoneNew),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn said(named: Option<&Path>, variable: Option<&str>) -> Result<String, String> {
        let args = Args::try_parse_from(["worldkeeper", "status"]).unwrap();
        let variables = [("HOME", "/")].into_iter().chain(variable.map(|text| (NEW_VARIABLE, text)));
        let environment = variables.collect();
        let settings = Settings::resolve(&args.flags, &environment).unwrap();
        let new = new(named, &settings, &environment).map_err(|error| error.to_string());
        new.map(|passphrase| passphrase.text().to_owned())
    }

    #[test]
    fn it_comes_from_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new");
        fs::write(&file, "from a file\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(said(Some(&file), None), Ok("from a file".into()));
        assert_eq!(said(None, Some("from the environment")), Ok("from the environment".into()));
        let two = "--new-passphrase-file and BORG_NEW_PASSPHRASE both say where the passphrase is";
        assert_eq!(said(Some(&file), Some("x")), Err(two.into()));
        for nothing in [None, Some("")] {
            assert_eq!(said(None, nothing), Err("no new passphrase is given".into()));
        }
    }
}
