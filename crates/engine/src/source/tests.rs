//! The walk over trees that hold everything, and over trees that change under it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, inotify, mknodat};
use tempfile::TempDir;
use worldkeeper_archive::Item;
use worldkeeper_testkit::{peers, tree};

use super::*;
use crate::patterns::Patterns;

/// Everything that a walk of `root` comes upon, with the content of files; nothing may fail.
pub(crate) fn store(root: &Path) -> Vec<(Item, Vec<u8>)> {
    let mut walker = Walker::new([root], Rules::default(), Pulse::default()).unwrap();
    let mut stored = Vec::new();
    while let Some(found) = walker.next().unwrap() {
        let mut entry = match found {
            Found::Entry(entry) => entry,
            Found::LeftOut { reason: Reason::Socket, .. } => continue,
            other => panic!("{other:?}"),
        };
        walker.read_attributes(&mut entry).unwrap();
        let mut content = Vec::new();
        if entry.has_content() {
            let mut file = walker.open(&mut entry).unwrap();
            assert_eq!(read_all(&mut file), entry.stat.size);
            content = fs::read(OsStr::from_bytes(&entry.path)).unwrap();
            assert_eq!(file.finish().unwrap(), Verdict::Unchanged);
        }
        walker.archived(&entry);
        stored.push((*entry.item, content));
    }
    stored
}

/// The nasty tree, less what only root can read.
pub(crate) fn nasty(root: &Path) {
    tree::nasty(root);
    if !peers::is_root() {
        for name in ["modes/0000", "modes/0200"] {
            fs::remove_file(root.join(name)).unwrap();
        }
    }
}

fn read_all(file: &mut FileReader) -> u64 {
    let mut buffer = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return len,
            read => len += read as u64,
        }
    }
}

