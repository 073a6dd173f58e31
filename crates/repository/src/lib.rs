//! A borg repository on a disk: segments, index, hints, integrity, locks, compaction.
