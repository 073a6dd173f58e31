//! Segments that are kept open, because the next object is likely to be in one of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use worldkeeper_core::DiskError;
use worldkeeper_core::disk::DiskFile;

use crate::sync::lock;

/// How many files are kept open.
const CAPACITY: usize = 64;

/// The files that were used last.
#[derive(Default)]
pub(super) struct OpenFiles(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    files: HashMap<u32, (u64, Arc<dyn DiskFile>)>,
    /// Grows with each use; the least number stands with the file that was not used for longest.
    uses: u64,
}

impl OpenFiles {
    /// Returns the open file, or opens it.
    pub(super) fn get_or_open(
        &self,
        segment: u32,
        open: impl FnOnce() -> Result<Box<dyn DiskFile>, DiskError>,
    ) -> Result<Arc<dyn DiskFile>, DiskError> {
        if let Some(file) = lock(&self.0).touch(segment) {
            return Ok(file);
        }
        // Not under the mutex: opening may take its time. Two threads may then open the same file, to no harm.
        let file: Arc<dyn DiskFile> = open()?.into();
        let mut inner = lock(&self.0);
        if inner.files.len() >= CAPACITY
            && let Some(oldest) = inner.files.iter().min_by_key(|(_, (used, _))| *used).map(|(segment, _)| *segment)
        {
            inner.files.remove(&oldest);
        }
        inner.uses += 1;
        let uses = inner.uses;
        inner.files.insert(segment, (uses, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes a file whose name will soon belong to another one, or to none.
    pub(super) fn forget(&self, segment: u32) {
        lock(&self.0).files.remove(&segment);
    }
}

impl Inner {
    fn touch(&mut self, segment: u32) -> Option<Arc<dyn DiskFile>> {
        self.uses += 1;
        let (used, file) = self.files.get_mut(&segment)?;
        *used = self.uses;
        Some(Arc::clone(file))
    }
}
