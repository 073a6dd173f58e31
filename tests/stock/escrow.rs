//! A copy of the key is asked for until somebody says that it is stored elsewhere, and the copies that lie in the state
//! directory bring a repository back whose key is lost, by stock alone.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::place;

const ALARM: &str = "the key is not known to be stored elsewhere";

/// Whether the log of a backup and `status` ask for a copy; neither's exit code does.
#[track_caller]
fn is_asked_for(keeper: &Worldkeeper) -> bool {
    let asked = |outcome: &Outcome| outcome.to_string().contains(ALARM);
    let (backup, status) = (keeper.run(["backup"]), keeper.run(["status"]));
    assert_eq!(asked(&backup), asked(&status), "{backup}{status}");
    assert_ne!(asked(&status), status.stdout().contains("all is well"), "{status}");
    asked(&status)
}

/// What `key export` has printed for whoever confirms.
#[track_caller]
fn fingerprint(keeper: &Worldkeeper) -> String {
    let said = keeper.run(["key", "export"]);
    said.stderr().trim_end().rsplit(' ').next().expect("it is the last word").to_owned()
}

/// The folder of the one repository that the state directory knows.
fn known(keeper: &Worldkeeper) -> PathBuf {
    let mut folders = fs::read_dir(keeper.state().join("repositories")).expect("there is one");
    folders.next().expect("there is one").expect("it can be read").path()
}

#[test]
fn a_copy_is_asked_for_until_it_is_confirmed_and_again_for_another_key() {
    for mode in ["repokey-blake2", "authenticated", "keyfile"] {
        let (_folder, keeper) = place(mode);
        tree::sample(&keeper.world(), mode);
        assert!(is_asked_for(&keeper), "{mode}");
        let first = fingerprint(&keeper);
        let wrong = ["0000-0000-0000-0000", "", &first[1..], &first[..first.len() - 1]];
        for wrong in wrong {
            let _ = keeper.try_run(["key", "confirm", wrong]).exits(2).says(&["is not the fingerprint", "key export"]);
        }
        assert!(is_asked_for(&keeper), "{mode}: said wrongly");
        let _ = keeper.run(["key", "confirm", &first.to_uppercase()]).says(&["stored elsewhere, you say"]);
        assert!(!is_asked_for(&keeper), "{mode}");

        // The same key under another passphrase is another copy, whoever has changed it.
        let _ = keeper.clone().with("BORG_NEW_PASSPHRASE", "another").run(["key", "change-passphrase"]);
        let keeper = keeper.with("BORG_PASSPHRASE", "another");
        assert!(is_asked_for(&keeper), "{mode}");
        let _ = keeper.try_run(["key", "confirm", &first]).exits(2);
        let _ = keeper.run(["key", "confirm", &fingerprint(&keeper)]);
        assert!(!is_asked_for(&keeper), "{mode}");
    }
    let (_folder, keeper) = place("none");
    tree::sample(&keeper.world(), "none");
    assert!(!is_asked_for(&keeper), "there is no key");
}

#[test]
fn what_stock_has_changed_is_copied_and_asked_for() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey");
    tree::sample(&keeper.world(), "taken over");
    borg.init(&keeper.repository(), "repokey");
    assert!(is_asked_for(&keeper), "it was never exported from here");
    let _ = keeper.run(["key", "confirm", &fingerprint(&keeper)]);
    assert!(!is_asked_for(&keeper));
    let mut change = borg.command();
    change.env("BORG_NEW_PASSPHRASE", "another").args(["key", "change-passphrase"]).arg(keeper.repository());
    let _ = borg.outcome(&mut change).exits(0);
    let keeper = keeper.with("BORG_PASSPHRASE", "another");
    assert!(is_asked_for(&keeper));
    let exported = fs::read_to_string(known(&keeper).join("key.export")).expect("it was exported");
    assert_eq!(keeper.run(["key", "export"]).stdout(), exported);
}

/// Both copies that are kept without being asked: of the key alone, and of the file that it lies in.
#[test]
fn what_is_kept_brings_a_lost_key_back_by_stock_alone() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (folder, keeper) = place("repokey-blake2");
    tree::sample(&keeper.world(), "lost");
    let archive = keeper.backup();
    let repository = keeper.repository();
    let (config, copies) = (repository.join("config"), known(&keeper));
    let extracts = |to: &str| {
        let target = folder.path().join(to);
        borg.extract(&repository, &archive, &target);
        assert_same(&keeper.world(), &below(&target, &keeper.world()));
        borg.check(&repository);
    };

    let whole = fs::read(&config).expect("it can be read");
    without_key(&config);
    let _ = borg.try_run([OsStr::new("list"), repository.as_os_str()]).exits(2);
    let copy = copies.join("key.export");
    let _ = borg.run(["key".as_ref(), "import".as_ref(), repository.as_os_str(), copy.as_os_str()]);
    extracts("imported");

    // A disk that was full has torn the whole file.
    fs::write(&config, b"").expect("it can be written");
    let _ = keeper.try_run(["backup"]).exits(2);
    assert_eq!(fs::read(copies.join("config")).expect("it is kept"), whole, "what is torn does not take its place");
    fs::copy(copies.join("config"), &config).expect("it can be put back");
    extracts("put back");
    assert!(is_asked_for(&keeper), "and goes on");
}

/// Takes the key out of a repository's `config`.
fn without_key(config: &Path) {
    let text = fs::read_to_string(config).expect("it can be read");
    // The key goes on in further lines, which are indented.
    let (before, rest) = text.split_once("key = ").expect("it holds a key");
    let after = rest.lines().skip(1).skip_while(|line| line.starts_with(['\t', ' '])).collect::<Vec<_>>().join("\n");
    fs::write(config, format!("{before}{after}\n")).expect("it can be written");
}
