//! A repository in a directory: what a server would keep to itself can be seen.

use std::path::Path;

use worldkeeper_core::Stop;

use super::repository;
use super::verdict::Check;
use crate::open::OpenRepository;
use crate::place::Place;
use crate::report;
use crate::words;

const QUOTA: &str = "quota";
const SPACE: &str = "free space";

/// Less than this is soon used up.
const LITTLE_BYTES: u64 = 1 << 30;

/// Looks at the repository in a directory.
pub(super) fn checks(place: &Place, directory: &Path, stop: &Stop) -> Vec<Check> {
    let mut checks = repository::checks(place, stop, |repository| quota(repository).into_iter().collect());
    checks.push(if place.repository_is_fleeting() { fleeting(directory) } else { space(place, SPACE, directory) });
    checks
}

/// It goes with the container; how much room there is meanwhile says little.
fn fleeting(directory: &Path) -> Check {
    Check::warning(
        SPACE,
        format!(
            "{} lies in the container's own layer: it goes when this container goes, and every backup with it",
            directory.display()
        ),
        format!("mount a directory of the host there. In the compose file:\n{}", report::mount(directory)),
    )
}

/// How much of its quota is used.
fn quota(repository: &OpenRepository) -> Option<Check> {
    let space = match repository.local()?.space() {
        Ok(space) => space,
        Err(error) => return Some(Check::error(QUOTA, &error)),
    };
    Some(match (space.quota, space.quota_used) {
        (0, _) => Check::ok(QUOTA, format!("there is none, {} are used", words::bytes(space.used))),
        (quota, None) => Check::unknown(QUOTA, format!("nobody has noted how much of {} is used", words::bytes(quota))),
        (quota, Some(used)) => {
            let found = format!("{} of {} are used", words::bytes(used), words::bytes(quota));
            if used >= quota {
                Check::failed(QUOTA, found, USED_UP)
            } else if used > quota / 10 * 9 {
                Check::warning(QUOTA, found, USED_UP)
            } else {
                Check::ok(QUOTA, found)
            }
        }
    })
}

const USED_UP: &str =
    "keep fewer archives and run: worldkeeper prune; or raise it, like: worldkeeper config storage_quota 20G";

/// How much room there is where a directory is, or will be.
pub(super) fn space(place: &Place, name: &'static str, directory: &Path) -> Check {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(directory);
    match place.disk.available_bytes(there) {
        Ok(free) if free < LITTLE_BYTES => Check::warning(
            name,
            format!("no more than {} on the disk of {}", words::bytes(free), there.display()),
            "make some, or keep fewer archives",
        ),
        Ok(free) => Check::ok(name, format!("{} on the disk of {}", words::bytes(free), there.display())),
        Err(error) => Check::error(name, &error),
    }
}
