//! File flags: borg stores those three of BSD that Linux has as inode flags.
//!
//! Source: borg 1.4 `platform/linux.pyx`, `BSD_TO_LINUX_FLAGS`.

use rustix::fs::{IFlags, StatxAttributes};

/// Each flag as borg stores it, as statx tells it, as the inode holds it.
const FLAGS: [(u32, StatxAttributes, IFlags); 3] = [
    (1, StatxAttributes::NODUMP, IFlags::NODUMP),
    (2, StatxAttributes::IMMUTABLE, IFlags::IMMUTABLE),
    (4, StatxAttributes::APPEND, IFlags::APPEND),
];

/// The flags of a directory or a regular file as borg stores them; borg knows none on anything else.
///
/// statx tells them without the file being opened.
pub(crate) fn from_attributes(attributes: StatxAttributes) -> u32 {
    FLAGS.iter().filter(|(_, attribute, _)| attributes.contains(*attribute)).map(|(flag, ..)| flag).sum()
}

/// The inode flags that a file with `inode_flags` has to be given, so that of those that borg knows it has `bsdflags`.
pub(crate) fn to_inode_flags(bsdflags: u32, inode_flags: IFlags) -> IFlags {
    FLAGS.iter().fold(inode_flags, |flags, &(flag, _, inode_flag)| {
        if bsdflags & flag == 0 { flags.difference(inode_flag) } else { flags.union(inode_flag) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_finds_its_counterpart_and_others_stay() {
        let all = StatxAttributes::NODUMP | StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        assert_eq!(from_attributes(all | StatxAttributes::COMPRESSED), 7);
        assert_eq!(from_attributes(StatxAttributes::empty()), 0);
        assert_eq!(to_inode_flags(1, IFlags::NOATIME | IFlags::APPEND), IFlags::NOATIME | IFlags::NODUMP);
        assert_eq!(to_inode_flags(6, IFlags::empty()), IFlags::IMMUTABLE | IFlags::APPEND);
    }
}
