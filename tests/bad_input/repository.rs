//! Places that are no repository, or one we must not touch.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::strace;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};

use crate::{backup_is_refused, contents, is_refused, place, place_with_archive};

#[test]
fn a_file() {
    let (_folder, keeper) = place();
    fs::write(keeper.repository(), "not a repository").unwrap();
    let _ = backup_is_refused(&keeper, &[keeper.repository().to_str().unwrap(), "file"]);
}

/// Nobody is sent to begin anew, or to look for a copy of the repository, who has all that is missing.
#[test]
fn a_config_that_is_lost_is_put_back_from_the_state_directory() {
    for lose in [|config: &Path| fs::remove_file(config), |config: &Path| fs::write(config, "")] {
        let (_folder, keeper) = place_with_archive();
        let config = keeper.repository().join("config");
        lose(&config).unwrap();
        let words = ["config", "gone or damaged", "hint: if the rest is as it should be"];
        let said = is_refused(&keeper, &["list"], &words).stderr();
        let _ = backup_is_refused(&keeper, &words);
        let _ = is_refused(&keeper, &["doctor"], &["put the copy of it back"]);
        let (_, command) = said.split_once("back: ").unwrap();
        let _ = Outcome::of(Command::new("sh").args(["-c", command])).exits(0);
        let _ = keeper.backup();
    }
}

#[test]
fn a_path_that_leads_through_a_file_or_to_nothing() {
    let (folder, keeper) = place();
    let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
    fs::write(&file, "not a directory").unwrap();
    symlink("nowhere", &link).unwrap();
    for (repository, in_the_way) in [(file.join("inner"), &file), (link.clone(), &link)] {
        let keeper = keeper.clone().with("BORG_REPO_PATH", repository);
        let _ = backup_is_refused(&keeper, &[&format!("is in the place of {}", in_the_way.display())]);
    }
}

#[test]
fn a_directory_that_holds_something_else() {
    let (_folder, keeper) = place();
    fs::create_dir(keeper.repository()).unwrap();
    fs::write(keeper.repository().join("holiday.jpg"), "precious").unwrap();
    let _ = backup_is_refused(&keeper, &[keeper.repository().to_str().unwrap(), "empty"]);
}

#[test]
fn a_folder_inside_another_repository() {
    let (_folder, keeper) = place_with_archive();
    let inner = keeper.with("BORG_REPO_PATH", "");
    let outer = inner.repository();
    let inner = inner.with("BORG_REPO_PATH", outer.join("data/inner"));
    let _ = backup_is_refused(&inner, &["repository"]);
}

#[test]
fn a_repository_of_borg_2() {
    let (_folder, keeper) = place_with_archive();
    let config = keeper.repository().join("config");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("version = 1"), "{text}");
    fs::write(&config, text.replace("version = 1", "version = 2")).unwrap();
    for args in [&["backup"][..], &["list"], &["restore", "latest", "--to", "/nowhere"]] {
        let _ = is_refused(&keeper, args, &["version 2", "borg"]);
    }
}

#[test]
fn no_repository_to_read() {
    let (_folder, keeper) = place();
    let restore = ["restore", "latest", "--to", "/nowhere"];
    for args in [&["list"][..], &["prune"], &restore, &["delete", "x"], &["compact"]] {
        let _ = is_refused(&keeper, args, &[keeper.repository().to_str().unwrap()]);
        assert!(!keeper.repository().exists());
    }
}

/// Stock has no such word, and a backup may be made between the look at the list and the delete.
#[test]
fn latest_where_names_are_taken_as_they_are() {
    let (_folder, keeper) = place_with_archive();
    for verb in [&["delete"][..], &["delete", "--dry-run"], &["check"]] {
        let _ = is_refused(&keeper, &[verb, &["latest"]].concat(), &["no archive latest", "here it means none"]);
    }
}

#[test]
fn an_archive_that_is_not_there() {
    let (folder, keeper) = place_with_archive();
    let _ = is_refused(&keeper, &["list", "world-1999"], &["world-1999"]);
    let _ = is_refused(&keeper, &["delete", "world-1999"], &["world-1999"]);
    let target = folder.path().join("target");
    let _ = is_refused(&keeper, &["restore", "world-1999", "--to", target.to_str().unwrap()], &["world-1999"]);
    assert!(contents(&target).len() <= 1, "nothing was restored");
}

