//! What patterns leave out is what stock leaves out.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree;

use crate::place;

/// Options in the order in which they are given; `{}` stands for the folder that the tree and the files are in.
const CASES: &[&[&str]] = &[
    &["--exclude", "*.tmp"],
    &["--exclude", "{}/world/logs/", "--exclude", "sh:**/cache"],
    &["--pattern", "+ sh:**/keep.tmp", "--exclude", "*.tmp", "--pattern", "- {}/world/logs"],
    &["--exclude", "*.tmp", "--pattern", "+ sh:**/keep.tmp"],
    // Left out, and yet what is beneath may be taken; and not.
    &["--pattern", "+ {}/world/cache/deep", "--pattern", "- {}/world/cache"],
    &["--pattern", "+ {}/world/cache/deep", "--pattern", "! {}/world/cache"],
    &["--pattern", "+ re:/deep(/|$)", "--pattern", "- re:."],
    &["--pattern", "+ pf:{}/world/logs/1.tmp", "--pattern", "! pp:{}/world/logs"],
    &["--pattern", "- pf:{}/world/logs/1.tmp", "--pattern", "+ pf:{}/world/logs/1.tmp", "--exclude", "*.tmp"],
    &["--exclude", "sh:**/?", "--exclude", "re:(?!.*keep).*\\.tmp$"],
    &["--exclude", "sh:{}/world/[!a-y]*", "--exclude", "re:\\n$"],
    &["--exclude-from", "{}/excludes", "--patterns-from", "{}/patterns"],
    &["--patterns-from", "{}/patterns", "--exclude-from", "{}/excludes"],
];

#[test]
fn the_items_are_those_of_stock() {
    let Some(borg) = Borg::newest() else { return };
    let (folder, keeper) = place("none");
    let folder = folder.path();
    fill(folder);
    let (repository, world) = (folder.join("stock"), keeper.world());
    borg.init(&repository, "none");
    for (number, options) in CASES.iter().enumerate() {
        let options = options.iter().map(|option| option.replace("{}", folder.to_str().expect("a plain name")));
        let options = options.collect::<Vec<_>>();

        // Stock takes no word that begins with a hyphen for a value.
        let joined = options.chunks(2).map(|option| option.join("="));
        let name = location(&repository, &number.to_string());
        let words = ["create".to_owned()].into_iter().chain(joined).chain([name.clone()]);
        let _ = borg.run(words.map(Into::into).chain([world.clone().into_os_string()]));
        let expected = items(borg.run(["list", "--format", "{path}{NUL}", &name]).stdout());

        let _ = keeper.run(["backup"].into_iter().chain(options.iter().map(String::as_str)));
        let ours = keeper.archives().pop().expect("there is an archive");
        let name = location(&keeper.repository(), &ours);
        let found = items(borg.run(["list", "--format", "{path}{NUL}", &name]).stdout());
        assert_eq!(found, expected, "{options:?}");
        assert!(!found.is_empty(), "{options:?}");
    }
}

/// Options, then what is named, of an archive of the folder itself.
const READ_CASES: &[(&[&str], &[&str])] = &[
    (&[], &["world/logs", "world/Z/"]),
    (&[], &["./world/../world/cache/deep", "world/nothing"]),
    (&["--exclude", "*.tmp"], &["world/logs", "world/cache"]),
    (&["--exclude", "sh:**/deep"], &[]),
    (&["--pattern", "+ world/logs/keep", "--pattern", "- re:^world/[^c]"], &[]),
    (&["--pattern", "- world/cache/deep"], &["world/cache"]),
    (&[], &["sh:**/keep*", "re:\\.tmp$"]),
    (&["--exclude", "*.tmp"], &["pf:world/a.tmp", "fm:*/deep/*", "sh:nothing/*"]),
    (&["--patterns-from", "{}/patterns"], &["world"]),
];

