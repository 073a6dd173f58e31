//! Killed at any call that changes something, each verb leaves the old or the new, and the next run needs nobody.
//!
//! A verb is one function: what was there before, and the command. Where and how it is killed, and what must hold then,
//! is the business of [`point`]; of what does not write the repository, [`restore`].

mod point;
mod restore;

use std::fs;

use worldkeeper_testkit::segments;
use worldkeeper_testkit::strace::Delay;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::copy;

use crate::place::{PASSPHRASES, Place};
use point::killed_anywhere;

/// A command that will be killed.
pub(crate) struct Verb {
    args: Vec<String>,
    keeper: Worldkeeper,
    after: After,
    /// What was there when the repository was further on: no counter of it may be used again.
    discarded: Option<std::path::PathBuf>,
    /// Archives that we know, and that it makes.
    makes: Vec<String>,
    /// What takes its time.
    delay: Option<Delay>,
}

/// What comes after it was killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// The next backup.
    Backup,
    /// The same once more, whenever the number of the point is odd; then a backup.
    PerhapsAgain,
    /// The same once more, because it is somebody's word that only they can give; then a backup.
    Again,
    /// A look under which passphrase the key is; then a backup.
    AnyPassphrase,
}

impl Verb {
    fn new(place: &Place, words: &[&str]) -> Self {
        let args = words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            args,
            keeper: place.keeper.clone(),
            after: After::Backup,
            discarded: None,
            makes: Vec::new(),
            delay: None,
        }
    }

    fn then(self, after: After) -> Self {
        Self { after, ..self }
    }
}

#[test]
fn gate_kill_init_and_first_archive() {
    killed_anywhere("repokey-blake2", 14, |place| Verb::new(place, &["backup"]));
}

#[test]
fn gate_kill_init_with_a_key_file() {
    killed_anywhere("keyfile", 6, |place| Verb::new(place, &["backup"]));
}

#[test]
fn gate_kill_create() {
    killed_anywhere("repokey-blake2", 20, |place| {
        let _ = two_archives(place);
        place.change_world("third");
        Verb::new(place, &["backup"])
    });
}

#[test]
fn gate_kill_create_of_an_unchanged_world() {
    killed_anywhere("repokey", 8, |place| {
        let _ = two_archives(place);
        Verb::new(place, &["backup"])
    });
}

/// The world is read slowly, so that a checkpoint is due in the middle of it.
#[test]
fn gate_kill_create_with_a_checkpoint() {
    killed_anywhere("repokey-blake2", 12, |place| {
        let _ = two_archives(place);
        place.change_world("third");
        let verb = Verb::new(place, &["backup"]);
        let keeper = verb.keeper.with("CHECKPOINT_INTERVAL", "1");
        Verb { keeper, delay: Some(Delay { name: "llistxattr", ordinal: 12 }), ..verb }
    });
}

#[test]
fn gate_kill_rename() {
    killed_anywhere("repokey-blake2", 8, |place| {
        let [first, _] = two_archives(place);
        place.trees.insert("renamed".to_owned(), place.trees[&first].clone());
        let verb = Verb::new(place, &["rename", &first, "renamed"]);
        Verb { makes: vec!["renamed".to_owned()], ..verb }
    });
}

#[test]
fn gate_kill_recreate() {
    killed_anywhere("repokey-blake2", 10, |place| {
        let [first, _] = two_archives(place);
        let how = ["--recompress=always", "--compression", "zlib,1", "--chunker-params", "10,15,12,4095"];
        Verb::new(place, &[&["recreate"], &how[..], &[&first]].concat())
    });
}

#[test]
fn gate_kill_undelete() {
    killed_anywhere("repokey-blake2", 8, |place| {
        let [first, _] = two_archives(place);
        let _ = place.keeper.run(["delete", &first]);
        let verb = Verb::new(place, &["undelete", &first]);
        Verb { makes: vec![first], ..verb }
    });
}