/// A folder with `tree` in it, and what is found there: kind of event and path beneath the tree.
struct Tree {
    folder: TempDir,
    root: PathBuf,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        fs::create_dir(&root).unwrap();
        Self { folder, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        // `join` of an empty name adds a slash.
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    fn walker(&self) -> Walker {
        Walker::new([&self.root], Rules::default(), Pulse::default()).unwrap()
    }

    /// Goes on to the entry of that name.
    fn entry(&self, walker: &mut Walker, name: &str) -> Entry {
        let path = self.path(name);
        loop {
            match walker.next().unwrap() {
                Some(Found::Entry(entry)) if entry.path == path.as_os_str().as_bytes() => return entry,
                Some(_) => {}
                None => panic!("{name} was not found"),
            }
        }
    }
}

/// All that a walk comes upon, in a few words each.
fn walk(walker: &mut Walker, root: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let short = |path: &[u8]| {
        let path = Path::new(OsStr::from_bytes(path));
        path.strip_prefix(root).unwrap_or(path).display().to_string()
    };
    while let Some(found) = walker.next().unwrap() {
        seen.push(match found {
            Found::Entry(entry) => {
                walker.archived(&entry);
                short(&entry.path)
            }
            Found::LeftOut { path, reason } => format!("{}: {reason:?}", short(&path)),
            Found::Failed(error) if error.vanished() => format!("{}: vanished", short(&error.path)),
            Found::Failed(error) => format!("{}: cannot {}", short(&error.path), error.action),
        });
    }
    seen
}

#[test]
fn directories_come_before_what_is_in_them_and_entries_by_inode_number() {
    let tree = Tree::new();
    for name in ["c", "a", "b"] {
        fs::create_dir(tree.path(name)).unwrap();
        fs::write(tree.path(name).join("file"), name).unwrap();
    }
    let mut inodes: Vec<_> = ["a", "b", "c"]
        .map(|name| (Stat::of(CWD, tree.path(name).as_os_str().as_bytes()).unwrap().id.ino, name))
        .to_vec();
    inodes.sort_unstable();
    let expected: Vec<_> = std::iter::once(String::new())
        .chain(inodes.iter().flat_map(|(_, name)| [(*name).to_owned(), format!("{name}/file")]))
        .collect();
    assert_eq!(walk(&mut tree.walker(), &tree.root), expected);
}

#[test]
fn a_missing_root_is_fatal_before_anything_is_read() {
    let tree = Tree::new();
    let missing = tree.path("missing");
    let error = Walker::new([&tree.root, &missing], Rules::default(), Pulse::default()).unwrap_err();
    assert!(matches!(error, RootError::Unreadable { action: Action::Stat, .. }), "{error}");
    assert!(Walker::new([missing.join("deeper")], Rules::default(), Pulse::default()).is_err());
}

#[test]
fn roots_that_share_names_in_the_archive_are_refused() {
    let tree = Tree::new();
    for directory in ["a/world/in", "b/world/in", "c"] {
        fs::create_dir_all(tree.path(directory)).unwrap();
    }
    symlink("a", tree.path("link")).unwrap();
    let root = tree.root.display().to_string();
    let walker = |roots: &[&str]| {
        let roots = roots.iter().map(|name| format!("{root}/{name}"));
        Walker::new(roots.collect::<Vec<_>>(), Rules::default(), Pulse::default())
    };
    for refused in [
        ["a/./world", "b/./world"],
        ["a/./world", "b/./world/in"],
        ["b/./world/in", "a/./world"],
        ["a/./", "b/./world"],
        ["a/./", "b/./world/in"],
        ["a/./", "b/./"],
    ] {
        let error = walker(&refused).unwrap_err();
        assert!(matches!(error, RootError::SameNames { .. }), "{refused:?}: {error}");
    }
    for taken in [
        ["a/world", "b/world"],
        ["a/./world", "b/world"],
        ["a/./world", "c"],
        ["a/./world", "a/./world/in"],
        ["a/./world/in", "a/./world"],
        ["a/./", "a/./world"],
        ["a/./world", "link/./world"],
        ["a/world", "a/world"],
        ["a/world/in/./", "c"],
    ] {
        assert!(walker(&taken).is_ok(), "{taken:?}");
    }
}

#[test]
fn a_root_that_vanishes_before_its_turn_is_fatal() {
    let tree = Tree::new();
    let mut walker = tree.walker();
    fs::remove_dir(&tree.root).unwrap();
    assert!(matches!(walker.next(), Err(RootError::Unreadable { .. })));
}

#[test]
fn a_root_may_be_any_object() {
    let tree = Tree::new();
    fs::write(tree.path("file"), "content").unwrap();
    symlink("file", tree.path("link")).unwrap();
    let paths = [tree.path("file"), tree.path("link")];
    let mut walker = Walker::new(&paths, Rules::default(), Pulse::default()).unwrap();
    assert_eq!(walk(&mut walker, &tree.root), ["file", "link"]);
    assert_eq!(store(&paths[0])[0].1, b"content");
    assert_eq!(store(&paths[1])[0].0.source.as_deref(), Some(&b"file"[..]));
}

#[test]
fn the_same_root_is_not_entered_twice() {
    let tree = Tree::new();
    fs::create_dir(tree.path("in")).unwrap();
    fs::write(tree.path("in/file"), "").unwrap();
    let mut walker =
        Walker::new([&tree.root, &tree.path("in/.."), &tree.root], Rules::default(), Pulse::default()).unwrap();
    assert_eq!(walk(&mut walker, &tree.root), ["", "in", "in/file", ": Again", ": Again"]);
    // As stock: a root that was walked already is left out of a later one, not the other way round.
    let mut walker = Walker::new([&tree.path("in"), &tree.root], Rules::default(), Pulse::default()).unwrap();
    assert_eq!(walk(&mut walker, &tree.root), ["in", "in/file", ""]);
}

/// Stock leaves out all other links of a root.
#[test]
fn other_links_of_a_root_are_in_the_archive() {
    let tree = Tree::new();
    fs::create_dir(tree.path("in")).unwrap();
    fs::write(tree.path("root"), "content").unwrap();
    fs::write(tree.path("single"), "").unwrap();
    for link in ["another", "in/link"] {
        fs::hard_link(tree.path("root"), tree.path(link)).unwrap();
    }
    let roots = ["root", "single", "another", "in/../root", "single", "in"].map(|name| tree.path(name));
    let mut walker = Walker::new(&roots, Rules::default(), Pulse::default()).unwrap();
    let seen = walk(&mut walker, &tree.root);
    assert_eq!(seen, ["root", "single", "another", "root: Again", "single: Again", "in", "in/link"]);
}

#[test]
fn repository_and_lock_files_are_left_out_with_a_notice() {
    let tree = Tree::new();
    for directory in ["repository", "session.lock.d"] {
        fs::create_dir(tree.path(directory)).unwrap();
        fs::write(tree.path(directory).join("inner"), "").unwrap();
    }
    fs::write(tree.path("session.lock"), "☃").unwrap();
    symlink("tree/repository", tree.folder.path().join("alias")).unwrap();
    let rules = || {
        Rules::default()
            .without_directory(&tree.folder.path().join("alias"))
            .without_directory(Path::new("/no/such/directory"))
            .without_names(|name| name.starts_with(b"session.lock"))
    };
    let mut seen = walk(&mut Walker::new([&tree.root], rules(), Pulse::default()).unwrap(), &tree.root);
    seen.sort();
    assert_eq!(seen, ["", "repository: Directory", "session.lock.d", "session.lock.d/inner", "session.lock: Name"]);
    let error = Walker::new([tree.path("repository")], rules(), Pulse::default()).unwrap_err();
    assert!(matches!(error, RootError::LeftOut { .. }), "{error}");
}

#[test]
fn what_patterns_leave_out_may_hold_what_they_take() {
    let tree = Tree::new();
    for name in ["a/keep", "b/keep"] {
        fs::create_dir_all(tree.path(name)).unwrap();
        fs::write(tree.path(name).join("file"), name).unwrap();
    }
    fs::write(tree.path("a/file"), "").unwrap();
    let slow = format!("{}bc", "x".repeat(100));
    fs::write(tree.path(&slow), "").unwrap();
    let mut patterns = Patterns::default();
    patterns.patterns_from(b"+ **/a/keep\n- **/a\n! **/b\n- re:(x|xx)+(?=c)c").unwrap();
    let rules = Rules::default().with_patterns(patterns);
    let mut seen = walk(&mut Walker::new([&tree.root], rules, Pulse::default()).unwrap(), &tree.root);
    seen.sort();
    let undecided = format!("{slow}: cannot decide about");
    let expected = ["", "a/file: Pattern", "a/keep", "a/keep/file", "a: Pattern", "b: Pattern", &slow, &undecided];
    assert_eq!(seen, expected);
}

#[test]
fn sockets_are_left_out_and_fifos_are_not_opened() {
    let tree = Tree::new();
    let _socket = UnixListener::bind(tree.path("socket")).unwrap();
    mknodat(CWD, tree.path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let mut seen = walk(&mut tree.walker(), &tree.root);
    seen.sort();
    assert_eq!(seen, ["", "fifo", "socket: Socket"]);
}

#[test]
fn an_entry_is_made_without_opening_the_file() {
    let tree = Tree::new();
    nasty(&tree.path("nasty"));
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    let mut directories = vec![tree.root.clone()];
    while let Some(directory) = directories.pop() {
        inotify::add_watch(&watch, &directory, inotify::WatchFlags::OPEN).unwrap();
        let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap());
        directories.extend(entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()));
    }
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    while events.next().is_ok() {} // what the listing above opened
    assert!(walk(&mut tree.walker(), &tree.root).len() > 50);
    let mut directories = 0;
    while let Ok(event) = events.next() {
        assert!(event.events().contains(inotify::ReadFlags::ISDIR), "{:?} was opened", event.file_name());
        directories += 1;
    }
    assert!(directories > 50, "the watch works");
}

