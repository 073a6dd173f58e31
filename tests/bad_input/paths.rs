//! Paths and hosts on the command line that lead nowhere: each says what else could be named.

use std::os::unix::fs::symlink;

use worldkeeper_testkit::outcome::Outcome;

use crate::{is_refused, place_with_archive};

/// A command in a directory that somebody has removed meanwhile.
#[test]
fn a_path_below_a_directory_that_is_gone() {
    const GONE: [&str; 4] = ["sh", "-c", "cd \"$(mktemp -d)\" && rmdir \"$PWD\" && exec \"$@\"", "sh"];
    let (_folder, keeper) = place_with_archive();
    let outcome = Outcome::of(&mut keeper.command_under(&GONE, ["restore", "latest", "--to", "out"]));
    let _ = outcome.exits(2).says(&["cannot restore into out", "the current directory is gone", "hint: name another"]);
}

#[test]
fn a_file_that_cannot_be_read_or_written() {
    let (folder, keeper) = place_with_archive();
    let folder = folder.path().to_str().unwrap();
    let missing = format!("{folder}/missing/file");
    for verb in [&["import-tar", "new"][..], &["export-tar", "latest"], &["key", "import"], &["key", "export"]] {
        for path in [folder, &missing] {
            let _ = is_refused(&keeper, &[verb, &[path]].concat(), &[path, "hint: name a file"]);
        }
    }
    let written = format!("the copy of the key cannot be written to {missing}");
    let _ = is_refused(&keeper, &["key", "export", &missing], &[&written]);
}

#[test]
fn a_host_that_cannot_be_asked_for_its_key() {
    let (_folder, keeper) = place_with_archive();
    for host in ["nowhere.invalid", "127.0.0.1:1"] {
        let name = host.trim_end_matches(":1");
        let _ = is_refused(&keeper, &["trust-host", host], &[name, "hint: see that the other machine is up"]);
    }
}

#[test]
fn a_target_that_cannot_be_made() {
    let (folder, keeper) = place_with_archive();
    let link = folder.path().join("link");
    symlink("nowhere", &link).unwrap();
    for (target, hint) in [(link.to_str().unwrap(), "a link that leads nowhere"), ("/proc/x", "--to DIR")] {
        let _ = is_refused(&keeper, &["restore", "latest", "--to", target], &["cannot open the target", "hint:", hint]);
    }
}