#[test]
fn restoring_into_a_folder_that_is_not_empty() {
    let (folder, keeper) = place_with_archive();
    let target = folder.path().join("target");
    let restored = below(&target, &keeper.world()).join("level.dat");
    fs::create_dir_all(restored.parent().unwrap()).unwrap();
    fs::write(&restored, "mine").unwrap();
    let to = ["restore", "latest", "--to", target.to_str().unwrap()];
    let _ = is_refused(&keeper, &to, &["--overwrite"]);
    assert_eq!(fs::read(&restored).unwrap(), b"mine");
    let _ = keeper.run(to.iter().chain(&["--overwrite"]));
    assert_eq!(fs::read(&restored).unwrap(), b"a small world");
}

/// Damages the middle of the largest segment.
fn flip_a_bit(repository: &Path) {
    let segments = fs::read_dir(repository.join("data/0")).unwrap().map(|entry| entry.unwrap().path());
    let largest = segments.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).unwrap();
}

/// A damaged object is named by its id, and so is the archive that needs it.
#[test]
fn a_damaged_segment() {
    let Some(borg) = Borg::newest() else { return };
    let (folder, keeper) = place_with_archive();
    flip_a_bit(&keeper.repository());
    let borg = borg.with_passphrase(PASSPHRASE);
    let damaged = borg.try_run(["check", "--verify-data", &keeper.repository().display().to_string()]);
    assert_ne!(damaged.code(), Some(0), "the damage is real: {damaged}");
    let target = folder.path().join("target");
    let restored = keeper.try_run(["restore", "latest", "--to", target.to_str().unwrap()]);
    assert_ne!(restored.code(), Some(0), "{restored}");
}

/// What a check has found is a problem until another one finds it mended, however many backups go well on top of it.
#[test]
fn damage_that_a_check_has_found_is_remembered() {
    let (_folder, keeper) = place_with_archive();
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    let problem = |words: &[&str]| {
        let status = keeper.try_run(["status"]);
        assert_eq!(status.stdout().contains("damaged"), !words.is_empty(), "{status}");
        let _ = status.exits(i32::from(!words.is_empty())).says(words);
    };
    let _ = keeper.run(["check"]);
    problem(&[]);
    flip_a_bit(&keeper.repository());
    let _ = keeper.try_run(["check", "--repository-only"]).exits(1);
    let words = ["problem", "damaged", "worldkeeper check --repair"];
    problem(&words);
    // It does not look where the damage is.
    let _ = keeper.try_run(["check", "--archives-only"]);
    problem(&words);
    let _ = keeper.try_run(["check", "--repair"]).says(&["mended all of it"]);
    let _ = keeper.try_run(["backup"]);
    let _ = keeper.try_run(["check", "--repair"]);
    let _ = keeper.run(["check"]);
    problem(&[]);
}

/// A restore that meets damage is the first to know of it.
#[test]
fn damage_that_a_restore_has_met_is_remembered() {
    let (folder, keeper) = place();
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    fs::write(keeper.world().join("region"), sha_stream("region", 1 << 20)).unwrap();
    let _ = keeper.run(["backup"]);
    flip_a_bit(&keeper.repository());
    let _ = keeper.run(["status"]);
    let target = folder.path().join("target");
    let _ = keeper.try_run(["restore", "latest", "--to", target.to_str().unwrap()]).exits(1);
    let words = ["problem", "damaged", "worldkeeper check --repair --verify-data"];
    let _ = keeper.try_run(["status"]).exits(1).says(&words);
    let _ = keeper.try_run(["check", "--repair", "--verify-data"]).exits(0);
    let _ = keeper.run(["backup"]);
    let _ = keeper.run(["status"]);
}

