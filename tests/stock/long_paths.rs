//! Paths that are longer than any system call takes, 4096 bytes: who goes from directory to directory needs none.
//!
//! Stock needs them here and there: its `create` leaves out some of what has one, with a warning, and its `extract` leaves
//! out all of it, or gives up. What lies there it brings back by `--strip-components`.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::below;

use crate::place;

/// How many directories are half of the way down.
const DEPTH: usize = 13;

/// More than half of what a system call takes, and less than all of it.
fn half(letter: &str) -> PathBuf {
    (0..DEPTH).map(|number| format!("{number:02}{}", letter.repeat(200))).collect()
}

/// Opens a directory; the path that leads to it is short, as long as it is open.
fn open(directory: &Path) -> (File, PathBuf) {
    let file = File::open(directory).expect("it is there");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    (file, path)
}

fn path_of(item: &Value) -> &str {
    item["path"].as_str().expect("a path is text")
}

#[test]
fn what_lies_deeper_than_a_path_can_say_is_archived_and_comes_back() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (folder, keeper) = place("none");
    let world = keeper.world();
    fs::create_dir_all(world.join(half("u"))).expect("folders can be made");
    let (_upper, upper) = open(&world.join(half("u")));
    let deep = upper.join(half("l"));
    fs::create_dir_all(&deep).expect("folders can be made");
    tree::nasty(&deep.join("nasty"));
    fs::hard_link(deep.join("nasty/links/hard1"), world.join("across")).expect("hard links can be made");
    let archive = keeper.backup();
    let repository = keeper.repository();
    borg.check(&repository);

    // Stock shows it, and makes the same of it, as far as it gets: what needs a path, it leaves out.
    let reached = borg.try_run(["create", &location(&repository, "stock"), world.to_str().expect("a plain name")]);
    let _ = reached.exits(1).says(&["File name too long"]);
    let [ours, theirs] = [&archive, "stock"].map(|archive| borg.items(&repository, archive));
    let is_deep = |item: &Value| path_of(item).len() >= 4096;
    let mut left = theirs.into_iter().peekable();
    for item in &ours {
        let Some(theirs) = left.next_if(|theirs| path_of(theirs) == path_of(item)) else {
            assert!(is_deep(item), "{item}");
            continue;
        };
        let mut item = item.clone();
        if is_deep(&item) {
            // That it has left out, too, without a word.
            item.as_object_mut().expect("an item has fields").remove("acl_default");
        }
        assert_eq!(item, theirs);
    }
    assert_eq!(left.next(), None);

    // Ours comes back as a whole.
    let target = folder.path().join("ours");
    let _ = keeper.restore(&archive, &target);
    let (_restored, restored) = open(&below(&target, &world).join(half("u")));
    tree::assert_same(&upper.join(half("l")), &restored.join(half("l")));
    let inode = |path: PathBuf| fs::metadata(path).expect("it is there").ino();
    assert_eq!(inode(below(&target, &world).join("across")), inode(restored.join(half("l")).join("nasty/links/hard1")));

    // Stock brings back what lies deep, if it need not say where.
    let target = folder.path().join("theirs");
    let mut command = borg.command();
    fs::create_dir(&target).expect("a folder can be made");
    let address = location(&repository, &archive);
    command.current_dir(&target).args(["extract", "--numeric-ids", &address]);
    // With warnings, or at once: that depends on which call is the first that takes no such path.
    let given_up = borg.outcome(&mut command).says(&["File name too long"]);
    assert!(given_up.code().is_some_and(|code| code > 0));
    let above = world.components().count() - 1 + DEPTH;
    let strip = format!("--strip-components={above}");
    for (whose, target) in ["theirs stripped", "ours stripped"].map(|name| (name, folder.path().join(name))) {
        if whose == "ours stripped" {
            let to = target.to_str().expect("a plain name");
            let _ = keeper.run(["restore", &archive, "--to", to, "--devices", "--setuid", "--numeric-ids", &strip]);
        } else {
            fs::create_dir(&target).expect("a folder can be made");
            let mut command = borg.command();
            command.current_dir(&target).args(["extract", "--numeric-ids", &strip, &address]);
            let _ = borg.outcome(&mut command).exits(0);
        }
        tree::assert_same(&deep, &target.join(half("l")));
    }

    // A tar has room for such a path, too.
    let tars = ["ours.tar", "theirs.tar"].map(|name| folder.path().join(name).display().to_string());
    let _ = keeper.run(["export-tar", &archive, &tars[0]]);
    let _ = borg.run(["export-tar", &address, &tars[1]]);
    let [left, right] = tars.each_ref().map(|tar| fs::read(tar).expect("a tar was written"));
    assert!(left == right, "the tars differ");
    let _ = keeper.run(["import-tar", "imported", &tars[1]]);
    let imported = borg.items(&repository, "imported");
    assert_eq!(imported.iter().map(path_of).collect::<Vec<_>>(), ours.iter().map(path_of).collect::<Vec<_>>());
}
