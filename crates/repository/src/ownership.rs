//! Whose the files are that root makes.
//!
//! A command by hand often runs as root, beside a daemon that does not. What it leaves in that one's directory must be that
//! one's own: a state file or a segment that only root may read is in its way for ever.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

/// Who an owner is that has no number within a user namespace, such as that of a rootless engine.
const NOBODY: u32 = 65534;

/// Gives what was just made at `path`, and is open as `made`, to the owner of the directory that it lies in, where root has made it.
/// Where even root may not, it stays as it is.
pub(crate) fn follow(made: impl AsFd, path: &Path) {
    if let Some((user, group)) = heir(path) {
        _ = fchown(made, Some(user), Some(group));
    }
}

/// The same of a directory that was just made, if nobody has put something else in its place since.
pub(crate) fn directory_follows(path: &Path) {
    let Some((user, group)) = heir(path) else { return };
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits() as i32;
    let open = || -> io::Result<_> {
        let made = File::options().read(true).custom_flags(flags).open(path)?;
        let owner = made.metadata()?.uid();
        Ok((made, owner))
    };
    if let Ok((made, owner)) = open()
        && owner == geteuid().as_raw()
    {
        _ = fchown(made, Some(user), Some(group));
    }
}

/// Who is to have what root makes at `path`, as numbers of a user and a group; nobody, if it is root's anyway.
fn heir(path: &Path) -> Option<(u32, u32)> {
    // What is given away is still to be used.
    let may_all = || capabilities(None).is_ok_and(|ours| ours.effective.contains(CapabilitySet::DAC_OVERRIDE));
    if !geteuid().is_root() || !may_all() {
        return None;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = fs::metadata(directory).ok()?;
    let is_somebody = ![0, NOBODY].contains(&owner.uid());
    is_somebody.then_some((owner.uid(), owner.gid()))
}
