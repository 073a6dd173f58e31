//! What steps take of the budget, so that small ones are bounded too.

use worldkeeper_archive::Item;

use super::buffers::SMALL;

/// The bytes of a step that carries so many: something is added for being a step.
pub(crate) fn step_bytes(bytes: usize) -> usize {
    bytes + 512
}

/// The bytes of a chunk of `len` on its way. A small one counts twice: it and its object each have memory that is not of the
/// piece that large ones share, and there are many for each that is large.
pub(crate) fn chunk_bytes(len: usize) -> usize {
    if len < SMALL { 2 * len } else { len }
}

/// The bytes that an item has where they can be many.
pub(crate) fn item_bytes(item: &Item) -> usize {
    let raw = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let chunks = item.chunks.iter().chain(&item.chunks_healthy).map(|chunks| size_of_val(&chunks[..]));
    let xattrs = item.xattrs.iter().flatten().map(|xattr| size_of_val(xattr) + xattr.0.len() + xattr.1.len());
    let acls = [&item.acl_access, &item.acl_default, &item.acl_nfs4, &item.acl_extended].map(raw);
    item.path.len() + raw(&item.source) + chunks.chain(xattrs).chain(acls).sum::<usize>()
}
