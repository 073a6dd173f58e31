//! Items that come back as they went in, and items that must not come back at all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{IFlags, XattrFlags, ioctl_getflags, ioctl_setflags, lsetxattr};
use tempfile::TempDir;
use worldkeeper_archive::Item;
use worldkeeper_testkit::{peers, tree};

use super::*;
use crate::source::tests::{nasty, store};

const FILE: u32 = 0o100_644;
const DIRECTORY: u32 = 0o040_755;
const SYMLINK: u32 = 0o120_777;

/// A target in a folder of its own, with something beside it that must stay as it is.
struct Place {
    folder: TempDir,
    unset: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        Self { folder, unset: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("target").join(name)
    }

    fn open(&self) -> Target {
        let unset = Arc::clone(&self.unset);
        let report = move |what: Unset| unset.lock().unwrap().push(what.to_string());
        Target::open(
            &self.folder.path().join("target"),
            RestoreOptions { devices: true, setuid: true, ..RestoreOptions::default() },
            report,
        )
        .unwrap()
    }

    /// Restores items; each has its path as its content.
    fn restore(&self, items: &[Item]) -> Vec<Result<(), RestoreError>> {
        let mut target = self.open();
        let results = items
            .iter()
            .map(|item| {
                let Some(mut file) = target.place(item)? else { return Ok(()) };
                file.write(&item.path)?;
                file.finish(&mut target)
            })
            .collect();
        target.finish();
        results
    }

    fn unset(&self) -> Vec<String> {
        self.unset.lock().unwrap().clone()
    }

    /// Nothing outside the target may have changed.
    fn assert_outside_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let outside = fs::metadata(self.folder.path().join("outside/secret")).unwrap();
        assert_eq!((outside.nlink(), outside.mode() & 0o7777), (1, 0o644));
        assert_eq!(fs::read(self.folder.path().join("outside/secret")).unwrap(), b"secret");
        assert_eq!(fs::read_dir(self.folder.path().join("outside")).unwrap().count(), 1);
    }
}

fn item(path: &str, mode: u32) -> Item {
    let (uid, gid) = (rustix::process::getuid().as_raw().into(), rustix::process::getgid().as_raw().into());
    Item { path: path.into(), mode, uid, gid, mtime_ns: 1_500_000_000_000_000_001, ..Item::default() }
}

fn to(path: &str, mode: u32, source: &str) -> Item {
    Item { source: Some(source.into()), ..item(path, mode) }
}

/// Restores what `store` gave, as far as it is selected, and asserts that nothing went wrong.
fn restore_tree(place: &Place, stored: &[(Item, Vec<u8>)], selected: impl Fn(&[u8]) -> bool) {
    let contents: BTreeMap<_, _> = stored.iter().map(|(item, content)| (&item.path, content)).collect();
    let mut links = HardLinks::default();
    let mut target = place.open();
    for (item, content) in stored {
        let master = item.source.clone();
        let Some(item) = links.resolve(item.clone(), selected(&item.path)) else { continue };
        if let Some(mut file) = target.place(&item).unwrap() {
            let content = master.map_or(content, |master| contents[&master]);
            content.chunks(100_000).for_each(|chunk| file.write(chunk).unwrap());
            file.finish(&mut target).unwrap();
        }
    }
    target.finish();
    assert_eq!(place.unset(), [""; 0]);
}

#[test]
fn what_was_stored_comes_back_with_everything() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("nasty");
    nasty(&root);
    let stored = store(&root);
    let place = Place::new();
    restore_tree(&place, &stored, |_| true);
    let restored = place.path(root.strip_prefix("/").unwrap().to_str().unwrap());
    tree::assert_same(&root, &restored);

    // Once more over what is there, which by then has other content and modes.
    fs::write(restored.join("links/hard1"), "changed through one link").unwrap();
    fs::remove_file(restored.join("links/relative")).unwrap();
    fs::write(restored.join("links/relative"), "a file in a symlink's place").unwrap();
    fs::set_permissions(restored.join("names"), fs::Permissions::from_mode(0o700)).unwrap();
    restore_tree(&place, &stored, |_| true);
    tree::assert_same(&root, &restored);

    // Items of the restored tree are those of the original, but for the time of change.
    let mut again = store(&restored);
    let prefix = restored.parent().unwrap().strip_prefix("/").unwrap();
    let original = root.parent().unwrap().strip_prefix("/").unwrap();
    let rename = |path: &mut Vec<u8>| {
        let rest = path.strip_prefix(prefix.as_os_str().as_encoded_bytes()).unwrap();
        *path = [original.as_os_str().as_encoded_bytes(), rest].concat();
    };
    let mut wanted = stored;
    for (item, _) in again.iter_mut().chain(&mut wanted) {
        item.ctime_ns = None;
    }
    let mut again: BTreeMap<_, _> = again
        .iter_mut()
        .map(|(item, content)| {
            rename(&mut item.path);
            (item.path.clone(), (item.clone(), content.clone()))
        })
        .collect();
    for (item, content) in wanted {
        let (mut restored, restored_content) = again.remove(&item.path).unwrap();
        // Which link is the first depends on inode numbers.
        if item.source.is_some() != restored.source.is_some() || item.mode & 0o170_000 != SYMLINK & 0o170_000 {
            (restored.source, restored.hardlink_master) = (item.source.clone(), item.hardlink_master);
        } else {
            assert_eq!(content, restored_content);
        }
        assert_eq!(item, restored);
    }
    assert!(again.is_empty());
}

