//! Stock borg as the oracle of repairs: what we have repaired it finds in order, what it has repaired we do, and of
//! each damage we save at least what it saves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use worldkeeper_core::repository::CheckOptions;
use worldkeeper_core::{ChunkId, Repository};
use worldkeeper_repository::{Mode, OsDisk};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::repositories::Copy;

use crate::check::{LOOK, REPAIR, check};
use crate::common::{contents, open};
use crate::oracle::survivors;

/// A name, the files it befalls, and what happens to them.
type Damage = (&'static str, &'static [&'static str], fn(&mut Vec<u8>) -> Fate);

enum Fate {
    Kept,
    Removed,
}

/// Segment 2 has ten objects, the second of which begins at 19822; 25 is the last commit.
const DAMAGES: [Damage; 15] = [
    ("torn tail", &["data/0/2"], |bytes| {
        bytes.truncate(bytes.len() - 30);
        Fate::Kept
    }),
    ("body flipped", &["data/0/2"], |bytes| {
        bytes[19_822 + 45] ^= 1;
        Fate::Kept
    }),
    ("size flipped", &["data/0/2"], |bytes| {
        bytes[19_822 + 5] ^= 1;
        Fate::Kept
    }),
    ("tag flipped", &["data/0/2"], |bytes| {
        bytes[19_822 + 8] ^= 0x40;
        Fate::Kept
    }),
    ("magic flipped", &["data/0/2"], |bytes| {
        bytes[3] ^= 1;
        Fate::Kept
    }),
    ("block zeroed", &["data/0/2"], |bytes| {
        bytes[19_700..20_300].fill(0);
        Fate::Kept
    }),
    ("entries doubled", &["data/0/2"], |bytes| {
        let entries = bytes[8..].to_vec();
        bytes.extend(entries);
        Fate::Kept
    }),
    ("five bytes left", &["data/0/2"], |bytes| {
        bytes.truncate(5);
        Fate::Kept
    }),
    ("segment empty", &["data/0/2"], |bytes| {
        bytes.clear();
        Fate::Kept
    }),
    ("segment missing", &["data/0/2"], |_| Fate::Removed),
    ("last commit flipped", &["data/0/25"], |bytes| {
        bytes[12] ^= 1;
        Fate::Kept
    }),
    ("index flipped", &["index.25"], |bytes| {
        bytes[500] ^= 1;
        Fate::Kept
    }),
    ("hints torn", &["hints.25"], |bytes| {
        bytes.truncate(bytes.len() / 2);
        Fate::Kept
    }),
    ("integrity missing", &["integrity.25"], |_| Fate::Removed),
    ("state files missing, and a flip", &["index.25", "hints.25", "integrity.25", "data/0/2"], |bytes| {
        if bytes.starts_with(b"BORG_SEG") {
            bytes[19_822 + 45] ^= 1;
            return Fate::Kept;
        }
        Fate::Removed
    }),
];

fn damaged((_, files, change): &Damage) -> Copy {
    let copy = Copy::of("none-borg1.4.5");
    for file in *files {
        let file = copy.path().join(file);
        let mut bytes = fs::read(&file).unwrap();
        match change(&mut bytes) {
            Fate::Kept => fs::write(file, bytes).unwrap(),
            Fate::Removed => fs::remove_file(file).unwrap(),
        }
    }
    copy
}

fn content(path: &Path) -> BTreeMap<ChunkId, bytes::Bytes> {
    contents(&open(&OsDisk, path, Mode::Shared).unwrap()).unwrap().into_iter().collect()
}

fn borg_check(borg: &Borg, path: &Path, options: &[&str]) -> Outcome {
    let mut command = borg.command();
    command.env("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    Outcome::of(command.arg("check").arg("--repository-only").args(options).arg(path))
}

#[test]
fn gate_stock_and_we_repair_alike() {
    let borgs = Borg::all();
    // Of every other damage one version is asked; at night of each damage each version.
    for (number, damage) in DAMAGES.iter().enumerate().step_by(gate::amount(2, 1)) {
        let version = number / 2 % 2;
        let chosen = borgs.iter().enumerate().filter(|(at, _)| gate::is_nightly() || *at == version);
        for (_, borg) in chosen {
            let context = format!("{}, {borg}", damage.0);
            let (ours, theirs) = (damaged(damage), damaged(damage));
            let expected = survivors(&OsDisk, &ours.path());
            let repository = open(&OsDisk, &ours.path(), Mode::Exclusive).unwrap();
            let (outcome, findings) = check(&repository, REPAIR).unwrap();
            assert!(outcome.is_sound(), "{context}: {findings:?}");
            drop(repository);
            let kept = content(&ours.path());
            assert_eq!(kept, expected, "{context}");
            let said = borg_check(borg, &ours.path(), &[]);
            assert_eq!(said.code(), Some(0), "{context}: {said}");

            let said = borg_check(borg, &theirs.path(), &["--repair"]);
            assert!(matches!(said.code(), Some(0 | 1)), "{context}: {said}");
            let repository = open(&OsDisk, &theirs.path(), Mode::Shared).unwrap();
            let (outcome, findings) = check(&repository, LOOK).unwrap();
            assert!(outcome.is_sound(), "{context}: {findings:?}");
            // Stock drops the transaction whose commit is lost, which was one that deleted.
            if damage.0 != "last commit flipped" {
                let saved_by_stock_alone: Vec<_> = repository.ids().unwrap();
                let saved_by_stock_alone = saved_by_stock_alone.iter().filter(|id| !kept.contains_key(*id)).count();
                assert_eq!(saved_by_stock_alone, 0, "{context}");
            }
        }
    }
}

#[test]
fn stock_goes_on_with_a_limited_check_where_we_ended_and_we_where_it_did() {
    for borg in Borg::all() {
        let copy = Copy::of("none-borg1.4.5");
        let path = copy.path();
        // Damage in what was checked already is not seen again.
        fs::write(path.join("data/0/2"), "damaged").unwrap();
        let config = fs::read_to_string(path.join("config")).unwrap();
        let checked = format!("{}\nlast_segment_checked = 2\n\n", config.trim_end());
        fs::write(path.join("config"), &checked).unwrap();
        let limited = CheckOptions { max_duration: Some(Duration::MAX), ..LOOK };
        let (outcome, findings) = check(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), limited).unwrap();
        assert!(outcome.is_sound() && !outcome.unfinished, "{findings:?}");
        assert!(!fs::read_to_string(path.join("config")).unwrap().contains("last_segment_checked"));
        let (outcome, _) = check(&open(&OsDisk, &path, Mode::Exclusive).unwrap(), limited).unwrap();
        assert_eq!(outcome.problems, 1);

        fs::write(path.join("config"), &checked).unwrap();
        let said = borg_check(&borg, &path, &["--max-duration", "1000"]);
        assert_eq!(said.code(), Some(0), "{said}");
        let said = borg_check(&borg, &path, &["--max-duration", "1000"]);
        assert_eq!(said.code(), Some(1), "{said}");
    }
}
