//! Many streams at once: each lane of a kernel takes one, and the next when it has none left.

use super::Blake2b;
use super::stream::Stream;

/// How streams are compressed on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// One after the other.
    Plain,
}

impl Lanes {
    /// The fastest way there is here.
    pub(crate) fn best() -> Self {
        Self::Plain
    }

    /// How many streams go side by side.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Plain => 1,
        }
    }

    /// Gives each state its bytes.
    pub(crate) fn update<'a>(self, work: impl Iterator<Item = (&'a mut Blake2b, &'a [u8])>) {
        self.run(work.map(|(digest, bytes)| Stream::piece(digest, bytes)));
    }

    /// Clones `begun` for each message, and puts the digests into the places.
    pub(crate) fn digest_all(self, begun: &Blake2b, messages: &[&[u8]], places: &mut [[u8; 32]]) {
        let work = messages.iter().zip(places);
        self.run(work.map(|(message, place)| Stream::end(begun.clone(), message, place)));
    }

    fn run<'a, D: std::borrow::BorrowMut<Blake2b>>(self, streams: impl Iterator<Item = Stream<'a, D>>) {
        match self {
            Self::Plain => streams.for_each(Stream::finish_plainly),
        }
    }
}
