//! The lines that restore where the sidecar itself must not write, with the game stopped meanwhile.
//!
//! They mount what the sidecar has mounted, and stop what may run. Where nobody says what that is, they have a blank that has
//! to be filled in, and stop all that is watched. Pasted as they are, each is run only if the one before it went well: a game
//! does not start on half a world.

use std::path::{Path, PathBuf, absolute};

use super::volumes::Ours;
use crate::commands::{LATEST, containers};
use crate::place::Place;
use crate::secrets;
use crate::settings::Origin;

/// Variables that decide what is restored, from where; the series goes by its name, wherever that was from.
const VARIABLES: [&str; 20] = [
    "BORG_REPO_PATH",
    "BORG_REPO",
    "REMOTE_HOST",
    "REMOTE_PATH",
    "REMOTE_USER",
    "REMOTE_PORT",
    "BORG_RSH",
    "BORG_REMOTE_PATH",
    "BORG_KEY_FILE",
    "BORG_KEYS_DIR",
    "BORG_CONFIG_DIR",
    "BORG_BASE_DIR",
    "XDG_CONFIG_HOME",
    "BORG_WORKAROUNDS",
    "SSH_KEY_PATH",
    "SSH_KEY_PASSPHRASE_FILE",
    "SSH_KNOWN_HOSTS",
    "BORG_PASSPHRASE_FILE",
    "BACKUP_SOURCES",
    "WORLDKEEPER_STATE_DIR",
];

/// Lines for a shell of the host, and what has to be known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    /// The lines themselves.
    pub(crate) text: String,
    /// The variable that the passphrase is from. Its value is in no line: the environment of who runs them gives it.
    pub(crate) passphrase: Option<&'static str>,
    /// For each container that is stopped although it may rest, why that is not known.
    pub(crate) not_known: Vec<String>,
}

/// The lines that do what this command was asked to do, in a container that may write to `target`. `latest` is `archive` in them:
/// there may be a newer one when they are run.
pub(super) fn lines(place: &Place, target: &Path, archive: &str) -> anyhow::Result<Lines> {
    let passphrase = passphrase(place);
    let games = containers::that_may_run(place)?;
    let names: Vec<_> = games.iter().map(|game| game.name.to_string()).collect();
    let not_known = games.iter().filter(|game| game.state.is_err()).map(ToString::to_string).collect();
    let run = run(place, &Ours::look(place), passphrase, target, archive);
    Ok(Lines { text: with_game_stopped(&names, run), passphrase, not_known })
}

/// The line that runs the other container.
fn run(place: &Place, ours: &Ours, passphrase: Option<&str>, target: &Path, archive: &str) -> String {
    let settings = &place.settings;
    let sources: Vec<_> = settings.sources.value.iter().filter_map(|source| absolute(source).ok()).collect();
    let trees = [&sources[..], &[target.to_owned()]].concat();
    let mut words = ["docker", "run", "--rm"].map(str::to_owned).to_vec();
    if settings.repository.value.local().is_some() {
        words.extend(["--network".into(), "none".into()]);
    }
    words.extend(ours.words(&trees, &needed(place, ours)));
    // No container is watched there that could give the series its name, and `latest` would mean somebody else's.
    words.extend(["--env".into(), format!("WORLDKEEPER_NAME={}", place.series())]);
    for name in VARIABLES {
        if let Some(value) = place.environment.value(name) {
            words.extend(["--env".into(), format!("{name}={}", value.to_string_lossy())]);
        }
    }
    if let Some(name) = passphrase {
        // A descriptor does not reach the other container.
        let name = if name == secrets::DESCRIPTOR { secrets::VARIABLE } else { name };
        words.extend(["--env".into(), name.to_owned()]);
    }
    words.push(ours.image().to_owned());
    words.extend(said(archive));
    // The sources hold the world that is to be replaced; what else is named as a target is to be empty.
    if sources.iter().any(|source| source == target) && !words.iter().any(|word| word == "--overwrite") {
        words.push("--overwrite".into());
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// What is read and written beside the world.
fn needed(place: &Place, ours: &Ours) -> Vec<PathBuf> {
    let settings = &place.settings;
    let remote = &settings.remote;
    let files = [&settings.passphrase_file, &remote.ssh_key, &remote.ssh_key_passphrase_file, &remote.ssh_known_hosts];
    let files = files.into_iter().flatten().map(|file| file.value.as_path());
    // Where key files are by default, there may be none.
    let keys = Some(place.key_files.place()).filter(|keys| ours.has_mounted(keys));
    let paths = settings.repository.value.local().into_iter().chain([&*settings.state_dir.value]);
    paths.chain(files).chain(keys).filter_map(|path| absolute(path).ok()).collect()
}

/// The variable that the passphrase is from, if its value has to be given once more. The path of a file is said, and what the state
/// directory has is there.
fn passphrase(place: &Place) -> Option<&'static str> {
    let Origin::Variable(name) = place.passphrase.as_ref()?.origin() else { return None };
    place.settings.passphrase_file.is_none().then_some(name)
}

/// What this command was asked to do. Containers are stopped by then, and nobody is there to ask whether they are.
fn said(archive: &str) -> Vec<String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    without_containers(words).map(|word| if word == LATEST { archive.to_owned() } else { word }).collect()
}

