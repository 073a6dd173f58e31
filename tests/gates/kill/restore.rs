//! Killed at any call that changes something, a restore leaves each file old, new or not there yet, never half; the same
//! once more makes the tree whole, and takes away what the first has left. The repository does not notice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use worldkeeper_testkit::strace::{self, Call};
use worldkeeper_testkit::tree::{Content, Entry, assert_listed, listing};
use worldkeeper_testkit::worldkeeper::below;
use worldkeeper_tests::{copy, locks};

use super::point::{Point, Scene, at_any_call, killed};
use crate::beginning::Beginning;
use crate::place::{Listing, Place};

#[test]
fn gate_kill_restore() {
    at_any_call(14, || Restore::new(Target::Empty));
}

#[test]
fn gate_kill_restore_over_an_older_tree() {
    at_any_call(14, || Restore::new(Target::Older));
}

/// What lies where the tree is restored to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Empty,
    Older,
}

/// A restore of the second of two archives.
struct Restore {
    place: Place,
    args: Vec<String>,
    target: PathBuf,
    /// A copy of what was there before, if anything was.
    before: Option<PathBuf>,
    /// What each thing in the place of the tree may be; nothing is known under a name that is none of the tree's.
    old: Listing,
    new: Listing,
    repository: BTreeMap<PathBuf, Content>,
    beginning: Beginning,
    calls: Vec<Call>,
}

impl Restore {
    fn new(on: Target) -> Self {
        let mut place = Place::new("repokey-blake2");
        let target = place.folder().join("target");
        let [(first, old), (second, new)] = ["first", "second"].map(|seed| archive_with_links(&mut place, seed));
        let before = (on == Target::Older).then(|| {
            let _ = place.keeper.restore(&first, &target);
            let before = place.folder().join("before");
            copy(&target, &before);
            before
        });
        let old = if before.is_some() { old } else { Listing::new() };
        let args = ["restore", &second, "--overwrite", "--to", target.to_str().expect("paths of tests are text")];
        let args: Vec<_> = args.map(str::to_owned).into();
        let (repository, beginning) = (contents(&place.keeper.repository()), Beginning::of(&place));
        // What is copied to its place is a copy here as well: its state gives itself a new identity.
        beginning.restore();
        let calls = strace::mutating_calls(&place.keeper, &args);
        assert_listed(&new, &below(&target, &place.keeper.world()));
        Self { place, args, target, before, old, new, repository, beginning, calls }
    }

    /// Every file is one that was there, or one that was to come there.
    fn is_old_or_new(&self) {
        let restored = below(&self.target, &self.place.keeper.world());
        for (path, found) in listing(&restored) {
            let is_leftover = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LEFTOVER));
            // A directory gets its times and rights when all that is in it is there.
            if found.content == Content::Directory || is_leftover {
                continue;
            }
            let expected = [&self.old, &self.new].map(|tree| tree.get(&path).map(alone));
            assert!(expected.contains(&Some(alone(&found))), "{} is {found:?}, neither {:?}", path.display(), expected);
        }
        for path in self.old.keys() {
            assert!(fs::symlink_metadata(restored.join(path)).is_ok(), "{} is gone", path.display());
        }
    }
}

impl Scene for Restore {
    fn calls(&self) -> &[Call] {
        &self.calls
    }

    fn killed_at(&mut self, point: &Point) -> bool {
        let is_hit = killed(&self.place.keeper, &self.args, (&point.call, &self.calls), None, || {
            self.beginning.restore();
            let _ = fs::remove_dir_all(&self.target);
            if let Some(before) = &self.before {
                copy(before, &self.target);
            }
        });
        self.is_old_or_new();

        let _ = self.place.keeper.run(&self.args);
        assert_listed(&self.new, &below(&self.target, &self.place.keeper.world()));
        let left: Vec<_> =
            listing(&self.target).into_keys().filter(|path| path.to_string_lossy().contains(LEFTOVER)).collect();
        assert!(left.is_empty(), "{left:?}");
        let repository = self.place.keeper.repository();
        assert_eq!(contents(&repository), self.repository);
        assert!(locks(&repository).is_empty(), "{:?}", locks(&repository));
        is_hit
    }
}

/// What the name of everything begins with that is not in its place yet.
const LEFTOVER: &str = ".worldkeeper-restore-";

/// Makes the world another one, with links of both kinds, and backs it up.
fn archive_with_links(place: &mut Place, seed: &str) -> (String, Listing) {
    let links = place.keeper.world().join("links");
    let _ = fs::remove_dir_all(&links);
    fs::create_dir_all(&links).expect("folders can be made");
    fs::write(links.join("first-name"), seed).expect("files can be written");
    fs::hard_link(links.join("first-name"), links.join("second-name")).expect("links can be made");
    symlink(seed, links.join("symbolic")).expect("links can be made");
    let name = place.archive(seed);
    let tree = place.trees[&name].clone();
    (name, tree)
}

/// An entry without its other names: those are moved into their places one by one.
fn alone(entry: &Entry) -> Entry {
    Entry { first_name: None, ..entry.clone() }
}

/// What the files of a repository hold, but for the locks.
fn contents(repository: &Path) -> BTreeMap<PathBuf, Content> {
    let files = listing(repository).into_iter().filter(|(path, _)| !path.to_string_lossy().starts_with("lock."));
    files.map(|(path, entry)| (path, entry.content)).collect()
}
