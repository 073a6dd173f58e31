//! Names of files, in paths of any bytes.

/// The last name of a path.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Returns whether the last folders of a path are these.
pub(crate) fn is_within(path: &[u8], folders: &[&str]) -> bool {
    let mut names = path.rsplit(|byte| *byte == b'/').skip(1);
    folders.iter().rev().all(|folder| names.next() == Some(folder.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_whole_names() {
        assert_eq!(name(b"world/level.dat"), b"level.dat");
        assert_eq!(name(b"level.dat"), b"level.dat");
        assert!(is_within(b"/srv/world/players/data/a.dat", &["players", "data"]));
        assert!(!is_within(b"/srv/world/players/data/a.dat", &["players"]));
        assert!(!is_within(b"xdata/a.dat", &["data"]) && !is_within(b"a.dat", &["data"]));
    }
}
