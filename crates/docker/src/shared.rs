//! Whether two containers may have the same thing mounted, as far as it can be told from outside.
//!
//! The engine says where on its host a mount is from, by the words that it was given: the same directory has several
//! names, by symbolic links, by bind mounts and subvolumes of the host, by the options of a volume, by the paths that
//! Docker Desktop makes of others. So what is asked is whether it is *certain* that two mounts are not of the same thing;
//! where the names leave it open, they may be. What the kernel says of our own mounts helps: the path on the file system
//! itself, without the host's links, and where a directory is that was moved since.

use crate::mount::is_anonymous;
use crate::{Mount, MountKind};

/// A mount of the container that we run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMount {
    /// As the engine says it was made.
    pub mount: Mount,
    /// The path of what is mounted on its own file system, as the kernel says it is now.
    pub root: String,
    /// It was moved or deleted on the host since it was mounted: whoever mounts the source now has something else.
    pub was_moved: bool,
}

/// Returns whether it is certain that nothing of `own` is in any of the mounts of `others`, nor anything of them in it.
///
/// Without mounts on both sides nothing is.
pub fn is_elsewhere(own: &[OwnMount], others: &[Mount]) -> bool {
    let others: Vec<_> = others.iter().filter(|other| other.kind != MountKind::Other).collect();
    !own.is_empty() && !others.is_empty() && !own.iter().any(|own| others.iter().any(|other| own.may_be(other)))
}

impl OwnMount {
    /// Returns whether one of the two may contain the other.
    fn may_be(&self, other: &Mount) -> bool {
        let (Some(here), Some(there), Some(root)) =
            (parts(&self.mount.source), parts(&other.source), parts(&self.root))
        else {
            // Paths of Windows, or none.
            return true;
        };
        if overlap(&root, &there) {
            return true;
        }
        if self.was_moved {
            return false;
        }
        if here.starts_with(&there) || there.starts_with(&here) {
            return true;
        }
        match (&self.mount.kind, &other.kind) {
            // A volume with options of its own is of whatever they name, and another one may be so, too.
            (MountKind::Volume(name), MountKind::Volume(other)) => name == other || !is_plain(name, &root),
            (MountKind::Volume(name), _) => !is_plain(name, &root),
            (_, MountKind::Volume(other)) => !is_anonymous(other),
            _ if is_of_desktop(&here) || is_of_desktop(&there) => true,
            // One of two paths that have nothing in common at their begin may be a link to the other.
            _ => here.first() != there.first() && are_namesakes(&here, &there),
        }
    }
}

/// The names in an absolute path; `None` of any other text.
fn parts(path: &str) -> Option<Vec<&str>> {
    Some(path.strip_prefix('/')?.split('/').filter(|part| !part.is_empty()).collect())
}

/// Returns whether one of two paths can contain the other, if an unknown part of the begin of either is left out.
fn overlap(a: &[&str], b: &[&str]) -> bool {
    let follows = |a: &[&str], b: &[&str]| {
        (0..a.len()).any(|from| {
            let rest = &a[from..];
            rest.starts_with(b) || b.starts_with(rest)
        })
    };
    a.is_empty() || b.is_empty() || follows(a, b) || follows(b, a)
}

/// Returns whether a volume lies where the engine keeps those without options: `…/NAME/_data`.
fn is_plain(name: &str, root: &[&str]) -> bool {
    root.windows(2).any(|parts| parts == [name, "_data"])
}

/// Returns whether a path is one that Docker Desktop made of another, or hides it behind a hash.
fn is_of_desktop(path: &[&str]) -> bool {
    path.starts_with(&["host_mnt"]) || path.starts_with(&["run", "desktop"]) || path.starts_with(&["mnt", "wsl"])
}

