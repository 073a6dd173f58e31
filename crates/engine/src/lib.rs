//! Create, extract, list, check, prune, delete, compact: the only place the pieces meet.

pub(crate) mod attributes;
pub(crate) mod restore;
pub(crate) mod source;
