//! What `README.md` and `docs/` name is there: files, gates, names of the code, and what they link to.

use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_tests::project;

#[test]
fn what_the_documents_name_is_there() {
    let project = project();
    let code = ["crates", "tests"].map(|folder| files(&project.join(folder), "rs")).concat();
    // With the paths, for they are names of modules, too.
    let code = code.iter().flat_map(|path| [path.display().to_string(), read(path)]).collect::<Vec<_>>().join("\n");
    let mut missing = Vec::new();
    for document in [files(&project.join("docs"), "md"), vec![project.join("README.md")]].concat() {
        let (text, folder) = (read(&document), document.parent().expect("it lies in the project"));
        // Every other piece stands between backticks, and so does what stands between fences.
        let words = text.split('`').skip(1).step_by(2).flat_map(str::split_whitespace);
        let named = words.filter(|word| !is_there(word.trim_end_matches([')', '…']), &project, &code));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let links = links.filter(|link| !link.contains("://") && !folder.join(link).exists());
        let name = document.strip_prefix(&project).expect("it lies in the project").display();
        missing.extend(named.chain(links).map(|what| format!("{name} names {what}, which is not there")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Returns whether the word names something that is there, or nothing of ours.
fn is_there(word: &str, project: &Path, code: &str) -> bool {
    let is_name = |part: &str| part.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let names: Vec<_> = word.split("::").collect();
    match word.split_once('/') {
        Some(("crates" | "tests" | "docs", _)) => project.join(word).exists(),
        // Paths may begin with the name of a crate.
        Some((folder, _)) if !folder.is_empty() && is_name(folder) && project.join("crates").join(folder).is_dir() => {
            project.join("crates").join(word).exists()
        }
        // The beginning of a name stands for all that begin so.
        None if word.starts_with("gate_") => code.contains(&format!("fn {word}")),
        None if names.len() > 1 && names.iter().all(|name| is_name(name)) => {
            names.iter().all(|name| code.contains(name))
        }
        _ => true,
    }
}

/// The files in a folder and below it whose names end so.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).expect("it is a folder").map(|entry| entry.expect("readable").path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    files.chain(folders.iter().flat_map(|folder| self::files(folder, extension))).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("it is text")
}