/// Returns whether one of two paths has the other's last name in it.
fn are_namesakes(a: &[&str], b: &[&str]) -> bool {
    a.last().is_some_and(|last| b.contains(last)) || b.last().is_some_and(|last| a.contains(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: &str = "/var/lib/docker/volumes/world/_data";
    const NEW: &str = "/var/lib/docker/volumes/new/_data";
    const ANONYMOUS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// A mount by its source; a volume by `NAME:PATH`.
    fn mount(text: &str) -> Mount {
        let (kind, source) = match text.split_once(':') {
            Some((name, path)) if name.len() > 1 => (MountKind::Volume(name.to_owned()), path),
            _ if text.is_empty() => (MountKind::Other, text),
            _ => (MountKind::Bind, text),
        };
        Mount { kind, source: source.to_owned(), subpath: None, destination: "/data".to_owned() }
    }

    /// What is ours: a mount, and the root that the kernel shows.
    fn own(source: &str, root: &str) -> OwnMount {
        OwnMount { mount: mount(source), root: root.to_owned(), was_moved: false }
    }

    #[test]
    fn what_is_certain_to_be_elsewhere() {
        let (world, new) = (&format!("world:{WORLD}"), &format!("new:{NEW}"));
        for (source, root, game) in [
            // Another volume, with the engine's directory on the root file system, on one of its own, in a subvolume.
            (world.as_str(), WORLD, new.as_str()),
            (world, "/volumes/world/_data", new),
            (world, "/world/_data", new),
            (world, "/@/var/lib/docker/volumes/world/_data", new),
            (world, "/@docker/volumes/world/_data", new),
            // Rootless, and Podman.
            (
                "world:/home/me/.local/share/docker/volumes/world/_data",
                "/@home/me/.local/share/docker/volumes/world/_data",
                "new:/home/me/.local/share/docker/volumes/new/_data",
            ),
            (
                "world:/var/lib/containers/storage/volumes/world/_data",
                "/var/lib/containers/storage/volumes/world/_data",
                "new:/var/lib/containers/storage/volumes/new/_data",
            ),
            // A part of a volume.
            (world, "/var/lib/docker/volumes/world/_data/server", new),
            // From a volume to a directory, from a directory to the volume that an image asks for.
            (world, WORLD, "/srv/mc"),
            ("/srv/mc", "/srv/mc", &format!("{ANONYMOUS}:/var/lib/docker/volumes/{ANONYMOUS}/_data")),
            // Another directory.
            ("/srv/mc", "/srv/mc", "/srv/mc2"),
            ("/srv/mc/data", "/srv/mc/data", "/srv/mc2/data"),
            ("/home/me/mc", "/@home/me/mc", "/home/me/other"),
            ("/home/me/mc", "/@home/me/mc", "/srv/world"),
        ] {
            assert!(is_elsewhere(&[own(source, root)], &[mount(game)]), "{source} ({root}), {game}");
        }
    }

    #[test]
    fn what_may_be_the_same() {
        let (world, new) = (&format!("world:{WORLD}"), &format!("new:{NEW}"));
        for (source, root, game) in [
            (world.as_str(), WORLD, world.as_str()),
            (world, "/@docker/volumes/world/_data", world),
            (world, "/var/lib/docker/volumes/world/_data/server", world),
            // By the path of the volume, its parents, or what is in it.
            (world, WORLD, WORLD),
            (WORLD, WORLD, world),
            (world, WORLD, "/var/lib/docker/volumes"),
            (world, WORLD, &format!("{WORLD}/server")),
            // The engine's directory has moved, or has a second name: the volume keeps its own.
            (world, "/docker/volumes/world/_data", "world:/mnt/big/docker/volumes/world/_data"),
            // Volumes with options: on NFS, of a directory, of memory, of another driver.
            ("nas:/var/lib/docker/volumes/nas/_data", "/export/mc", new),
            ("srv:/var/lib/docker/volumes/srv/_data", "/srv/mc", "/srv/mc"),
            ("srv:/var/lib/docker/volumes/srv/_data", "/srv/mc", "other:/var/lib/docker/volumes/other/_data"),
            ("srv:/var/lib/docker/volumes/srv/_data", "/srv/mc", "/link"),
            ("ram:/var/lib/docker/volumes/ram/_data", "/", new),
            ("/srv/mc", "/srv/mc", "srv:/var/lib/docker/volumes/srv/_data"),
            // The same directory, its parent, a part of it; a whole file system.
            ("/srv/mc", "/srv/mc", "/srv/mc"),
            ("/srv/mc/", "/srv/mc", "/srv/mc"),
            ("/srv/mc", "/@srv/mc", "/srv/mc/world"),
            ("/srv", "/@srv", "/srv/mc/world"),
            ("/srv/mc/world", "/mc/world", "/srv"),
            ("/mnt/disk", "/", "/mnt/disk2"),
            ("/srv/mc", "/srv/mc", "/"),
            // Ours is a link, theirs is not, and the other way around; Unraid, where a disk is part of another mount.
            ("/srv/mc", "/minecraft", "/mnt/big/minecraft"),
            ("/mnt/big/mc", "/mc", "/srv/mc"),
            ("/mnt/big/mc", "/big/mc", "/home/me/mc/world"),
            ("/home/me/mc", "/home/me/mc", "/var/home/me/mc"),
            ("/mnt/cache/appdata/mc", "/appdata/mc", "/mnt/user/appdata/mc"),
            // Docker Desktop, and what it makes of paths of Windows.
            ("/host_mnt/Users/me/mc", "/Users/me/mc", "/host_mnt/Users/me/other"),
            ("/run/desktop/mnt/host/c/mc", "/mc", "/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/Debian/5f3a"),
            ("/run/desktop/mnt/host/c/mc", "/mc", r"C:\mc"),
            (r"C:\mc", "/mc", "/srv/mc2"),
            (world, WORLD, r"C:\mc"),
            // Nothing that could be compared: no path, memory.
            (world, WORLD, "new:"),
            (world, WORLD, ""),
        ] {
            assert!(!is_elsewhere(&[own(source, root)], &[mount(game)]), "{source} ({root}), {game}");
        }
    }

    #[test]
    fn a_directory_that_was_moved_is_what_the_kernel_says() {
        for (root, game, expected) in [
            ("/srv/mc.old", "/srv/mc", true),
            ("/@srv/mc.old", "/srv/mc", true),
            ("/old/mc", "/srv/mc", true),
            ("/srv/mc.old", "/srv/mc.old", false),
            ("/@/srv/mc.old", "/srv/mc.old/world", false),
            ("/mc.old", "/srv/mc.old", false),
            ("/", "/srv/mc", false),
        ] {
            let own = OwnMount { was_moved: true, ..own("/srv/mc", root) };
            assert_eq!(is_elsewhere(&[own], &[mount(game)]), expected, "{root}, {game}");
        }
    }

    #[test]
    fn one_that_may_be_the_same_is_enough() {
        let (world, new) = (mount(&format!("world:{WORLD}")), mount(&format!("new:{NEW}")));
        let ours = own(&format!("world:{WORLD}"), WORLD);
        let nether = "nether:/var/lib/docker/volumes/nether/_data";
        let (theirs, nether) = (mount(nether), own(nether, "/var/lib/docker/volumes/nether/_data"));
        assert!(is_elsewhere(&[ours.clone(), nether.clone()], &[new.clone(), mount("/etc/localtime")]));
        assert!(!is_elsewhere(&[ours.clone(), nether.clone()], &[new.clone(), theirs]));
        assert!(!is_elsewhere(std::slice::from_ref(&ours), &[new.clone(), world]));
        // Nobody knows where one of them is.
        assert!(!is_elsewhere(&[ours.clone(), own("", "")], std::slice::from_ref(&new)));
        assert!(!is_elsewhere(&[], &[new]));
        assert!(!is_elsewhere(&[ours], &[]));
    }
}
