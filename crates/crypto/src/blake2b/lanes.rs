//! Which ways to compress many streams this machine has.

use std::fmt;

use super::Blake2b;
#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
#[cfg(target_arch = "x86_64")]
use super::dealer::deal_out;
use super::stream::Stream;

/// How streams are compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lanes {
    /// Eight side by side.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// Four side by side.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// One after the other.
    Plain,
}

/// A message that is not taken to its end yet.
pub(crate) struct Unfinished<'a> {
    pub(crate) digest: &'a mut Blake2b,
    /// Those that were not taken.
    pub(crate) bytes: &'a [u8],
    /// Where the digest goes.
    pub(crate) place: &'a mut [u8; 32],
    /// How many bytes are left; becomes `None` when the digest is there.
    pub(crate) left: &'a mut Option<usize>,
}

impl Lanes {
    /// The ways there are on this machine, the fastest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2)].into_iter().flatten();
        #[cfg(not(target_arch = "x86_64"))]
        let wide = std::iter::empty();
        wide.chain([Self::Plain])
    }

    /// The fastest way there is on this machine.
    pub(crate) fn best() -> Self {
        Self::all().next().unwrap_or(Self::Plain)
    }

    /// How many streams go side by side.
    pub(crate) fn count(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 4,
            Self::Plain => 1,
        }
    }

    /// The digest of each message, as if a clone of `begun` had taken it.
    pub(crate) fn digest_all(self, begun: &Blake2b, messages: &[&[u8]]) -> Vec<[u8; 32]> {
        let mut places = vec![[0; 32]; messages.len()];
        let mut digests = vec![begun.clone(); messages.len()];
        let work = digests.iter_mut().zip(messages).zip(&mut places);
        self.compress(work.map(|((digest, message), place)| Stream::end(digest, message, place)), 0);
        places
    }

    /// Takes messages whose ends are at hand further, each by `most` bytes at most; with a `width`, until so many lanes are
    /// not in use any more.
    pub(crate) fn go_on<'a>(self, messages: impl Iterator<Item = Unfinished<'a>>, width: usize, most: usize) {
        self.compress(messages.map(|unfinished| Stream::end_or_later(unfinished, most)), width);
    }

    pub(super) fn compress<'a>(self, streams: impl Iterator<Item = Stream<'a>>, width: usize) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => deal_out(kernel, streams, width),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => deal_out(kernel, streams, width),
            Self::Plain => streams.for_each(Stream::finish_plainly),
        }
    }
}

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            Self::Plain => "plain",
        })
    }
}
