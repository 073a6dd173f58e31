//! Keys go back and forth: copies of them, on paper too, and their passphrases.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::{place, sharing_keys};

const OTHER: &str = "another pässphrase";

#[test]
fn of_mode_repokey() {
    keys_go_back_and_forth("repokey");
}

#[test]
fn of_mode_authenticated_blake2() {
    keys_go_back_and_forth("authenticated-blake2");
}

#[test]
fn of_mode_keyfile() {
    keys_go_back_and_forth("keyfile");
}

#[test]
fn of_mode_keyfile_blake2() {
    keys_go_back_and_forth("keyfile-blake2");
}

/// Each changes the passphrase, and the other puts the key back as it was, from a copy that the first has made.
#[track_caller]
fn keys_go_back_and_forth(mode: &str) {
    for borg in Borg::all() {
        let (folder, keeper) = place(mode);
        let keeper = sharing_keys(keeper, &borg);
        tree::write(&keeper.world().join("level.dat"), b"the world");
        let _ = keeper.backup();
        let repository = keeper.repository();
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));

        let _ = keeper.run([OsStr::new("key"), "export".as_ref(), ours.as_ref()]);
        let _ = stock(&borg, PASSPHRASE, &["key", "export"], &[&repository, &theirs]).exits(0);
        let copy = fs::read_to_string(&ours).unwrap();
        assert_eq!(copy, fs::read_to_string(&theirs).unwrap(), "{borg}");
        assert_eq!(keeper.run(["key", "export"]).stdout(), copy);
        let paper = keeper.run(["key", "export", "--paper"]).stdout().to_owned();
        let theirs_on_paper = stock(&borg, PASSPHRASE, &["key", "export", "--paper"], &[&repository]).exits(0);
        assert_eq!(paper, theirs_on_paper.stdout(), "{borg}");

        we_change(&keeper);
        opens_with(&keeper, &borg, OTHER, PASSPHRASE);
        let _ = stock(&borg, OTHER, &["key", "import"], &[&repository, &ours]).exits(0);
        opens_with(&keeper, &borg, PASSPHRASE, OTHER);

        we_change(&keeper);
        // Stock asks for each line, and shows what it begins with.
        let typed =
            paper.lines().filter_map(|line| Some(format!("{}\n", line.split_once(": ")?.1))).collect::<String>();
        let mut command = stock_command(&borg, OTHER, &["key", "import", "--paper"], &[&repository]);
        let _ = with_input(&mut command, &typed).exits(0);
        opens_with(&keeper, &borg, PASSPHRASE, OTHER);

        stock_changes(&borg, &repository);
        opens_with(&keeper, &borg, OTHER, PASSPHRASE);
        let imported = keeper.clone().with("BORG_PASSPHRASE", OTHER).try_run([
            OsStr::new("key"),
            "import".as_ref(),
            ours.as_ref(),
        ]);
        let _ = imported.exits(1).says(&["put back", "does not open it"]);
        opens_with(&keeper, &borg, PASSPHRASE, OTHER);

        stock_changes(&borg, &repository);
        let _ = with_input(&mut keeper.command(["key", "import", "--paper"]), &paper).exits(0);
        opens_with(&keeper, &borg, PASSPHRASE, OTHER);
        borg.with_passphrase(PASSPHRASE).check(&repository);
    }
}

#[test]
fn stock_alone_puts_a_lost_key_back_from_our_copy() {
    for mode in ["repokey-blake2", "keyfile"] {
        let (folder, keeper) = place(mode);
        let (copy, keys) = (folder.path().join("copy"), folder.path().join("keys"));
        let keeper = keeper.with("BORG_KEYS_DIR", &keys);
        tree::sample(&keeper.world(), mode);
        let archive = keeper.backup();
        let _ = keeper.run([OsStr::new("key"), "export".as_ref(), copy.as_ref()]);
        let repository = keeper.repository();
        lose_key(&repository, &keys);

        // Each has a home of its own with nothing in it: all that it knows of the key is the copy.
        for (number, borg) in Borg::all().into_iter().enumerate() {
            let borg = borg.with_passphrase(PASSPHRASE).warmed();
            if number > 0 && mode.starts_with("repokey") {
                lose_key(&repository, &keys);
            }
            let words = ["list".as_ref(), repository.as_os_str()];
            assert_eq!(borg.try_run(words).says(&["no key"]).code(), Some(2), "{borg}, {mode}");
            let _ = borg.run(["key".as_ref(), "import".as_ref(), repository.as_os_str(), copy.as_os_str()]);
            let target = folder.path().join(borg.version());
            borg.extract(&repository, &archive, &target);
            tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
        }
    }
}

/// Takes the key out of the repository's config, or the key files away.
#[track_caller]
fn lose_key(repository: &Path, keys: &Path) {
    let config = repository.join("config");
    let text = fs::read_to_string(&config).unwrap();
    let mut is_key = false;
    let kept = text.lines().filter(|line| {
        // Further lines of a value begin with white space.
        is_key = line.starts_with("key =") || is_key && line.starts_with(char::is_whitespace);
        !is_key
    });
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    assert!(kept.contains("id = ") && !kept.contains("key ="));
    assert!(kept != text || keys.exists(), "there was no key to lose");
    fs::write(config, kept).unwrap();
    if keys.exists() {
        fs::remove_dir_all(keys).unwrap();
    }
}

/// Asserts that both of us open the repository with one passphrase and not with another.
#[track_caller]
fn opens_with(keeper: &Worldkeeper, borg: &Borg, right: &str, wrong: &str) {
    let ours = |passphrase| keeper.clone().with("BORG_PASSPHRASE", passphrase).try_run(["list"]);
    let theirs = |passphrase| stock(borg, passphrase, &["list"], &[&keeper.repository()]);
    let _ = (ours(right).exits(0), theirs(right).exits(0));
    let _ = (ours(wrong).exits(2).says(&["passphrase"]), theirs(wrong).says(&["passphrase"]));
    assert_ne!(theirs(wrong).code(), Some(0));
}

#[track_caller]
fn we_change(keeper: &Worldkeeper) {
    let keeper = keeper.clone().with("BORG_NEW_PASSPHRASE", OTHER);
    let _ = keeper.run(["key", "change-passphrase"]).does_not_say(OTHER);
}

#[track_caller]
fn stock_changes(borg: &Borg, repository: &Path) {
    let mut command = stock_command(borg, PASSPHRASE, &["key", "change-passphrase"], &[repository]);
    let _ = Outcome::of(command.env("BORG_NEW_PASSPHRASE", OTHER)).exits(0);
}

fn stock(borg: &Borg, passphrase: &str, words: &[&str], paths: &[&Path]) -> Outcome {
    Outcome::of(&mut stock_command(borg, passphrase, words, paths))
}

fn stock_command(borg: &Borg, passphrase: &str, words: &[&str], paths: &[&Path]) -> Command {
    let mut command = borg.command();
    command.env("BORG_PASSPHRASE", passphrase).args(words).args(paths);
    command
}

/// Runs a command that is given something to read.
fn with_input(command: &mut Command, input: &str) -> Outcome {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    // It may have ended before it has read everything, and says why.
    let _ = child.stdin.take().expect("it is a pipe").write_all(input.as_bytes());
    Outcome::from_output(command, child.wait_with_output().expect("a child can be waited for"))
}