#[test]
fn links_refer_to_the_first_that_is_in_the_archive() {
    let tree = Tree::new();
    fs::write(tree.path("one"), "content").unwrap();
    for name in ["two", "three"] {
        fs::hard_link(tree.path("one"), tree.path(name)).unwrap();
    }
    let mut walker = tree.walker();
    let mut links = Vec::new();
    while let Some(found) = walker.next().unwrap() {
        let Found::Entry(entry) = found else { panic!("{found:?}") };
        if entry.stat.file_type() == FileType::RegularFile {
            // The first could not be read, so the second has to be the first.
            if !links.is_empty() {
                walker.archived(&entry);
            }
            links.push(entry.item);
        }
    }
    let [first, second, third] = links.try_into().unwrap();
    assert_eq!((first.hardlink_master, first.source), (Some(true), None));
    assert_eq!((second.hardlink_master, second.source), (Some(true), None));
    assert_eq!((third.hardlink_master, third.source), (None, Some(second.path)));
}

/// A walk through the files `a`, `b` and `c` that has come to the first of them, whichever that is.
fn first_of_three(tree: &Tree) -> (Walker, Entry) {
    for name in ["a", "b", "c"] {
        fs::write(tree.path(name), name).unwrap();
    }
    let mut walker = tree.walker();
    let Some(Found::Entry(_)) = walker.next().unwrap() else { panic!("the root comes first") };
    let Some(Found::Entry(first)) = walker.next().unwrap() else { panic!("a file comes next") };
    (walker, first)
}

