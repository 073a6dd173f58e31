//! Whether what is restored may go to where it is meant to go: all of that is looked at before any of it is touched.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use worldkeeper_engine::ExtractError;

use super::origin::Part;
use super::{RestoreProblem, sidecar};
use crate::args::Restore;
use crate::place::Place;
use crate::rights::require_writable;

/// Requires that all targets can be written to, and that nothing is there that may not be replaced: nothing at all, or where
/// paths were `named`, nothing at these. `archive` is what a line that can restore it has to name.
pub(super) fn require_free(
    place: &Place,
    targets: &[PathBuf],
    named: &[Part],
    options: &Restore,
    archive: &str,
) -> anyhow::Result<()> {
    for target in targets {
        let (absolute, existing) = existing(target)?;
        let mount = statvfs(&existing).map_err(|error| failed(target, error.into()))?;
        if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
            let lines = sidecar::lines(place, &absolute, archive)?;
            return Err(RestoreProblem::ReadOnly { path: target.clone(), lines }.into());
        }
    }
    if options.overwrite {
        return Ok(());
    }
    if named.is_empty() {
        targets.iter().try_for_each(|target| require_empty(target))?;
    }
    for Part { root, paths } in named {
        let there = paths.iter().map(|path| root.join(OsStr::from_bytes(path))).find(|path| is_taken(path));
        there.map_or(Ok(()), |path| Err(RestoreProblem::Exists(path)))?;
    }
    // Something has to be made in it. Of the sources, not all need be meant.
    options
        .to
        .as_deref()
        .map_or(Ok(()), |target| require_writable(&existing(target)?.1).map_err(|source| failed(target, source)))?;
    Ok(())
}

/// Says that not all is there, if something may be.
pub(super) fn incomplete(targets: &[PathBuf], writes_files: bool, source: ExtractError) -> anyhow::Error {
    let has_some = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    match targets.iter().find(|path| writes_files && has_some(path)) {
        Some(path) => RestoreProblem::Incomplete { path: path.clone(), source }.into(),
        None => source.into(),
    }
}

fn require_empty(target: &Path) -> Result<(), RestoreProblem> {
    match fs::read_dir(target).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(RestoreProblem::NotEmpty(target.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(target, error)),
        _ => Ok(()),
    }
}

/// Returns whether something is there that would be replaced: all but a directory with nothing in it, such as a new volume.
fn is_taken(path: &Path) -> bool {
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir() || !is_empty())
}

/// A target in full, and the last directory on the way to it that is there.
fn existing(target: &Path) -> Result<(PathBuf, PathBuf), RestoreProblem> {
    let absolute = std::path::absolute(target).map_err(|source| failed(target, source))?;
    let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
    Ok((absolute, existing))
}

fn failed(target: &Path, source: io::Error) -> RestoreProblem {
    RestoreProblem::Target { path: target.to_owned(), source }
}
