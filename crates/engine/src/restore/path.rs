//! Paths of archives, taken apart before anything is done with them.

use super::error::RestoreError;

/// The components of a path from an archive, beneath the target; none for the target itself.
///
/// Empty and `.` components mean nothing and are left out. A path that starts with a slash, has a `..` or holds a NUL
/// was never written by a borg.
pub(super) fn components(path: &[u8]) -> Result<Vec<&[u8]>, RestoreError> {
    let outside = || RestoreError::Outside { path: path.to_vec() };
    if path.is_empty() || path.starts_with(b"/") || path.contains(&0) {
        return Err(outside());
    }
    let components: Vec<_> = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if components.contains(&&b".."[..]) { Err(outside()) } else { Ok(components) }
}

/// Returns whether `path` lies in the directory `directory`, both taken apart.
pub(super) fn is_beneath(path: &[&[u8]], directory: &[Vec<u8>]) -> bool {
    path.len() > directory.len() && path.iter().zip(directory).all(|(a, b)| *a == b.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_beneath_is_taken() {
        for (path, parts) in [
            ("a", &["a"][..]),
            ("a/b", &["a", "b"]),
            ("./a//b/.", &["a", "b"]),
            (".", &[]),
            ("..a/...", &["..a", "..."]),
            ("a\\..\\b", &["a\\..\\b"]),
        ] {
            let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(components(path.as_bytes()).unwrap(), parts, "{path}");
        }
        for path in ["", "/", "/etc/passwd", "..", "../x", "a/..", "a/../../b", "a\0b", "//a"] {
            assert!(matches!(components(path.as_bytes()), Err(RestoreError::Outside { .. })), "{path}");
        }
    }

    #[test]
    fn beneath_is_a_matter_of_whole_components() {
        let directory = [b"a".to_vec(), b"b".to_vec()];
        assert!(is_beneath(&[b"a", b"b", b"c"], &directory));
        assert!(!is_beneath(&[b"a", b"b"], &directory));
        assert!(!is_beneath(&[b"a", b"bc", b"c"], &directory));
        assert!(is_beneath(&[b"a"], &[]));
    }
}
