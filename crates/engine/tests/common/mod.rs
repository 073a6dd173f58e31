//! What several tests ask of a session.

use std::collections::BTreeSet;

use worldkeeper_core::ChunkId;
use worldkeeper_engine::Session;

/// Every object that the archives of a repository refer to.
pub(crate) fn referenced(session: &Session) -> BTreeSet<ChunkId> {
    let mut referenced = BTreeSet::new();
    for archive in session.archives() {
        let open = session.open_archive(&archive).unwrap();
        referenced.insert(archive.id);
        referenced.extend(open.metadata.items.iter().copied());
        for item in session.items(&open) {
            referenced.extend(item.unwrap().chunks.iter().flatten().map(|chunk| chunk.id));
        }
    }
    referenced
}