#[test]
fn what_a_directory_gives_to_all_that_is_made_in_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("nasty");
    nasty(&root);
    let place = Place::new();
    let default = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\x67\x12\0\0\x04\0\x07\0\xff\xff\xff\xff\
        \x10\0\x07\0\xff\xff\xff\xff\x20\0\x07\0\xff\xff\xff\xff";
    lsetxattr(place.path(""), "system.posix_acl_default", default, XattrFlags::empty()).unwrap();
    restore_tree(&place, &store(&root), |_| true);
    tree::assert_same(&root, &place.path(root.strip_prefix("/").unwrap().to_str().unwrap()));
}

#[test]
fn a_link_whose_first_is_not_wanted_has_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    tree::write(&root.join("a"), b"content");
    for name in ["b", "c", "d"] {
        fs::hard_link(root.join("a"), root.join(name)).unwrap();
    }
    let stored = store(&root);
    let first = stored.iter().find(|(item, _)| item.hardlink_master == Some(true)).unwrap().0.path.clone();
    let place = Place::new();
    restore_tree(&place, &stored, |path| path != first);
    let restored = place.path(root.strip_prefix("/").unwrap().to_str().unwrap());
    let links: Vec<_> = fs::read_dir(&restored).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(links.len(), 3);
    for link in links {
        assert_eq!(fs::read(&link).unwrap(), b"content");
        assert_eq!(fs::metadata(&link).unwrap().nlink(), 3);
    }
}

type Expected<'a> = &'a dyn Fn(&RestoreError) -> bool;

