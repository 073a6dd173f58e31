//! Bodies of fuzz targets: whatever the bytes of a file are, reading it ends, takes no more room than there are bytes, and
//! what was read is written and read again alike.

use std::sync::Arc;

use worldkeeper_core::disk::{DiskError, DiskFile};

use crate::config::Config;
use crate::hints::Hints;
use crate::index::Index;
use crate::integrity::Integrity;
use crate::lock::Roster;
use crate::segment::{Body, PutHeader, SegmentReader};

/// A segment.
///
/// # Panics
///
/// If what was read does not read back.
pub fn segment(bytes: &[u8]) {
    let Ok(mut reader) = SegmentReader::new(Arc::new(File(bytes.to_vec())), 0) else { return };
    while let Ok(Some(entry)) = reader.next() {
        let header = match entry.body {
            Body::Put(id) => PutHeader::encode_put(id, &entry.bytes[PutHeader::LEN..]),
            Body::Delete(id) => PutHeader::encode_delete(id),
            Body::Commit => continue,
        };
        assert!(entry.bytes.starts_with(&header), "what was read is what would be written");
        assert!(bytes[entry.offset as usize..].starts_with(entry.bytes));
    }
}

/// An index.
///
/// # Panics
///
/// If what was read does not read back.
pub fn index(bytes: &[u8]) {
    const NAME: &str = "index.1";
    let Ok(mut index) = Index::load(&File(bytes.to_vec()), NAME, None) else { return };
    // A table that nobody has written may hold an id twice, or where it is not looked for.
    let found: Vec<_> = index.iter().filter(|(id, location)| index.get(id) == Some(*location)).collect();
    let mut file = File::default();
    let digests = index.save(&mut file, NAME).expect("memory can be written to");
    let again = Index::load(&file, NAME, Some(&digests)).expect("what was written can be read");
    assert_eq!(again.len(), index.len());
    for (id, location) in found {
        assert_eq!(again.get(&id), Some(location));
        index.remove(&id);
    }
}

/// Hints.
///
/// # Panics
///
/// If what was read does not read back.
pub fn hints(bytes: &[u8]) {
    if let Ok(hints) = Hints::decode(bytes) {
        assert_eq!(Hints::decode(&hints.encode()).ok(), Some(hints));
    }
}

/// An integrity file.
///
/// # Panics
///
/// If what was read does not read back.
pub fn integrity(bytes: &[u8]) {
    if let Ok(Integrity { hints: Some(hints), index: Some(index) }) = Integrity::decode(bytes) {
        let again = Integrity::decode(&Integrity::encode(&hints, &index)).expect("what was written can be read");
        assert_eq!((again.hints, again.index), (Some(hints), Some(index)));
    }
}

/// The configuration.
///
/// # Panics
///
/// If what was read does not read back.
pub fn config(bytes: &[u8]) {
    if let Ok(mut config) = Config::parse(bytes, "/repository") {
        let again = Config::parse(config.text().as_bytes(), "/repository").expect("what was written can be read");
        assert_eq!(again.text(), config.text());
        assert_eq!(again.key(), config.key());
        config.set_key("a2V5\nb2Y=");
        let again = Config::parse(config.text().as_bytes(), "/repository").expect("what was written can be read");
        assert_eq!(again.key(), Some("a2V5\nb2Y="));
    }
}

/// A roster of locks.
///
/// # Panics
///
/// If what was read does not read back.
pub fn roster(bytes: &[u8]) {
    if let Ok(roster) = Roster::decode(bytes) {
        assert_eq!(Roster::decode(&roster.encode()), Ok(roster));
    }
}

/// A file in memory.
#[derive(Default)]
struct File(Vec<u8>);

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DiskError> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.0.len() as u64)
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}