#[test]
fn a_file_that_vanishes_is_told_and_the_walk_goes_on() {
    let tree = Tree::new();
    let (mut walker, mut first) = first_of_three(&tree);
    for name in ["a", "b", "c"] {
        fs::remove_file(tree.path(name)).unwrap();
    }
    assert!(walker.open(&mut first).unwrap_err().vanished());
    let rest = walk(&mut walker, &tree.root);
    assert_eq!(rest.len(), 2);
    assert!(rest.iter().all(|seen| seen.ends_with(": vanished")), "{rest:?}");
}

#[test]
fn what_is_away_between_two_renames_is_found_in_the_end() {
    let tree = Tree::new();
    let (mut walker, mut first) = first_of_three(&tree);
    let name_of_first = String::from_utf8(first.name().to_vec()).unwrap();
    let others: Vec<_> = ["a", "b", "c"].into_iter().filter(|name| *name != name_of_first).collect();
    let (away, last) = (others[0], others[1]);
    let aside = |name: &str| tree.folder.path().join(name);
    fs::rename(tree.path(&name_of_first), aside(&name_of_first)).unwrap();
    fs::rename(tree.path(away), aside(away)).unwrap();
    assert!(walker.open(&mut first).unwrap_err().vanished());
    assert!(walker.comes_again(&first.path));
    let Some(Found::Entry(entry)) = walker.next().unwrap() else { panic!("one is still there") };
    assert_eq!(entry.name(), last.as_bytes());
    fs::rename(aside(away), tree.path(away)).unwrap();
    assert_eq!(walk(&mut walker, &tree.root).len(), 2, "the one is found, and the other one is told");
}

