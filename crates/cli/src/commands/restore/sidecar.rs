//! The lines that restore where the sidecar itself must not write, with the game stopped meanwhile.
//!
//! The sidecar sees its own mounts: a named volume by the path the engine gives it, a bind
//! mount by its path on the file system it is from. That is enough for a line that can be run, or mended. Pasted as they are, each
//! is run only if the one before it went well: a game does not start on half a world.

use std::path::{Path, PathBuf, absolute};

use crate::commands::{LATEST, containers};
use crate::mounts::MountLine;
use crate::place::Place;
use crate::settings::Origin;

/// Variables that decide what is restored, from where; the series goes by its name, wherever that was from.
const VARIABLES: [&str; 19] = [
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
    "BACKUP_SOURCES",
    "WORLDKEEPER_STATE_DIR",
];

/// The lines that do what this command was asked to do, in a container that may write to `target`. `latest` is `archive` in them:
/// there may be a newer one when they are run.
pub(super) fn command(place: &Place, target: &Path, archive: &str) -> anyhow::Result<String> {
    let mounts = MountLine::all();
    let settings = &place.settings;
    let mut volumes = Vec::new();
    let sources = settings.sources.value.iter().map(PathBuf::as_path);
    let directories = [Some(target), settings.repository.value.local(), Some(&settings.state_dir.value)];
    let remote = &settings.remote;
    let files = [&settings.passphrase_file, &remote.ssh_key, &remote.ssh_key_passphrase_file, &remote.ssh_known_hosts];
    let files = files.into_iter().flatten().map(|file| file.value.as_path());
    // Where key files are by default, there may be none.
    let keys = Some(place.key_files.place()).filter(|keys| covering(&mounts, keys).is_some());
    for path in sources.chain(directories.into_iter().flatten()).chain(files).chain(keys) {
        let volume = volume_for(&mounts, path);
        if !volumes.contains(&volume) {
            volumes.push(volume);
        }
    }
    let mut words = vec!["docker".to_owned(), "run".into(), "--rm".into()];
    if settings.repository.value.local().is_some() {
        words.extend(["--network".into(), "none".into()]);
    }
    words.extend(volumes.into_iter().flat_map(|volume| ["--volume".to_owned(), volume]));
    // No container is watched there that could give the series its name, and `latest` would mean somebody else's.
    words.extend(["--env".into(), format!("WORLDKEEPER_NAME={}", place.series())]);
    for name in VARIABLES {
        if let Some(value) = place.environment.value(name) {
            words.extend(["--env".into(), format!("{name}={}", value.to_string_lossy())]);
        }
    }
    if let Some(passphrase) = &place.passphrase
        && let Origin::Variable(name) = passphrase.origin()
    {
        // Only its name: the value comes from the environment of who runs the line. The path of a file is no secret.
        let path = settings.passphrase_file.as_ref().map(|file| format!("{name}={}", file.value.display()));
        words.extend(["--env".into(), path.unwrap_or_else(|| name.to_owned())]);
    }
    words.push("worldkeeper".into());
    let mut said: Vec<_> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(latest) = said.iter_mut().find(|word| *word == LATEST) {
        archive.clone_into(latest);
    }
    words.extend(said);
    // The sources hold the world that is to be replaced; what else is named as a target is to be empty.
    let is_source = settings.sources.value.iter().any(|source| absolute(source).is_ok_and(|source| source == target));
    if is_source && !words.iter().any(|word| word == "--overwrite") {
        words.push("--overwrite".into());
    }
    let run = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let running: Vec<_> = containers::running(place)?.iter().map(ToString::to_string).collect();
    Ok(with_game_stopped(&running, run))
}

/// The lines that run a command while no game runs, one after the other as long as all goes well.
fn with_game_stopped(running: &[String], run: String) -> String {
    if running.is_empty() {
        return run;
    }
    let names = running.join(" ");
    [format!("docker stop {names}"), run, format!("docker start {names}")].join(" &&\n")
}

/// What `--volume` needs for a path to be there: the named volume or the host's directory, and the mount point.
fn volume_for(mounts: &[MountLine], path: &Path) -> String {
    let Some(mount) = covering(mounts, path) else {
        return format!("{0}:{0}", path.display());
    };
    let source = match mount.root.strip_suffix("/_data").and_then(|root| root.rsplit_once("/volumes/")) {
        Some((_, name)) if !name.contains('/') => name,
        _ => &mount.root,
    };
    format!("{source}:{}", mount.point.display())
}

/// What of the outside world a path is on, if it is not in the container's own layer.
fn covering<'a>(mounts: &'a [MountLine], path: &Path) -> Option<&'a MountLine> {
    MountLine::covering(mounts, path).filter(|mount| mount.point != Path::new("/"))
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
    use std::ffi::{OsStr, OsString};

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

    #[test]
    fn the_line_says_where_key_files_are() {
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        let keys = folder.path().join("keys");
        let variables: [(&OsStr, OsString); 4] = [
            (OsStr::new("HOME"), folder.path().into()),
            (OsStr::new("WORLDKEEPER_NAME"), "survival".into()),
            (OsStr::new("BORG_KEYS_DIR"), keys.clone().into()),
            (OsStr::new("DOCKER_HOST"), "unix:///nowhere/docker.sock".into()),
        ];
        let environment: Environment = variables.into_iter().collect();
        let args = Args::try_parse_from(["worldkeeper", "restore", "latest"]).expect("it is a command");
        let settings = Settings::of(&args, &environment).expect("nothing is wrong with it");
        let place = Place::open(settings, environment, MultiProgress::new()).expect("all is there");
        let line = command(&place, Path::new("/data"), "survival-1").expect("nobody need be asked");
        for words in [format!("--env BORG_KEYS_DIR={}", keys.display()), "--env WORLDKEEPER_NAME=survival".into()] {
            assert!(line.contains(&words), "{line}");
        }
    }

    #[test]
    fn volumes_and_directories_are_told_apart() {
        let table = "\
            600 500 0:50 / / ro,relatime - overlay overlay ro\n\
            601 600 8:1 /var/lib/docker/volumes/world/_data /data ro,relatime - ext4 /dev/sda1 rw\n\
            602 600 8:1 /srv/my\\040backups /repository rw - ext4 /dev/sda1 rw\n\
            short line\n";
        let mounts = MountLine::parse_all(table);
        for (path, expected) in [
            ("/data", "world:/data"),
            ("/data/world", "world:/data"),
            ("/repository", "/srv/my backups:/repository"),
            ("/elsewhere", "/elsewhere:/elsewhere"),
        ] {
            assert_eq!(volume_for(&mounts, Path::new(path)), expected);
        }
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
