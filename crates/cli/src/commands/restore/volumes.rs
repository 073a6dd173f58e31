//! What another container must have mounted to find what is here where we have it.
//!
//! Where a mount is from on its host the engine alone can tell: the kernel's table has the path within the file system,
//! which is that of something else, or of nothing, wherever this is not the host's root. So where the engine does not say, a
//! blank is left, which no engine takes for a path or a name.

use std::path::{Path, PathBuf};

use worldkeeper_docker::{Container, Mount, MountKind};

use crate::commands::ourselves;
use crate::mounts::MountLine;
use crate::place::Place;

/// What stands before the path of a mount in place of where it is from. No volume's name has a slash in it.
pub(crate) const BLANK_HOST_PATH: &str = "HOST-PATH-OF-";

/// What stands in place of our image's name. No image's name has large letters.
pub(crate) const BLANK_IMAGE: &str = "IMAGE-OF-WORLDKEEPER";

/// What is known of the container that we run in.
pub(super) struct Ours {
    /// What its engine says.
    container: Option<Container>,
    /// What the kernel says.
    table: Vec<MountLine>,
}

impl Ours {
    /// Asks both.
    pub(super) fn look(place: &Place) -> Self {
        let table = MountLine::all();
        let container = ourselves::id(&table).and_then(|id| ourselves::described(&place.settings.docker.value, &id));
        Self { container, table }
    }

    /// Our image, or a blank.
    pub(super) fn image(&self) -> &str {
        self.container.as_ref().and_then(|container| container.image.as_deref()).unwrap_or(BLANK_IMAGE)
    }

    /// The words that mount what `paths` lie on, and what is mounted beneath those of them that are `trees`.
    pub(super) fn words(&self, trees: &[PathBuf], paths: &[PathBuf]) -> Vec<String> {
        let mut points: Vec<PathBuf> = Vec::new();
        let beneath = trees.iter().flat_map(|tree| self.beneath(tree));
        let covering = |path: &PathBuf| self.covering(path).unwrap_or_else(|| path.clone());
        for point in trees.iter().chain(paths).map(covering).chain(beneath) {
            if !points.contains(&point) {
                points.push(point);
            }
        }
        points.iter().flat_map(|point| self.mount(point)).collect()
    }

    /// Returns whether a path lies on something that is mounted, and not in the container's own layer.
    pub(super) fn has_mounted(&self, path: &Path) -> bool {
        self.covering(path).is_some()
    }

    fn covering(&self, path: &Path) -> Option<PathBuf> {
        let covering = self.points().into_iter().filter(|point| path.starts_with(point));
        covering.max_by_key(|point| point.components().count())
    }

    fn beneath(&self, tree: &Path) -> Vec<PathBuf> {
        self.points().into_iter().filter(|point| point != tree && point.starts_with(tree)).collect()
    }

    /// Where something is mounted from outside that lasts.
    fn points(&self) -> Vec<PathBuf> {
        /// What is made by the kernel, or in memory.
        const FLEETING: [&str; 7] = ["tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"];
        if let Some(container) = &self.container {
            let lasting = container.mounts.iter().filter(|mount| mount.kind != MountKind::Other);
            return lasting.map(|mount| PathBuf::from(&mount.destination)).collect();
        }
        let lasting = self.table.iter().filter(|line| !FLEETING.contains(&line.kind.as_str()));
        lasting.map(|line| line.point.clone()).filter(|point| point != Path::new("/")).collect()
    }

    /// The words that mount the same there.
    fn mount(&self, point: &Path) -> [String; 2] {
        let known = self.container.iter().flat_map(|container| &container.mounts);
        let known = known.into_iter().find(|mount| Path::new(&mount.destination) == point);
        let point = point.display();
        let volume = |source: &str| ["--volume".to_owned(), format!("{source}:{point}")];
        match known {
            Some(Mount { kind: MountKind::Volume(name), subpath: Some(subpath), .. }) => {
                ["--mount".to_owned(), format!("type=volume,source={name},target={point},volume-subpath={subpath}")]
            }
            Some(Mount { kind: MountKind::Volume(name), .. }) => volume(name),
            Some(Mount { kind: MountKind::Bind, source, .. }) if is_part_of_host(source) => volume(source),
            _ => volume(&format!("{BLANK_HOST_PATH}{point}")),
        }
    }
}

/// Returns whether it names a place on the host that is not all of the host: to restore there by mistake would be its end.
fn is_part_of_host(source: &str) -> bool {
    !source.chars().all(|character| character == '/')
}

