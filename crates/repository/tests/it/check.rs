//! Checking without repair: what is sound is found sound, what is not is named with its place, and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_core::repository::{CheckEvent, CheckOptions, Finding, RepositoryCheck, Severity};
use worldkeeper_core::{Repository, RepositoryError};
use worldkeeper_repository::{LocalRepository, Mode, OsDisk};
use worldkeeper_testkit::repositories::{Copy, NAMES};

use crate::common::open;

pub(crate) const LOOK: CheckOptions = CheckOptions { repair: false, max_duration: None };
pub(crate) const REPAIR: CheckOptions = CheckOptions { repair: true, max_duration: None };

/// Checks, and gathers what is found.
pub(crate) fn check(
    repository: &LocalRepository,
    options: CheckOptions,
) -> Result<(RepositoryCheck, Vec<Finding>), RepositoryError> {
    let mut findings = Vec::new();
    let outcome = repository.check(&options, &mut |event| {
        if let CheckEvent::Found(finding) = event {
            findings.push(finding.clone());
        }
    })?;
    let problems = findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
    assert_eq!(problems as u64, outcome.problems, "{findings:?}");
    Ok((outcome, findings))
}

/// Checks without repair as somebody who takes no lock.
fn look(path: &Path) -> (RepositoryCheck, Vec<Finding>) {
    check(&open(&OsDisk, path, Mode::WithoutLock).unwrap(), LOOK).unwrap()
}

/// Every file below a directory, with its content.
fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(snapshot(&entry));
        } else {
            files.insert(entry.clone(), fs::read(&entry).unwrap());
        }
    }
    files
}

#[test]
fn what_is_sound_is_found_sound_and_left_alone() {
    for name in NAMES {
        let copy = Copy::of(name);
        let before = snapshot(&copy.path());
        for (mode, options) in [(Mode::WithoutLock, LOOK), (Mode::Shared, LOOK), (Mode::Exclusive, REPAIR)] {
            let repository = open(&OsDisk, &copy.path(), mode).unwrap();
            let (outcome, findings) = check(&repository, options).unwrap();
            assert_eq!(findings, [], "{name}");
            assert!(outcome.is_sound() && outcome.segments > 10 && outcome.objects > 10, "{name}: {outcome:?}");
            drop(repository);
            assert_eq!(snapshot(&copy.path()), before, "{name}");
        }
    }
}

#[test]
fn a_flipped_bit_is_found_where_it_is() {
    let copy = Copy::of("none-borg1.4.5");
    let segment = copy.path().join("data/0/2");
    let mut bytes = fs::read(&segment).unwrap();
    // In the middle of the second object, whose entry begins at 19822.
    bytes[19_822 + 45] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let before = snapshot(&copy.path());
    let (outcome, findings) = look(&copy.path());
    assert_eq!((outcome.problems, outcome.remaining, findings.len()), (2, 2, 2), "{findings:?}");
    assert!(findings.iter().all(|finding| (finding.segment, finding.offset) == (Some(2), Some(19_822))));
    let lost = findings[1].id.unwrap();
    let error = open(&OsDisk, &copy.path(), Mode::WithoutLock).unwrap().get(&lost).unwrap_err();
    assert!(matches!(error, RepositoryError::Damaged { segment: 2, offset: 19_822, .. }), "{error}");
    assert_eq!(snapshot(&copy.path()), before);
}
