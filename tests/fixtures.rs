//! A recording nobody replays proves nothing: every file under `protocol-fixtures/` is named by a test.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use worldkeeper_tests::project;

#[test]
fn every_fixture_is_used() {
    let mut sources = String::new();
    for path in files(&project().join("crates")).into_iter().chain(files(&project().join("tests"))) {
        if path.extension() == Some(OsStr::new("rs")) {
            sources += &std::fs::read_to_string(path).expect("sources are text");
        }
    }
    let fixtures = files(&project().join("protocol-fixtures"));
    let mut stems = BTreeMap::new();
    for fixture in &fixtures {
        *stems.entry(fixture.file_stem()).or_insert(0) += 1;
    }
    for fixture in &fixtures {
        let (name, stem) = (text(fixture.file_name()), text(fixture.file_stem()));
        // A recording of several files goes by the stem they share.
        let shared = stems[&fixture.file_stem()] > 1;
        let named = sources.contains(&name) || shared && sources.contains(&format!("\"{stem}\""));
        assert!(named || name == "README.md", "no test names {}", fixture.display());
    }
}

fn text(name: Option<&OsStr>) -> String {
    name.expect("a file has a name").to_string_lossy().into_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}
