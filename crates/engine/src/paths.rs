//! Paths of any bytes, as archives hold them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of an archive or a directory as a path, for messages.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// A path without its first `count` components; empty if it has no more. As stock counts, by the slashes alone.
pub(crate) fn strip_components(path: &[u8], count: usize) -> &[u8] {
    let Some(last) = count.checked_sub(1) else { return path };
    let slash = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').nth(last);
    slash.map_or(&[], |(place, _)| &path[place + 1..])
}

/// Python's `os.path.normpath`: no empty and no `.` components, `..` resolved by its letters. Two slashes in front
/// stay two, as POSIX allows them a meaning.
pub(crate) fn normalise(path: &[u8]) -> Vec<u8> {
    let slashes = match path.iter().take_while(|&&byte| byte == b'/').count() {
        few @ 0..=2 => few,
        _ => 1,
    };
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => match components.last() {
                Some(&b"..") => components.push(component),
                Some(_) => _ = components.pop(),
                None if slashes == 0 => components.push(component),
                None => {}
            },
            _ => components.push(component),
        }
    }
    let mut normal = vec![b'/'; slashes];
    normal.extend_from_slice(&components.join(&b'/'));
    if normal.is_empty() { b".".to_vec() } else { normal }
}
