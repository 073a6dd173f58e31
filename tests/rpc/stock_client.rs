//! Stock's client with our server half at the end of what it takes for ssh.

use std::fs;
use std::path::Path;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree;

const REPOSITORY: &str = "ssh://backup@host/./repository";

/// Stock, and the folder in which our server keeps its file.
struct Remote {
    borg: Borg,
    folder: tempfile::TempDir,
}

impl Remote {
    fn all() -> impl Iterator<Item = Self> {
        let borgs = Borg::all().into_iter().chain(Borg::old()).map(|borg| borg.with_passphrase("secret"));
        borgs.map(|borg| Self { borg, folder: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.borg.command();
        let rsh = format!("{} {}", env!("CARGO_BIN_EXE_rpc_server"), self.path("file").display());
        command.env("BORG_RSH", rsh).env("BORG_REPO", REPOSITORY).args(args).current_dir(self.folder.path());
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(args)).exits(0)
    }

    #[track_caller]
    fn refused(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(args)).exits(2)
    }
}

#[test]
fn stock_works_with_a_repository_behind_our_server_half() {
    for remote in Remote::all() {
        let world = remote.path("world");
        fs::create_dir(&world).unwrap();
        tree::sample(&world, "remote");
        fs::write(world.join("big"), worldkeeper_testkit::fixtures::sha_stream("rpc", 1 << 20)).unwrap();

        let _ = remote.run(&["init", "-e", "repokey-blake2"]);
        for archive in ["one", "two", "three"] {
            let _ = remote.run(&["create", &format!("::{archive}"), "world"]);
        }
        assert_eq!(remote.run(&["list", "--short"]).lines(), ["one", "two", "three"]);
        let _ = remote.run(&["info"]);
        let _ = remote.run(&["rename", "::three", "drei"]);
        let _ = remote.run(&["delete", "::one"]);
        let _ = remote.run(&["prune", "--keep-last", "1"]);
        if !remote.borg.is_old() {
            let _ = remote.run(&["compact"]);
        }
        let checked = remote.run(&["check", "--verify-data"]);
        assert!(checked.stderr().contains("Remote: There is only a file, ☃."), "{checked}");
        let _ = remote.run(&["break-lock"]);
        let _ = remote.run(&["key", "export", "::", "exported"]);
        assert_eq!(remote.run(&["list", "--short"]).lines(), ["drei"]);
        extracts(&remote, "drei", &world);
    }
}

#[track_caller]
fn extracts(remote: &Remote, archive: &str, world: &Path) {
    let target = remote.path("target");
    fs::create_dir(&target).unwrap();
    let mut command = remote.command(&["extract", &format!("::{archive}")]);
    let _ = Outcome::of(command.current_dir(&target)).exits(0);
    let compared = Command::new("diff").arg("-r").arg(world).arg(target.join("world")).status().unwrap();
    assert!(compared.success(), "{}", remote.borg.version());
}

#[test]
fn stock_understands_what_our_server_half_refuses() {
    for remote in Remote::all() {
        let missing = remote.refused(&["list"]);
        assert!(missing.stderr().contains("does not exist"), "{missing}");
        let _ = remote.run(&["init", "-e", "repokey"]);
        let twice = remote.refused(&["init", "-e", "repokey"]);
        assert!(twice.stderr().contains("already exists"), "{twice}");
        let nothing = remote.refused(&["list", "::nothing"]);
        assert!(nothing.stderr().contains("nothing does not exist"), "{nothing}");
        // An object that is not there.
        let object = remote.command(&["debug", "get-obj", REPOSITORY, &"ab".repeat(32), "object"]);
        // Of 1.1, the exit code does not say so.
        let object = Outcome::of(&mut { object });
        assert!(object.stderr().contains("not found") || object.stdout().contains("not found"), "{object}");
    }
}
