//! Create, extract, list, check, prune, delete, compact: the only place the pieces meet.
