//! Directory trees: made for a test, and compared in everything a backup must bring back.

mod compare;
mod make;
mod nasty;

pub use compare::{Content, Entry, assert_listed, assert_same, listing};
pub use make::{memory_folder, sample, small_files, world, write};
pub use nasty::{nasty, untimely};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::borg::Borg;
    use crate::worldkeeper::below;

    /// The tree is one that a backup tool can bring back, and the comparison agrees with stock that it did.
    #[test]
    fn stock_brings_the_nasty_tree_back() {
        for borg in Borg::all() {
            let folder = tempfile::tempdir().unwrap();
            let (tree, repository, target) =
                (folder.path().join("tree"), folder.path().join("r"), folder.path().join("t"));
            nasty(&tree);
            borg.init(&repository, "none");
            let _ = borg.create(&repository, "nasty", &tree, &[]);
            borg.extract(&repository, "nasty", &target);
            assert_same(&tree, &below(&target, &tree));
        }
    }

    #[test]
    fn the_comparison_sees_every_kind_of_change() {
        assert!(!is_seen(|_| {}));
        assert!(is_seen(|root| write(&root.join("names/-dash"), b"other")), "bytes");
        assert!(is_seen(|root| fs::remove_file(root.join("names/-dash")).unwrap()), "a missing file");
        assert!(is_seen(|root| fs::create_dir(root.join("new")).unwrap()), "a new folder");
        assert!(is_seen(|root| fs::rename(root.join("sparse"), root.join("dense")).unwrap()), "a name");
        let unset = |path: &str, name: &str, root: &Path| rustix::fs::lremovexattr(root.join(path), name).unwrap();
        assert!(is_seen(|root| unset("attributes/noted", "user.empty", root)), "an empty attribute");
        assert!(is_seen(|root| unset("attributes/inherits", "system.posix_acl_default", root)), "an ACL");
        let later = |root: &Path| {
            let time = fs::metadata(root.join("sparse")).unwrap().modified().unwrap();
            set_modified(&root.join("sparse"), time + Duration::from_nanos(1));
        };
        assert!(is_seen(later), "a nanosecond");
        let unlink = |root: &Path| {
            fs::remove_file(root.join("links/hard2")).unwrap();
            fs::copy(root.join("links/hard1"), root.join("links/hard2")).unwrap();
            set_modified(&root.join("links/hard2"), SystemTime::UNIX_EPOCH);
        };
        assert!(is_seen(unlink), "an inode of its own");
    }

    /// Whether a change of a copy of the nasty tree is a difference, beside the new times of folders.
    fn is_seen(change: impl Fn(&Path)) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let (tree, copy) = (folder.path().join("tree"), folder.path().join("copy"));
        nasty(&tree);
        let copied = Command::new("cp").arg("-a").args([&tree, &copy]).status().unwrap();
        assert!(copied.success());
        change(&copy);
        let timeless = |root| {
            let mut entries = listing(root);
            let folders = entries.values_mut().filter(|entry| entry.content == Content::Directory);
            folders.for_each(|entry| entry.mtime_ns = 0);
            // `cp` knows nothing of file flags.
            for entry in entries.values_mut() {
                entry.flags = rustix::fs::StatxAttributes::empty();
            }
            entries
        };
        timeless(&tree) != timeless(&copy)
    }

    fn set_modified(path: &Path, time: SystemTime) {
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }
}
