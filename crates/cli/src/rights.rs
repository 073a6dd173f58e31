//! What this process may do, as far as the system tells without trying.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::thread::{CapabilitySet, capabilities};

/// Requires that something can be made in a directory.
pub(crate) fn require_writable(directory: &Path) -> io::Result<()> {
    match access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        // Who is not root is not asked for the right to write everywhere.
        Err(rustix::io::Errno::ACCESS) if directory.is_dir() && writes_everywhere() => Ok(()),
        Err(errno) => Err(errno.into()),
        Ok(()) => Ok(()),
    }
}

fn writes_everywhere() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::DAC_OVERRIDE))
}
