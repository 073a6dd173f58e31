//! Why a tar cannot be taken.

use std::io;

use crate::attributes::Escaped;

/// A tar is broken, or holds what no archive may.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// It cannot be read, or what compressed it cannot be undone.
    #[error("cannot read the tar from offset {offset} on")]
    Read {
        /// In the tar, in bytes.
        offset: u64,
        /// What came instead.
        source: io::Error,
    },
    /// It is something else.
    #[error("this is no tar: it does not begin with a valid header: {problem}")]
    NoTar {
        /// What is wrong with what it begins with.
        problem: &'static str,
    },
    /// It has an end, but no end mark.
    #[error("the tar is cut off: it ends at offset {offset} without an end mark")]
    Endless {
        /// Where it ends, in bytes.
        offset: u64,
    },
    /// It ends within a member.
    #[error("the tar is cut off: it ends at offset {offset} within {}", Escaped(path))]
    CutOff {
        /// Where it ends, in bytes.
        offset: u64,
        /// The member; of a header that does not say it, the one before.
        path: Vec<u8>,
    },
    /// What should be a header is none.
    #[error("the tar is broken: at offset {offset}, after {}, is no valid header: {problem}", after(path))]
    Header {
        /// Where it begins, in bytes.
        offset: u64,
        /// The member before.
        path: Vec<u8>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A member is described in a way that makes no sense, or may not be in an archive.
    #[error("{} at offset {offset} of the tar cannot be taken: {problem}", Escaped(path))]
    Member {
        /// Where its header begins, in bytes.
        offset: u64,
        /// As in the tar.
        path: Vec<u8>,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn after(path: &[u8]) -> String {
    if path.is_empty() { "nothing".to_owned() } else { Escaped(path).to_string() }
}
