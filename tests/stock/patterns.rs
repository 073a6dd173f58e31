//! What patterns leave out is what stock leaves out.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use worldkeeper_testkit::borg::{Borg, location};
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

fn items(listing: &str) -> Vec<String> {
    let mut items = listing.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
    items.sort_unstable();
    items
}
