//! What this process has mounted, as the kernel says: `/proc/self/mountinfo`.

use std::fs;
use std::path::{Path, PathBuf};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountLine {
    /// The path of what is mounted, on its own file system, as it is now: what was moved there has its new path.
    pub(crate) root: String,
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// The kind of the file system.
    pub(crate) kind: String,
}

impl MountLine {
    /// Reads the table; nothing where there is none.
    pub(crate) fn all() -> Vec<Self> {
        Self::parse_all(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    pub(crate) fn parse_all(table: &str) -> Vec<Self> {
        table.lines().filter_map(Self::parse).collect()
    }

    /// Reads `36 35 98:0 /root /point options optional… - kind device options`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?).into());
        Some(Self { root, point, kind: unescaped(system.split(' ').next()?) })
    }

    /// What a path lies on: of those that are mounted there, the one on top.
    pub(crate) fn covering<'a>(table: &'a [Self], path: &Path) -> Option<&'a Self> {
        let covering = table.iter().filter(|mount| path.starts_with(&mount.point));
        covering.max_by_key(|mount| mount.point.components().count())
    }
}

/// Undoes the kernel's `\040` for blanks and the like.
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, behind)) = rest.split_once('\\') {
        text.push_str(before);
        let octal = behind.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let (character, skip) = octal.map_or(('\\', 0), |byte| (char::from(byte), 3));
        text.push(character);
        rest = &behind[skip..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines from inside containers of Docker 20.10.24 on ext4: a volume, a directory with a blank in its name, the same after
    /// it was moved and after it was removed, and the engine's own. And one of btrfs, as proc(5) and btrfs(5) have it.
    #[test]
    fn lines_are_read() {
        const SYSTEM: &str = "ext4 /dev/vda rw,discard";
        for (line, root, point, kind) in [
            (
                format!("93 76 254:0 /var/lib/docker/volumes/world/_data /data ro,relatime master:1 - {SYSTEM}"),
                "/var/lib/docker/volumes/world/_data",
                "/data",
                "ext4",
            ),
            (format!("94 76 254:0 /srv/my\\040world /bind rw,relatime - {SYSTEM}"), "/srv/my world", "/bind", "ext4"),
            (format!("94 76 254:0 /srv/old\\040world /bind rw,relatime - {SYSTEM}"), "/srv/old world", "/bind", "ext4"),
            (
                format!("94 76 254:0 /srv/old\\040world//deleted /bind rw,relatime - {SYSTEM}"),
                "/srv/old world//deleted",
                "/bind",
                "ext4",
            ),
            ("96 76 0:48 / /t rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw".to_owned(), "/", "/t", "tmpfs"),
            (
                "700 690 0:31 /@home/me/mc /data ro shared:3 master:1 - btrfs /dev/sda2 rw,subvolid=257,subvol=/@home"
                    .to_owned(),
                "/@home/me/mc",
                "/data",
                "btrfs",
            ),
        ] {
            let expected = MountLine { root: root.to_owned(), point: point.into(), kind: kind.to_owned() };
            assert_eq!(MountLine::parse(&line), Some(expected), "{line}");
        }
        for line in ["", "short line", "1 2 3:4 /root /point rw", "1 2 3:4 - ext4"] {
            assert_eq!(MountLine::parse(line), None, "{line}");
        }
        assert_eq!(unescaped("a\\040b\\134\\x"), "a b\\\\x");
    }

    #[test]
    fn a_path_lies_on_what_was_mounted_there_last() {
        let table = MountLine::parse_all(
            "1 0 0:50 / / rw - overlay overlay rw\n2 1 8:1 /a /data rw - ext4 a rw\n3 1 8:1 /b /data rw - ext4 b rw\n",
        );
        let root = |path: &str| MountLine::covering(&table, Path::new(path)).map(|mount| mount.root.as_str());
        assert_eq!(root("/data/world"), Some("/b"));
        assert_eq!(root("/database"), Some("/"));
    }
}