/// The manifest is damaged: it is made anew of the archives that are found, and all of them restore.
#[test]
fn gate_kill_check_repair() {
    killed_anywhere("repokey-blake2", 16, |place| {
        let _ = two_archives(place);
        damage_manifest(place);
        let verb = Verb::new(place, &["check", "--repair"]).then(After::Again);
        Verb { keeper: verb.keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES"), ..verb }
    });
}

/// Flips a bit in the middle of the manifest's object.
fn damage_manifest(place: &Place) {
    let repository = place.keeper.repository();
    let (segment, offset) = segments::indexed(&repository).expect("there is an index")[&[0; 32]];
    let mut path = repository.join("data");
    path.push((segment / 1000).to_string());
    path.push(segment.to_string());
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset as usize + 100] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn gate_kill_delete() {
    killed_anywhere("repokey-blake2", 10, |place| {
        let [first, _] = two_archives(place);
        Verb::new(place, &["delete", &first])
    });
}

#[test]
fn gate_kill_prune() {
    killed_anywhere("repokey-blake2", 16, |place| {
        let _ = two_archives(place);
        let _ = place.archive("third");
        let verb = Verb::new(place, &["prune", "--keep-last", "1"]).then(After::PerhapsAgain);
        // Backups in these tests keep every archive; this is to delete some.
        Verb { keeper: verb.keeper.without("KEEP_WITHIN"), ..verb }
    });
}

#[test]
fn gate_kill_compact() {
    killed_anywhere("repokey-blake2", 12, |place| {
        let [first, _] = two_archives(place);
        let _ = place.keeper.run(["delete", &first]);
        place.trees.remove(&first);
        Verb::new(place, &["compact"]).then(After::PerhapsAgain)
    });
}

#[test]
fn gate_kill_break_lock() {
    killed_anywhere("none", 3, |place| {
        let _ = place.archive("first");
        let lock = place.keeper.repository().join("lock.exclusive");
        fs::create_dir(&lock).unwrap();
        fs::write(lock.join("otherhost@123456789.42-0"), "").unwrap();
        fs::write(place.keeper.repository().join("lock.roster"), r#"{"shared": [["h@1", 1, 0]]}"#).unwrap();
        Verb::new(place, &["break-lock"]).then(After::Again)
    });
}

/// The config holds the key, too: it is the old one or the new one, or no archive is ever read again.
#[test]
fn gate_kill_config() {
    killed_anywhere("repokey-blake2", 4, |place| {
        let _ = place.archive("first");
        Verb::new(place, &["config", "storage_quota", "1G"]).then(After::PerhapsAgain)
    });
}

#[test]
fn gate_kill_adopt() {
    killed_anywhere("repokey-blake2", 6, |place| {
        let _ = place.archive("first");
        let (repository, older) = (place.keeper.repository(), place.folder().join("older"));
        copy(&repository, &older);
        let second = place.archive("second");
        place.trees.remove(&second);
        let newer = place.folder().join("newer");
        fs::rename(&repository, &newer).unwrap();
        fs::rename(older, &repository).unwrap();
        let verb = Verb::new(place, &["adopt", repository.to_str().unwrap()]).then(After::Again);
        Verb { discarded: Some(newer), ..verb }
    });
}

#[test]
fn gate_kill_key_change_passphrase() {
    killed_anywhere("repokey-blake2", 6, change_passphrase);
}

#[test]
fn gate_kill_key_change_passphrase_of_a_key_file() {
    killed_anywhere("keyfile-blake2", 4, change_passphrase);
}

#[test]
fn gate_kill_key_import() {
    for mode in ["repokey", "keyfile"] {
        killed_anywhere(mode, 4, |place| {
            let _ = place.archive("first");
            let copy = place.folder().join("copy").display().to_string();
            let _ = place.keeper.run(["key", "export", &copy]);
            let changed = place.keeper.clone().with("BORG_NEW_PASSPHRASE", PASSPHRASES[1]);
            let _ = changed.run(["key", "change-passphrase"]);
            Verb::new(place, &["key", "import", &copy]).then(After::AnyPassphrase)
        });
    }
}

/// A reader that finds no index writes one.
#[test]
fn gate_kill_rebuild_of_the_index() {
    killed_anywhere("repokey-blake2", 6, |place| {
        let _ = two_archives(place);
        for entry in fs::read_dir(place.keeper.repository()).unwrap().map(Result::unwrap) {
            if ["index.", "hints.", "integrity."]
                .iter()
                .any(|state| entry.file_name().to_string_lossy().starts_with(state))
            {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        Verb::new(place, &["list"])
    });
}

fn two_archives(place: &mut Place) -> [String; 2] {
    ["first", "second"].map(|seed| place.archive(seed))
}

fn change_passphrase(place: &mut Place) -> Verb {
    let _ = place.archive("first");
    let verb = Verb::new(place, &["key", "change-passphrase"]).then(After::AnyPassphrase);
    Verb { keeper: verb.keeper.with("BORG_NEW_PASSPHRASE", PASSPHRASES[1]), ..verb }
}
