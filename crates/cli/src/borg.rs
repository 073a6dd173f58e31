//! Borg's voice: what this program says and does when it is called `borg`, or `borg-` and something, as `borg-1.4`.
//!
//! Clients start `borg serve` on a backup host, and tools ask `borg --version`; that much is there. `worldkeeper serve` is
//! the same under another name. Where SSH has forced a command on the client, the command that the client asked for
//! (`SSH_ORIGINAL_COMMAND`) says how talkative to be and nothing else: what the client may do, the forced one says.
//!
//! Source: borg 1.4 `archiver.py`, `get_args`.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use worldkeeper_core::shell;

use crate::args::{Borg, BorgVerb};
use crate::commands;

/// The borg that this is for those who ask: the newest whose protocol and messages are spoken here.
pub(crate) const VERSION: &str = "1.4.5";

/// The name of the command for which there is the other voice, too.
const SERVE: &str = "serve";

/// What SSH has been asked to run, where it runs something else.
const ASKED: &str = "SSH_ORIGINAL_COMMAND";

/// Returns whether these words, the program's name first, are to be taken as borg takes them.
pub(crate) fn is_meant(words: &[OsString]) -> bool {
    let name = words.first().and_then(|program| Path::new(program).file_name()).and_then(OsStr::to_str);
    let is_borg = name.is_some_and(|name| name == "borg" || name.starts_with("borg-"));
    is_borg || words.get(1).is_some_and(|word| word == SERVE)
}

/// Does what these words say.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let asked = std::env::var(ASKED).ok().filter(|asked| !asked.is_empty());
    match read(words, asked.as_deref()) {
        Ok(Borg { verb: BorgVerb::Serve(serve), common }) => commands::serve(&serve, &common),
        Err(error) => error.exit(),
    }
}

/// Reads a command line, and with it what the client has asked for, if that was something else.
fn read(words: &[OsString], asked: Option<&str>) -> Result<Borg, clap::Error> {
    let forced = parse(words)?;
    let Some(asked) = asked else { return Ok(forced) };
    let asked = shell::split(asked).map_err(|error| Borg::command().error(ErrorKind::InvalidValue, error))?;
    // Variables in front of the command are nobody's to set.
    let asked: Vec<_> = asked.into_iter().skip_while(|word| word.contains('=')).map(OsString::from).collect();
    match parse(&asked) {
        Ok(client) => Ok(Borg { common: forced.common.with_wishes_of(client.common), ..forced }),
        // It wanted to do something else, and does this.
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => Ok(forced),
        Err(error) => Err(error),
    }
}

fn parse(words: &[OsString]) -> Result<Borg, clap::Error> {
    let mut command = Borg::command();
    let is_borg =
        words.first().and_then(|program| Path::new(program).file_stem()).is_some_and(|name| name != "worldkeeper");
    command = command.bin_name(if is_borg { "borg" } else { "worldkeeper" });
    let mut matches = command.try_get_matches_from_mut(words)?;
    Borg::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use worldkeeper_remote::serve::Level;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn read_line(line: &str, asked: Option<&str>) -> Result<Borg, clap::Error> {
        read(&words(line), asked)
    }

    #[test]
    fn borgs_name_decides_and_so_does_the_verb() {
        for (line, is_borgs) in [
            ("borg", true),
            ("/usr/bin/borg --version", true),
            ("borg-1.4 serve", true),
            ("worldkeeper serve --restrict-to-path /srv", true),
            ("worldkeeper", false),
            ("worldkeeper list", false),
            ("borgmatic serve-no", false),
        ] {
            assert_eq!(is_meant(&words(line)), is_borgs, "{line}");
        }
    }

    #[test]
    fn what_stock_clients_say_is_taken() {
        // As 1.1, 1.2 and 1.4 say it.
        for line in [
            "borg serve --umask=077",
            "borg serve --info --storage-quota=10000000",
            "borg serve --debug --debug-topic=borg.debug.repository --umask 0077",
            "borg serve --critical",
            "borg --info serve --lock-wait 5 -p --rsh ssh",
            "borg serve -v -v --verbose --log-json --show-rc --bypass-lock",
            "borg serve --restrict-to-p /a --restrict-to-p /b --append-only",
        ] {
            assert!(read_line(line, None).is_ok(), "{line}");
        }
        assert_eq!(read_line("borg --version", None).unwrap_err().to_string(), "borg 1.4.5\n");
        for line in ["borg", "borg serve --storage-quota 9M", "borg serve --umask 8", "borg list", "borg serve --what"]
        {
            assert!(read_line(line, None).is_err(), "{line}");
        }
    }

    #[test]
    fn a_client_says_how_talkative_to_be_and_nothing_else() {
        let forced = "borg serve --restrict-to-path /srv --append-only --storage-quota 20M --umask 027 --debug";
        let asked =
            "A=b B='c d' /opt/borg serve --info --restrict-to-path / --storage-quota 1T --umask 0 --lock-wait 9";
        let Borg { verb: BorgVerb::Serve(serve), common } = read_line(forced, Some(asked)).unwrap();
        assert_eq!(serve.restrict_to_paths, [Path::new("/srv")]);
        assert!(serve.append_only && serve.restrict_to_repositories.is_empty());
        assert_eq!((serve.storage_quota, common.umask), (Some(20_000_000), 0o027));
        assert_eq!(common.level(), Level::Info);
        // What it does not say is the default's, not the forced command's.
        assert_eq!(read_line(forced, Some("borg serve")).unwrap().common.level(), Level::Warning);
        // Another command: the forced one is run as it stands.
        assert_eq!(read_line(forced, Some("borg list /srv")).unwrap().common.level(), Level::Debug);
        for nonsense in ["borg serve --what", "borg", "borg 'serve"] {
            assert!(read_line(forced, Some(nonsense)).is_err(), "{nonsense}");
        }
    }
}
