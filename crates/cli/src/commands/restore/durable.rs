//! Brings what was restored in place to the disk. What was there before is gone: until its successor is on the disk, a power
//! failure would leave neither.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::syncfs;

use super::origin::Part;

/// What was restored may be lost again.
#[derive(Debug, thiserror::Error)]
#[error("what was restored into {} is not certain to be on its disk: look after that, then restore again", path.display())]
pub(crate) struct NotDurable {
    path: PathBuf,
    source: io::Error,
}

/// Waits until all that was restored to `parts` is on the disk.
pub(super) fn settle(parts: &[Part]) -> Result<(), NotDurable> {
    for Part { root, .. } in parts {
        let settled = File::open(root).and_then(|root| Ok(syncfs(root)?));
        // Where nothing could be put, there is nothing.
        if let Err(source) = settled
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(NotDurable { path: root.clone(), source });
        }
    }
    Ok(())
}