#[test]
fn what_was_replaced_is_taken_if_it_is_a_file_and_refused_if_not() {
    let tree = Tree::new();
    fs::write(tree.folder.path().join("secret"), "outside").unwrap();
    let replace = |with: &dyn Fn(&Path)| {
        let path = tree.path("level.dat");
        _ = fs::remove_file(&path);
        _ = fs::remove_dir(&path);
        fs::write(&path, "old").unwrap();
        let mut walker = tree.walker();
        let mut entry = tree.entry(&mut walker, "level.dat");
        fs::remove_file(&path).unwrap();
        with(&path);
        walker.open(&mut entry).map(|file| (file, entry))
    };
    // Games write another file and rename it: the new one is whole.
    let (mut file, entry) = replace(&|path| {
        fs::write(tree.path("new"), "new content").unwrap();
        fs::set_permissions(tree.path("new"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::rename(tree.path("new"), path).unwrap();
    })
    .unwrap();
    assert_eq!(read_all(&mut file), 11);
    assert_eq!((entry.stat.size, entry.item.mode), (11, 0o100_640));
    assert_eq!(file.finish().unwrap(), Verdict::Unchanged);

    assert!(replace(&|path| symlink("../secret", path).unwrap()).is_err(), "a symlink");
    assert!(replace(&|path| fs::create_dir(path).unwrap()).is_err(), "a directory");
    assert!(replace(&|path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap()).is_err(), "a fifo");
    let linked = |path: &Path| fs::hard_link(tree.folder.path().join("secret"), path).unwrap();
    assert!(replace(&linked).is_err(), "a file with other links");
}

#[test]
fn a_write_while_a_file_is_read_is_noticed() {
    let tree = Tree::new();
    let path = tree.path("r.0.0.mca");
    let verdict = |meddle: &dyn Fn(&mut fs::File)| {
        fs::write(&path, vec![1; 3 << 20]).unwrap();
        let mut walker = tree.walker();
        let mut entry = tree.entry(&mut walker, "r.0.0.mca");
        let mut file = walker.open(&mut entry).unwrap();
        file.read(&mut [0; 4096]).unwrap();
        meddle(&mut fs::File::options().append(true).open(&path).unwrap());
        let read = 4096 + read_all(&mut file);
        (read, file.finish().unwrap())
    };
    assert_eq!(verdict(&|_| {}), (3 << 20, Verdict::Unchanged));
    // Growth is bounded by the size at open.
    assert_eq!(verdict(&|file| file.write_all(b"more").unwrap()), (3 << 20, Verdict::Changed));
    assert_eq!(verdict(&|file| file.set_len(5000).unwrap()), (5000, Verdict::Changed));
    // A program that puts the time back cannot put back the time of change.
    let put_back = |file: &mut fs::File| {
        let mtime = file.metadata().unwrap().modified().unwrap();
        fs::write(&path, vec![2; 3 << 20]).unwrap();
        file.set_modified(mtime).unwrap();
    };
    assert_eq!(verdict(&put_back), (3 << 20, Verdict::Changed));
}

#[test]
fn a_directory_replaced_by_a_symlink_is_not_entered() {
    let tree = Tree::new();
    let outside = tree.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "").unwrap();
    fs::create_dir(tree.path("a")).unwrap();
    let mut walker = tree.walker();
    tree.entry(&mut walker, "");
    fs::remove_dir(tree.path("a")).unwrap();
    symlink(&outside, tree.path("a")).unwrap();
    // The listing is older; what is there now is stored for what it is.
    assert_eq!(walk(&mut walker, &tree.root), ["a"]);
}

#[test]
fn deep_trees_are_walked_with_few_descriptors_and_beyond_the_longest_path() {
    let tree = Tree::new();
    let depth = 600;
    let deep = (0..depth).fold(tree.root.clone(), |path, _| path.join("folder-x"));
    assert!(deep.as_os_str().len() > 4096);
    let mut directory = rustix::fs::open(&tree.root, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&directory, "folder-x", Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&directory, "sibling", Mode::RWXU).unwrap();
        directory = rustix::fs::openat(&directory, "folder-x", rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let mut walker = tree.walker();
    let mut entries = 0;
    while let Some(found) = walker.next().unwrap() {
        assert!(matches!(found, Found::Entry(_)), "{found:?}");
        entries += 1;
        assert!(walker.open_directories() <= 65, "{}", walker.open_directories());
    }
    assert_eq!(entries, 1 + 2 * depth);
}

#[test]
fn a_directory_moved_away_while_the_walk_is_deep_in_it_does_not_lead_elsewhere() {
    let tree = Tree::new();
    let deep = (0..70).fold(tree.root.clone(), |path, level| path.join(format!("{level}")));
    fs::create_dir_all(&deep).unwrap();
    let elsewhere = tree.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("secret"), "").unwrap();
    let mut walker = tree.walker();
    tree.entry(&mut walker, deep.strip_prefix(&tree.root).unwrap().to_str().unwrap());
    let closed = (0..5).fold(tree.root.clone(), |path, level| path.join(format!("{level}")));
    fs::rename(closed.join("5"), elsewhere.join("5")).unwrap();
    let seen = walk(&mut walker, &tree.root);
    assert!(seen.iter().all(|seen| seen.ends_with(": cannot list")), "{seen:?}");
    assert!(!seen.is_empty());
}

#[test]
fn what_may_not_be_read_is_told() {
    let tree = Tree::new();
    fs::create_dir(tree.path("closed")).unwrap();
    fs::set_permissions(tree.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let seen = peers::without_reading_everything(|| walk(&mut tree.walker(), &tree.root));
    fs::set_permissions(tree.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(seen, ["", "closed: cannot list"]);
}

#[test]
fn an_entry_is_all_that_the_item_needs() {
    let tree = Tree::new();
    nasty(&tree.path("nasty"));
    for (item, _) in store(&tree.root) {
        let file = item.mode & 0o170_000 == 0o100_000;
        assert_eq!(item.hardlink_master.is_none(), item.source.is_some() || item.mode & 0o170_000 == 0o040_000);
        assert!(item.ctime_ns.is_some() && item.atime_ns.is_none() && item.mtime_ns >= 0);
        assert!(item.chunks.is_none() && item.size.is_none());
        assert!(!file || item.rdev.is_none());
    }
}