/// Of an archive, the same is listed, item by item, and restored as by stock.
#[test]
fn what_is_listed_and_restored_is_what_stock_takes() {
    let Some(borg) = Borg::newest() else { return };
    let (folder, keeper) = place("none");
    let folder = folder.path();
    fill(folder);
    borg.init(&keeper.repository(), "none");
    let name = location(&keeper.repository(), "a");
    let mut create = borg.command();
    let _ = Outcome::of(create.current_dir(folder).args(["create", &name, "world"])).exits(0);
    for (number, (options, named)) in READ_CASES.iter().enumerate() {
        let options = options.iter().map(|option| option.replace("{}", folder.to_str().expect("a plain name")));
        let options = options.collect::<Vec<_>>();
        let joined = options.chunks(2).map(|option| option.join("=")).collect::<Vec<_>>();
        let words = |first: &[&str]| {
            let words = first.iter().copied().chain(joined.iter().map(String::as_str));
            words.chain([name.as_str()]).chain(named.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = borg.try_run(words(&["list", "--json-lines"]));
        let ours = |first: &[&str]| {
            let words = first.iter().copied().chain(options.iter().map(String::as_str));
            words.chain(["a"]).chain(named.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
        };
        let found = keeper.try_run(ours(&["list", "--json-lines"]));
        // The order of the last two keys is not always the same in stock.
        let values = |lines: &Outcome| lines.lines().iter().map(|line| json(line)).collect::<Vec<_>>();
        assert_eq!(values(&found), values(&expected), "{options:?} {named:?}");
        assert_eq!(found.code(), expected.code(), "{options:?} {named:?}: {found}");
        assert!(!found.stdout().is_empty(), "{options:?} {named:?}");

        let (theirs, target) = (folder.join(format!("theirs{number}")), folder.join(format!("ours{number}")));
        fs::create_dir(&theirs).expect("a folder can be made");
        let expected = Outcome::of(borg.command().current_dir(&theirs).args(words(&["extract"])));
        let restored = keeper.try_run(ours(&["restore", "--to", target.to_str().expect("a plain name")]));
        assert_eq!(restored.code(), expected.code(), "{options:?} {named:?}: {restored}");
        assert_eq!(content(&target), content(&theirs), "{options:?} {named:?}");
    }
    let _ = keeper.try_run(["restore", "a", "pf:world/nothing", "--to", "x"]).exits(2).says(&["holds nothing of"]);
}

/// Where files came from several sources, patterns choose from all of them.
#[test]
fn patterns_choose_what_goes_back_in_place() {
    let (folder, keeper) = place("none");
    fill(folder.path());
    let _ = keeper.backup();
    let world = keeper.world();
    for name in ["a.tmp", "x", "cache/deep/1"] {
        fs::write(world.join(name), "new").expect("a file can be written");
    }
    let _ = keeper.run(["restore", "latest", "sh:**/deep", "--exclude", "*.tmp", "--overwrite"]);
    let read = |name: &str| fs::read_to_string(world.join(name)).expect("a file can be read");
    assert_eq!((read("a.tmp"), read("x"), read("cache/deep/1")), ("new".into(), "new".into(), "cache/deep/1".into()));
}

/// A source that a file names, and a pattern that cannot be.
#[test]
fn files_name_sources_and_mistakes_are_named() {
    let (folder, keeper) = place("none");
    fill(folder.path());
    let file = folder.path().join("sources");
    let roots = ["world/cache", "world/logs"].map(|name| format!("R {}\n", folder.path().join(name).display()));
    fs::write(&file, roots.concat()).expect("a file can be written");
    let _ = keeper.run([OsStr::new("backup"), "--patterns-from".as_ref(), file.as_ref()]);
    let listed = keeper.run(["list", "latest"]);
    assert!(listed.stdout().contains("world/cache") && listed.stdout().contains("world/logs/1.tmp"), "{listed}");
    assert!(!listed.stdout().contains("world/keep.tmp"), "{listed}");

    let refused = keeper.try_run(["backup", "--pattern", "- re:(world"]).exits(2);
    assert!(refused.stderr().contains("re:(world"), "{refused}");
}

/// A world with names that patterns tell apart, and files of patterns beside it.
fn fill(folder: &Path) {
    let world = folder.join("world");
    tree::sample(&world, "patterns");
    for name in ["cache/deep/er", "logs/keep", "Z"] {
        fs::create_dir_all(world.join(name)).expect("a folder can be made");
    }
    let plain = ["keep.tmp", "a.tmp", "x", "zz", "é", "cache/1", "cache/deep/1", "cache/deep/er/1.tmp", "logs/1.tmp"];
    let odd = [&b"\xff"[..], b"\xff.tmp", b"line\n", b"a.tmp\n", b"[z]", b"logs/keep/keep.tmp", b"Z/.tmp"];
    for name in plain.iter().map(|name| name.as_bytes()).chain(odd) {
        fs::write(world.join(OsStr::from_bytes(name)), name).expect("a file can be written");
    }
    fs::write(folder.join("excludes"), "# of old\n*.tmp\n\n  re:/cache/deep/er$ \n").expect("a file can be written");
    fs::write(folder.join("patterns"), "P fm\n+ */keep.tmp\nP sh\n- **/l*\n! **/Z\n").expect("a file can be written");
}

/// What is below a folder: files with what is in them. Directories that were made on the way have no attributes to compare.
fn content(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.strip_prefix(folder).expect("it is below the folder").to_owned();
            if path.is_dir() {
                found.push((name, None));
                open.push(path);
            } else {
                found.push((name, Some(fs::read(&path).expect("a file can be read"))));
            }
        }
    }
    found.sort_unstable();
    found
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}: {line}"))
}

fn items(listing: &str) -> Vec<String> {
    let mut items = listing.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
    items.sort_unstable();
    items
}