#[cfg(test)]
mod tests {
    use worldkeeper_docker::State;

    use super::*;

    /// What a sidecar sees whose world is on a disk of its own, the plugins on another, the rest on the host's root.
    const TABLE: &str = "\
        600 500 0:50 / / ro,relatime - overlay overlay ro\n\
        601 600 8:17 /mc/world /data ro,relatime - ext4 /dev/sdb1 rw\n\
        602 601 8:33 / /data/plugins ro,relatime - ext4 /dev/sdc1 rw\n\
        603 601 0:60 / /data/cache rw - tmpfs tmpfs rw\n\
        604 600 8:1 /var/lib/docker/volumes/state/_data /state rw - ext4 /dev/sda1 rw\n\
        605 600 8:1 /srv/my\\040backups /repository rw - ext4 /dev/sda1 rw\n\
        606 600 0:61 / /proc rw - proc proc rw\n";

    fn mount(kind: MountKind, source: &str, destination: &str) -> Mount {
        Mount { kind, source: source.to_owned(), subpath: None, destination: destination.to_owned() }
    }

    fn volume(name: &str, destination: &str) -> Mount {
        mount(MountKind::Volume(name.to_owned()), &format!("/var/lib/docker/volumes/{name}/_data"), destination)
    }

    fn ours(mounts: Option<Vec<Mount>>) -> Ours {
        let container = mounts.map(|mounts| Container {
            name: "worldkeeper".parse().unwrap(),
            state: State::Running,
            mounts,
            image: Some("registry.example/worldkeeper:1".to_owned()),
            started: None,
            finished: None,
        });
        Ours { container, table: MountLine::parse_all(TABLE) }
    }

    fn words(ours: &Ours, trees: &[&str], paths: &[&str]) -> Vec<String> {
        let [trees, paths] = [trees, paths].map(|paths| paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        ours.words(&trees, &paths).into_iter().filter(|word| word != "--volume").collect()
    }

    #[test]
    fn where_the_engine_says_what_is_mounted_that_is_named() {
        let ours = ours(Some(vec![
            mount(MountKind::Bind, "/mnt/games/mc/world", "/data"),
            mount(MountKind::Bind, "/mnt/ssd", "/data/plugins"),
            mount(MountKind::Other, "", "/data/cache"),
            volume("state", "/state"),
            mount(MountKind::Bind, "/srv/my backups", "/repository"),
        ]));
        let expected =
            ["/mnt/games/mc/world:/data", "/srv/my backups:/repository", "state:/state", "/mnt/ssd:/data/plugins"];
        assert_eq!(words(&ours, &["/data"], &["/repository/r", "/state", "/state/keys"]), expected);
        assert_eq!(words(&ours, &["/data/world"], &[]), ["/mnt/games/mc/world:/data"]);
        assert_eq!(words(&ours, &["/data/plugins/one"], &[]), ["/mnt/ssd:/data/plugins"]);
        assert_eq!(ours.image(), "registry.example/worldkeeper:1");
    }

    #[test]
    fn a_part_of_a_volume_is_mounted_as_that() {
        let world = Mount { subpath: Some("mc/world".to_owned()), ..volume("games", "/data") };
        let expected = ["--mount", "type=volume,source=games,target=/data,volume-subpath=mc/world"];
        assert_eq!(words(&ours(Some(vec![world])), &["/data"], &[]), expected);
    }

    #[test]
    fn where_nobody_says_it_a_blank_is_left() {
        let unknown = ours(None);
        let expected = [
            "HOST-PATH-OF-/data:/data",
            "HOST-PATH-OF-/repository:/repository",
            "HOST-PATH-OF-/elsewhere:/elsewhere",
            "HOST-PATH-OF-/data/plugins:/data/plugins",
        ];
        assert_eq!(words(&unknown, &["/data"], &["/repository", "/elsewhere"]), expected);
        assert_eq!(unknown.image(), "IMAGE-OF-WORLDKEEPER");
        assert!(unknown.has_mounted(Path::new("/state/keys")) && !unknown.has_mounted(Path::new("/root/keys")));
        // All of the host, a kind that nobody knows, and what is in the container's own layer.
        for source in ["/", "//", ""] {
            let ours = ours(Some(vec![mount(MountKind::Bind, source, "/data")]));
            assert_eq!(words(&ours, &["/data"], &[]), ["HOST-PATH-OF-/data:/data"], "{source:?}");
        }
        assert_eq!(words(&ours(Some(Vec::new())), &["/data"], &[]), ["HOST-PATH-OF-/data:/data"]);
    }
}