/// A backup that makes its index anew is the first to know what is lost.
#[test]
fn damage_that_a_backup_has_met_is_remembered() {
    let (_folder, keeper) = place();
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES").with("KEEP_LAST", "10");
    for len in [1 << 20, 1 << 10] {
        fs::write(keeper.world().join("region"), sha_stream(&len.to_string(), len)).unwrap();
        let _ = keeper.run(["backup"]);
    }
    flip_a_bit(&keeper.repository());
    // Gone is what was damaged, and the index with it; what was found is forgotten.
    let _ = keeper.try_run(["check", "--repair", "--repository-only"]);
    fs::remove_dir_all(keeper.state().join("history")).unwrap();
    let _ = keeper.try_run(["run", "--once"]).exits(1).says(&["lacks 1 chunk"]);
    let words = ["problem", "damaged", "worldkeeper check --repair"];
    let _ =
        keeper.try_run(["status"]).exits(1).says(&words).says(&["the last backup had warnings: the repository lacks"]);
    let _ = keeper.try_run(["check", "--repository-only"]).exits(0);
    let _ = keeper.try_run(["status"]).exits(1).says(&words);
    let _ = keeper.try_run(["check", "--repair"]).says(&["mended all of it"]);
    let _ = keeper.run(["backup"]);
    let _ = keeper.run(["status"]);
}

/// A place of the disk that will never be read again: nothing is taken for damage that may only not be read now, so a
/// repair goes to work on a copy, and that is said.
#[test]
fn a_segment_that_the_disk_cannot_read() {
    if !strace::is_there() {
        return;
    }
    let (folder, keeper) = place_with_archive();
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    let segment = keeper.repository().join("data/0/1").display().to_string();
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &segment, "-e", "inject=read,pread64:error=EIO"];
    let failing = |words: &[&str]| Outcome::of(&mut keeper.command_under(&strace, words));
    let before = contents(&keeper.repository());
    let _ = failing(&["check"]).exits(1).says(&["segment 1", "os error 5"]);
    let _ = failing(&["check", "--repair"]).exits(2).says(&["segment 1", "copy the repository to another one"]);
    assert_eq!(contents(&keeper.repository()), before);
    // What such a copy has in the place of what could not be read.
    let copy = folder.path().join("copy");
    worldkeeper_tests::copy(&keeper.repository(), &copy);
    let len = fs::metadata(&segment).unwrap().len();
    fs::write(copy.join("data/0/1"), vec![0; usize::try_from(len).unwrap()]).unwrap();
    let copy = copy.to_str().unwrap();
    let _ = keeper.try_run(["check", "--repair", "--repository", copy]).exits(0).says(&["mended all of it"]);
    let _ = keeper.run(["check", "--repository", copy]);
}

/// A disk takes what is written, and fails when it is to keep it.
#[test]
fn what_is_restored_is_on_the_disk_before_it_is_said() {
    if !strace::is_there() {
        return;
    }
    let (folder, keeper) = place_with_archive();
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=syncfs:error=EIO"];
    let failing = |words: &[&str]| Outcome::of(&mut keeper.command_under(&strace, words));
    let said = ["not certain to be on its disk", "restore again", "os error 5"];
    let _ = failing(&["restore", "latest", "--overwrite"]).exits(2).says(&said).does_not_say("restored 2 files");
    let elsewhere = folder.path().join("elsewhere").display().to_string();
    let _ = failing(&["restore", "latest", "--to", &elsewhere]).exits(2).says(&said);

    // A source need not lie on the file system that its names begin at.
    let log = folder.path().join("strace.log").display().to_string();
    let strace = ["strace", "-f", "-qq", "-y", "-o", &log, "-e", "trace=syncfs"];
    let _ = Outcome::of(&mut keeper.command_under(&strace, ["restore", "latest", "--overwrite"])).exits(0);
    let synced = fs::read_to_string(&log).unwrap();
    assert!(synced.contains(&format!("<{}>", keeper.world().display())), "{synced}");
}

#[test]
fn a_status_goes_by_what_is_there_and_by_the_clock() {
    let (folder, keeper) = place();
    let _ = keeper.backup();
    let is_well = || keeper.try_run(["status"]).code() == Some(0);
    assert!(is_well());
    // What holds no archive any more is no repository.
    let (data, aside) = (keeper.repository().join("data"), folder.path().join("aside"));
    fs::rename(&data, &aside).unwrap();
    let _ = keeper.try_run(["status"]).exits(1).says(&["there is no repository at"]);
    fs::rename(&aside, &data).unwrap();
    assert!(is_well());
    // As a clock that was set back leaves it.
    for entry in fs::read_dir(keeper.state().join("history")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(":\"20", ":\"21").replace(": \"20", ": \"21")).unwrap();
    }
    let _ = keeper.try_run(["status"]).exits(1).says(&["the last good archive is from the future", "see to the clock"]);
}