fn without_containers(words: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    const FLAG: &str = "--container";
    let mut is_name = false;
    words.filter(move |word| {
        let is_left_out =
            is_name || word.strip_prefix(FLAG).is_some_and(|rest| matches!(rest.chars().next(), None | Some('=')));
        is_name = !is_name && word == FLAG;
        !is_left_out
    })
}

/// The lines that run a command while no game runs, one after the other as long as all goes well.
fn with_game_stopped(names: &[String], run: String) -> String {
    if names.is_empty() {
        return run;
    }
    let names = names.join(" ");
    [format!("docker stop {names}"), run, format!("docker start {names}")].join(" &&\n")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use clap::Parser;
    use indicatif::MultiProgress;

    use super::*;
    use crate::args::Args;
    use crate::settings::{Environment, Settings};

    #[test]
    fn the_game_starts_only_after_a_good_restore() {
        let lines = |names: &[&str]| {
            let running: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            with_game_stopped(&running, "docker run it".to_owned())
        };
        assert_eq!(lines(&[]), "docker run it");
        assert_eq!(lines(&["mc"]), "docker stop mc &&\ndocker run it &&\ndocker start mc");
        assert_eq!(lines(&["mc", "bots"]), "docker stop mc bots &&\ndocker run it &&\ndocker start mc bots");
    }

    /// The lines for `/data`, with an engine that does not answer, and these variables.
    fn lines_with(variables: &[(&str, &str)]) -> Lines {
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let home = folder.path().to_str().expect("paths of tests are text");
        let always = [("HOME", home), ("WORLDKEEPER_NAME", "survival"), ("DOCKER_HOST", "unix:///nowhere/docker.sock")];
        let environment: Environment = always.iter().chain(variables).copied().collect();
        let args = Args::try_parse_from(["worldkeeper", "restore", "latest"]).expect("it is a command");
        let settings = Settings::of(&args, &environment).expect("nothing is wrong with it");
        let place = Place::open(settings, environment, MultiProgress::new()).expect("all is there");
        lines(&place, Path::new("/data"), "survival-1").expect("nobody need answer")
    }

    #[test]
    fn the_line_says_where_key_files_are() {
        let line = lines_with(&[("BORG_KEYS_DIR", "/keys")]).text;
        for words in ["--env BORG_KEYS_DIR=/keys", "--env WORLDKEEPER_NAME=survival"] {
            assert!(line.contains(words), "{line}");
        }
    }

    #[test]
    fn no_place_of_the_host_is_made_up() {
        let line = lines_with(&[]).text;
        let words = [
            " --volume HOST-PATH-OF-/data:/data ",
            " --volume HOST-PATH-OF-/repository:/repository ",
            " IMAGE-OF-WORLDKEEPER ",
        ];
        for words in words {
            assert!(line.contains(words), "{line}");
        }
        assert!(!line.contains("--volume /"), "{line}");
    }

    #[test]
    fn a_game_that_nobody_knows_of_is_stopped() {
        let lines = lines_with(&[("GAME_CONTAINER_NAME", "mc")]);
        assert!(
            lines.text.starts_with("docker stop mc &&\n") && lines.text.ends_with(" &&\ndocker start mc"),
            "{lines:?}"
        );
        assert!(lines.not_known[0].starts_with("it is not known whether container mc runs ("), "{lines:?}");
        assert_eq!(lines_with(&[]).not_known, [""; 0]);
    }

    #[test]
    fn the_passphrase_is_in_no_line() {
        let given = |name, value| {
            let lines = lines_with(&[(name, value)]);
            (lines.passphrase, lines.text)
        };
        for (name, value) in [("BORG_PASSPHRASE", "secret"), ("BORG_PASSCOMMAND", "echo secret")] {
            let (passphrase, line) = given(name, value);
            assert_eq!(passphrase, Some(name));
            assert!(line.contains(&format!(" --env {name} ")) && !line.contains("secret"), "{line}");
        }
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let file = folder.path().join("passphrase");
        std::fs::write(&file, "secret").expect("it can be written");
        let open = std::fs::File::open(&file).expect("it is there");
        let (passphrase, line) = given("BORG_PASSPHRASE_FD", &open.as_raw_fd().to_string());
        assert_eq!(passphrase, Some("BORG_PASSPHRASE_FD"));
        assert!(line.contains(" --env BORG_PASSPHRASE ") && !line.contains("_FD"), "{line}");
    }

    #[test]
    fn who_is_stopped_is_not_asked_after() {
        let words = [
            "restore",
            "latest",
            "--container",
            "mc",
            "--container=bots",
            "--containers",
            "--container",
            "--container",
        ];
        let left: Vec<_> = without_containers(words.map(str::to_owned).into_iter()).collect();
        assert_eq!(left, ["restore", "latest", "--containers"]);
    }

    #[test]
    fn a_shell_takes_the_words_as_they_are() {
        for (word, expected) in [
            ("world:/data", "world:/data"),
            ("/srv/my backups:/x", "'/srv/my backups:/x'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
