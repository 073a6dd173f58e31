//! Which instructions the search runs on: chosen once for each chunker, and the same cuts with all.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};

/// What the search for buzhash cuts is made of. The cuts are the same with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Those that every processor has.
    Plain,
    /// AVX2: 32 bytes a step.
    Avx2,
    /// AVX-512 with byte permutations (VBMI): 64 bytes a step.
    Avx512,
}

impl Instructions {
    /// All there are, the slowest first.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rfind(|instructions| instructions.are_available()).unwrap_or(Self::Plain)
    }

    /// Returns whether this processor has them.
    pub fn are_available(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        })
    }
}

/// The search in whole blocks, with the instructions chosen for it.
#[derive(Clone)]
pub(super) enum Blocks {
    /// The processor has nothing to do them with, or the window is too long: all is left to the plain path.
    None,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Blocks {
    /// With these instructions, for a table of what a byte adds when it enters and a window of so many bytes.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "what there is is for x86-64"))]
    pub(super) fn new(instructions: Instructions, entering: &[u32; 256], window: usize) -> Self {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Avx2::new(entering, window).map_or(Self::None, Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => Avx512::new(entering, window).map_or(Self::None, Self::Avx512),
            _ => Self::None,
        }
    }

    /// Moves the window, which ends before byte `begin`, along `bytes` by as many whole blocks as are left of them:
    /// `Ok` is the number of bytes up to a hit, `Err` the number of bytes without one and the hash after them.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "what there is is for x86-64"))]
    pub(super) fn roll(&mut self, mask: u32, hash: u32, bytes: &[u8], begin: usize) -> Result<usize, (usize, u32)> {
        match self {
            Self::None => Err((0, hash)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(search) => search.roll(mask, hash, bytes, begin),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(search) => search.roll(mask, hash, bytes, begin),
        }
    }
}