#[test]
fn hostile_items_leave_the_target_alone_and_what_is_outside_too() {
    let outside = |error: &RestoreError| matches!(error, RestoreError::Outside { .. });
    let behind = |error: &RestoreError| matches!(error, RestoreError::Behind { .. });
    let io = |error: &RestoreError| matches!(error, RestoreError::Io { .. });
    let kind = |error: &RestoreError| matches!(error, RestoreError::Type { .. });
    // Items that are restored, and the last one that must not be.
    let cases: &[(&[Item], Expected<'_>)] = &[
        (&[item("../outside/secret", FILE)], &outside),
        (&[item("a/../../outside/new", FILE)], &outside),
        (&[item("..", DIRECTORY)], &outside),
        (&[item("../outside", DIRECTORY)], &outside),
        (&[item("/outside", FILE)], &outside),
        (&[item("", DIRECTORY)], &outside),
        (&[item(".", FILE)], &outside),
        (&[item("a\0b", FILE)], &outside),
        (&[to("up", SYMLINK, "../outside"), item("up/secret", FILE)], &behind),
        (&[to("up", SYMLINK, "../outside"), item("up/new/dir", DIRECTORY)], &behind),
        (&[to("up", SYMLINK, "../outside"), to("up/link", SYMLINK, "secret")], &behind),
        (&[to("up", SYMLINK, "../outside"), to("stolen", FILE, "up/secret")], &behind),
        (&[to("stolen", FILE, "../outside/secret")], &outside),
        (&[to("stolen", FILE, "/etc/passwd")], &outside),
        (&[to("stolen", FILE, ".")], &outside),
        (&[to("stolen", FILE, "missing")], &io),
        (&[item("d", DIRECTORY), to("stolen", FILE, "d")], &io),
        // A directory that turns into a symlink before something is put into it.
        (&[item("d", DIRECTORY), to("d", SYMLINK, "../outside"), item("d/new", FILE)], &behind),
        (&[item("f", FILE), item("f/new", FILE)], &behind),
        (&[item("d/f", FILE), item("d", FILE)], &io),
        (&[item("socket", 0o140_755)], &kind),
        (&[item("nothing", 0o644)], &kind),
        (&[to("empty", SYMLINK, "")], &io),
        (&[item(&"x/".repeat(20_000), DIRECTORY), item(&"y".repeat(256), FILE)], &io),
    ];
    for (items, expected) in cases {
        let place = Place::new();
        let mut results = place.restore(items);
        let names: Vec<_> =
            items.iter().map(|item| String::from_utf8_lossy(&item.path).chars().take(30).collect::<String>()).collect();
        let last = results.pop().unwrap().expect_err(&names.join(", "));
        assert!(expected(&last), "{names:?}: {last:?}");
        assert!(results.iter().all(Result::is_ok), "{names:?}: {results:?}");
        place.assert_outside_untouched();
        remove_deep(&place);
    }
}

/// Directories nested too deep for `remove_dir_all`'s recursion are taken apart from the top.
fn remove_deep(place: &Place) {
    let _ = std::process::Command::new("rm").arg("-rf").arg(place.path("x")).status();
}

#[test]
fn a_symlink_does_not_pass_its_attributes_on() {
    let place = Place::new();
    let link = Item { mode: 0o120_000, uid: 12345, ..to("link", SYMLINK, "../outside/secret") };
    let user =
        Item { xattrs: Some(vec![(b"user.x".to_vec(), b"y".to_vec())]), ..to("link2", SYMLINK, "../outside/secret") };
    place.restore(&[link, user]).into_iter().for_each(|result| result.unwrap());
    place.assert_outside_untouched();
    let link = fs::symlink_metadata(place.path("link")).unwrap();
    assert_eq!((link.mtime(), link.mtime_nsec()), (1_500_000_000, 1));
    // Symlinks have no `user` attributes; that is told.
    assert!(place.unset().iter().any(|unset| unset == "cannot set the extended attribute user.x of link2"));
}

#[test]
fn what_is_in_the_way_is_removed_and_never_written_through() {
    let place = Place::new();
    symlink("../outside/secret", place.path("symlink")).unwrap();
    fs::hard_link(place.path("../outside/secret"), place.path("hardlink")).unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    fs::create_dir_all(place.path("full/inner")).unwrap();
    fs::write(place.path("file"), "x").unwrap();
    symlink("../outside", place.path("directory")).unwrap();
    let items = [
        item("symlink", FILE),
        item("hardlink", FILE),
        item("empty", FILE),
        item("file", DIRECTORY),
        item("directory", DIRECTORY),
        item("directory/new", FILE),
        item("full", DIRECTORY),
    ];
    place.restore(&items).into_iter().for_each(|result| result.unwrap());
    place.assert_outside_untouched();
    assert_eq!(fs::read(place.path("empty")).unwrap(), b"empty");
    assert!(place.path("file").is_dir() && place.path("full/inner").is_dir() && place.path("directory/new").is_file());
    assert!(place.restore(&[item("full", FILE)]).remove(0).is_err(), "a directory with something in it stays");
}

#[test]
fn directories_get_their_attributes_when_all_in_them_is_done() {
    let place = Place::new();
    let closed = |path: &str| Item { mode: 0o040_500, ..item(path, DIRECTORY) };
    let items =
        [closed("."), closed("a"), closed("a/b"), item("a/b/file", FILE), item("a/file", FILE), item("c/d/f", FILE)];
    place.restore(&items).into_iter().for_each(|result| result.unwrap());
    for path in ["", "a", "a/b"] {
        let metadata = fs::metadata(place.path(path)).unwrap();
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_500_000_000, 1), "{path:?}");
        assert_eq!(metadata.mode() & 0o7777, 0o500, "{path:?}");
    }
    for path in ["", "a", "a/b"] {
        fs::set_permissions(place.path(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// What is in a directory of the target.
fn names_in(place: &Place, directory: &str) -> Vec<String> {
    let names = fs::read_dir(place.path(directory)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_there_stays_until_the_whole_file_has_come() {
    for old in [Some("the old content"), None] {
        let place = Place::new();
        if let Some(old) = old {
            fs::write(place.path("file"), old).unwrap();
        }
        let is_as_it_was = || fs::read(place.path("file")).ok() == old.map(|old| old.as_bytes().to_vec());
        let mut target = place.open();
        let mut file = target.place(&item("file", FILE)).unwrap().unwrap();
        file.write(b"half of it").unwrap();
        assert!(is_as_it_was());
        let half = names_in(&place, "").into_iter().find(|name| name != "file").unwrap();
        let mode = fs::metadata(place.path(&half)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600, "nobody else reads it before its time");
        drop(file);
        assert!(is_as_it_was());
        assert!(!place.path(&half).exists());

        let mut file = target.place(&item("file", FILE)).unwrap().unwrap();
        file.write(b"all of it").unwrap();
        file.finish(&mut target).unwrap();
        assert_eq!(fs::read(place.path("file")).unwrap(), b"all of it");
        assert_eq!(names_in(&place, ""), ["file"]);
    }
}

#[test]
fn an_object_that_cannot_be_made_leaves_what_is_there() {
    let place = Place::new();
    for name in ["symlink", "link", "file", "directory/file"] {
        tree::write(&place.path(name), b"old");
    }
    fs::create_dir(place.path("empty")).unwrap();
    let results = place.restore(&[
        to("symlink", SYMLINK, ""),
        to("link", FILE, "missing"),
        to("link", FILE, "directory"),
        to("empty", FILE, "missing"),
        item("directory", FILE),
        to("directory", SYMLINK, "file"),
    ]);
    assert!(results.iter().all(Result::is_err), "{results:?}");
    assert_eq!(names_in(&place, ""), ["directory", "empty", "file", "link", "symlink"]);
    for name in ["symlink", "link", "file", "directory/file"] {
        assert_eq!(fs::read(place.path(name)).unwrap(), b"old", "{name}");
    }
}

#[test]
fn a_link_of_what_was_not_restored_does_not_pass_for_it() {
    let place = Place::new();
    fs::write(place.path("first"), "old").unwrap();
    fs::write(place.path("second"), "old too").unwrap();
    let mut target = place.open();
    let first = Item { hardlink_master: Some(true), ..item("first", FILE) };
    drop(target.place(&first).unwrap().unwrap());
    let error = target.place(&to("second", FILE, "first")).unwrap_err();
    assert_eq!(error.to_string(), "second is a link of first, which was not restored");
    assert_eq!(fs::read(place.path("second")).unwrap(), b"old too");

    target.place(&first).unwrap().unwrap().finish(&mut target).unwrap();
    for _ in 0..2 {
        target.place(&to("second", FILE, "first")).unwrap();
        assert_eq!(fs::metadata(place.path("first")).unwrap().nlink(), 2);
    }
    assert_eq!(names_in(&place, ""), ["first", "second"]);
}

#[test]
fn a_link_to_itself_is_there_already() {
    let place = Place::new();
    place.restore(&[item("file", FILE), to("file", FILE, "file")]).into_iter().for_each(|result| result.unwrap());
    assert_eq!(fs::read(place.path("file")).unwrap(), b"file");
}

#[test]
fn the_leftovers_of_a_killed_restore_are_removed() {
    let place = Place::new();
    fs::create_dir_all(place.path("a/b")).unwrap();
    fs::create_dir(place.path("elsewhere")).unwrap();
    let kept =
        [".worldkeeper-restore-", ".worldkeeper-restore-0123456789abcdef0", "worldkeeper-restore-0123456789abcdef"];
    for name in kept {
        fs::write(place.path("a").join(name), "").unwrap();
    }
    let mut killed = place.open();
    for path in ["file", "a/file", "a/b/file", "elsewhere/file"] {
        let mut file = killed.place(&item(path, FILE)).unwrap().unwrap();
        file.write(b"half of it").unwrap();
        std::mem::forget(file);
    }
    fs::create_dir(place.path("a/.worldkeeper-restore-0123456789abcdef")).unwrap();
    symlink("b", place.path("a/.worldkeeper-restore-0123456789abcdee")).unwrap();
    place.restore(&[item("a/b/file", FILE), item("a/file", FILE)]).into_iter().for_each(|result| result.unwrap());
    assert_eq!(names_in(&place, ""), ["a", "elsewhere"]);
    assert_eq!(names_in(&place, "a"), [kept[0], kept[1], "b", "file", kept[2]]);
    assert_eq!(names_in(&place, "a/b"), ["file"]);
    assert_eq!(names_in(&place, "elsewhere").len(), 1, "nothing was restored there");
}

#[test]
fn names_may_be_as_long_as_names_can_be() {
    let place = Place::new();
    let name = "n".repeat(255);
    for _ in 0..2 {
        place.restore(&[item(&name, FILE)]).remove(0).unwrap();
        place.restore(&[to(&name, SYMLINK, "x")]).remove(0).unwrap();
        place.restore(&[item(&name, DIRECTORY)]).remove(0).unwrap();
    }
    assert_eq!(names_in(&place, ""), [name]);
}

#[test]
fn a_file_has_its_flags_when_it_is_in_its_place() {
    let place = Place::new();
    fs::write(place.path("probe"), "").unwrap();
    let probe = fs::File::open(place.path("probe")).unwrap();
    let can = ioctl_setflags(&probe, IFlags::IMMUTABLE).and_then(|()| ioctl_setflags(&probe, IFlags::empty())).is_ok();
    if !can {
        return;
    }
    fs::write(place.path("file"), "old").unwrap();
    let immutable = |path, mode| Item { bsdflags: Some(2), ..item(path, mode) };
    let results = place.restore(&[immutable("d", DIRECTORY), immutable("d/file", FILE), immutable("file", FILE)]);
    for path in ["d", "d/file", "file"] {
        let file = fs::File::open(place.path(path)).unwrap();
        let flags = ioctl_getflags(&file).unwrap();
        ioctl_setflags(&file, IFlags::empty()).unwrap();
        assert!(flags.contains(IFlags::IMMUTABLE), "{path}: {results:?}");
    }
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(place.unset(), [""; 0]);
}

#[test]
fn a_length_that_is_not_the_items_is_an_error() {
    let place = Place::new();
    let results = place.restore(&[Item { size: Some(5), ..item("file", FILE) }]);
    assert!(matches!(results[0], Err(RestoreError::Size { expected: 5, written: 4, .. })));
    assert_eq!(fs::read(place.path("file")).unwrap(), b"file");
}

#[test]
fn attributes_that_cannot_be_set_are_told_and_the_object_stays() {
    let place = Place::new();
    let odd = Item {
        acl_access: Some(b"nonsense".to_vec()),
        xattrs: Some(vec![(b"no.such.namespace".to_vec(), b"x".to_vec()), (b"user.fine".to_vec(), b"".to_vec())]),
        uid: 1 << 40,
        mode: 0o106_755,
        ..item("file", FILE)
    };
    place.restore(&[odd]).into_iter().for_each(|result| result.unwrap());
    let unset = place.unset();
    for what in ["owner", "setuid and setgid bits", "ACL", "extended attribute no.such.namespace"] {
        assert!(unset.contains(&format!("cannot set the {what} of file")), "{what}: {unset:?}");
    }
    assert_eq!(unset.len(), 4, "{unset:?}");
    let metadata = fs::metadata(place.path("file")).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o755);
    assert_eq!(metadata.mtime(), 1_500_000_000);
}

#[test]
fn owners_are_found_by_name_unless_numbers_are_asked_for() {
    if !peers::is_root() {
        return;
    }
    let place = Place::new();
    let named = Item {
        uid: 4711,
        gid: 4712,
        user: Some(b"root".to_vec()),
        group: Some(b"no such group".to_vec()),
        ..item("file", FILE)
    };
    place.restore(std::slice::from_ref(&named)).remove(0).unwrap();
    let metadata = fs::metadata(place.path("file")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (0, 4712));

    let options = RestoreOptions { numeric_ids: true, setuid: true, ..RestoreOptions::default() };
    let mut target = Target::open(&place.path("numeric"), options, |_| {}).unwrap();
    target.place(&named).unwrap().unwrap().finish(&mut target).unwrap();
    let metadata = fs::metadata(place.path("numeric/file")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712));
    let mode = Item { mode: 0o106_711, ..named };
    target.place(&mode).unwrap().unwrap().finish(&mut target).unwrap();
    assert_eq!(
        fs::metadata(place.path("numeric/file")).unwrap().mode() & 0o7777,
        0o6711,
        "set-id bits go to their owner"
    );
}

#[test]
fn a_target_that_is_a_file_is_no_target() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    assert!(Target::open(&place.path("file"), RestoreOptions::default(), |_| {}).is_err());
    assert!(Target::open(Path::new("/dev/null/x"), RestoreOptions::default(), |_| {}).is_err());
}
