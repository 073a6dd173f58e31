//! Creating a repository.

use std::path::Path;

use worldkeeper_core::RepositoryError;
use worldkeeper_core::disk::{self, Disk};

use crate::config::Config;
use crate::options::CreateOptions;
use crate::place::{self, Place, README};

/// Creates an empty repository at an absolute path. If that fails, nothing is left of it.
///
/// The config comes last, so that an interruption leaves no half repository, but what [`Place`] calls vacant.
pub(crate) fn create(disk: &dyn Disk, path: &Path, options: &CreateOptions) -> Result<(), RepositoryError> {
    let exists = require_vacant(disk, path)?;
    if !exists {
        if options.make_parent_dirs {
            disk::create_dir_all(disk, disk::parent(path))?;
        }
        disk.create_dir(path).map_err(|error| {
            // What is not there then is not above it: the file system takes no directory.
            if error.is_not_found() && !options.make_parent_dirs {
                let reason = "the directory it should be created in does not exist".to_owned();
                RepositoryError::NotARepository { path: path.display().to_string(), reason }
            } else {
                error.into()
            }
        })?;
    }
    let filled = disk.sync_dir(disk::parent(path)).map_err(Into::into).and_then(|()| fill(disk, path, options));
    if filled.is_err() {
        // What cannot be removed is what an interruption would have left.
        let _ = disk.remove_file(&path.join("config"));
        let _ = disk.remove_dir(&path.join("data"));
        let _ = disk.remove_file(&path.join("README"));
        if !exists {
            let _ = disk.remove_dir(path);
        }
    }
    filled
}

fn fill(disk: &dyn Disk, path: &Path, options: &CreateOptions) -> Result<(), RepositoryError> {
    disk::replace(disk, &path.join("README"), README.as_bytes())?;
    disk::create_dir_all(disk, &path.join("data"))?;
    Config::new(options).save(disk, path)
}

/// Requires that a repository may be created at `path`; returns whether the directory is there.
fn require_vacant(disk: &dyn Disk, path: &Path) -> Result<bool, RepositoryError> {
    let exists = match Place::look(disk, path)? {
        Place::Missing => false,
        Place::Vacant => true,
        Place::Repository | Place::Borg2(_) => return Err(RepositoryError::AlreadyExists(path.display().to_string())),
        Place::Other(_) if place::says_it_is_a_repository(disk, path) => {
            return Err(RepositoryError::AlreadyExists(path.display().to_string()));
        }
        Place::Other(reason) => {
            return Err(RepositoryError::NotARepository { path: path.display().to_string(), reason });
        }
    };
    // A repository below another one would lie among its segments, and escape its quota.
    for above in path.ancestors().skip(1) {
        if place::says_it_is_a_repository(disk, above) {
            return Err(RepositoryError::AlreadyExists(above.display().to_string()));
        }
    }
    Ok(exists)
}
