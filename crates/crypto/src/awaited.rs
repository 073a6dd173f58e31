//! Digests of messages that come and go: each goes side by side with whichever others there are at the time.
//!
//! A message is a chain and takes as long as it is, however many go beside it. So those that are long would be alone in
//! the end, each time that some were gathered and finished; instead they wait, half taken, until others have come.

use crate::blake2b::{Lanes, Unfinished};
use crate::digester::Digester;
use crate::hash::Hash;

/// The digest of a message, and how far it has come. The message itself is with whoever awaits the digest.
pub struct Awaited {
    begun: Digester,
    /// How many bytes were not taken; `None` once the digest is there.
    left: Option<usize>,
    digest: [u8; 32],
}

impl Awaited {
    /// What `begun` makes of a message of `len` bytes.
    pub fn new(begun: Digester, len: usize) -> Self {
        Self { begun, left: Some(len), digest: [0; 32] }
    }

    /// Takes messages further, side by side, each by `most` bytes at most, as long as `width` of them, or all if there are
    /// fewer, have something to take. Where `most` does not end it, at least one is finished; with a `width` of 1, all
    /// are. What was finished before is passed over.
    ///
    /// Each comes with all of its message, the same whenever it comes. What is no BLAKE2b goes beside nothing, and takes all of
    /// it at once.
    pub fn go_on<'a>(work: impl IntoIterator<Item = (&'a mut Self, &'a [u8])>, width: usize, most: usize) {
        let mut unfinished = Vec::new();
        for (Self { begun, left, digest }, message) in work {
            let Some(len) = *left else { continue };
            match &mut begun.0 {
                Hash::Blake2b(hash) => {
                    let bytes = &message[message.len() - len..];
                    unfinished.push(Unfinished { digest: hash, bytes, place: digest, left });
                }
                // Nothing goes side by side with it.
                other => (*digest, *left) = (other.digest(message), None),
            }
        }
        let width = width.min(unfinished.len());
        Lanes::best().go_on(unfinished.into_iter(), width, most);
    }

    /// Returns whether the digest is there.
    pub fn is_finished(&self) -> bool {
        self.left.is_none()
    }

    /// The digest, if it is there.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.is_finished().then_some(self.digest)
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::RepositoryId;

    use super::*;
    use crate::{EncryptionMode, Key};

    #[test]
    fn whoever_comes_and_goes_gets_its_own_digest() {
        let lens = [9000, 0, 1, 128, 70_000, 129, 40_000, 3, 300, 300, 65_536, 20_000, 127, 5000];
        for mode in EncryptionMode::ALL {
            let key = Key::generate(mode, RepositoryId([7; 32]), &mut |bytes| bytes.fill(0xab));
            for (width, most) in [(1, 128), (1, 9000), (2, 1000), (4, usize::MAX), (8, 256), (100, usize::MAX)] {
                let mut coming = lens.iter().map(|len| vec![*len as u8; *len]);
                let mut awaited = Vec::new();
                let (mut count, mut rounds) = (0, 0);
                loop {
                    awaited.extend(
                        coming
                            .by_ref()
                            .take(3)
                            .map(|message| (Awaited::new(key.id_digester(), message.len()), message)),
                    );
                    if awaited.is_empty() {
                        break;
                    }
                    Awaited::go_on(awaited.iter_mut().map(|(one, message)| (one, &message[..])), width, most);
                    let finished: Vec<_> = awaited.extract_if(.., |(one, _)| one.is_finished()).collect();
                    assert!(!finished.is_empty() || most < 100_000, "{mode}: one at least");
                    count += finished.len();
                    rounds += 1;
                    for (one, message) in finished {
                        assert_eq!(one.digest(), Some(key.id_hash(&message).0), "{mode}, {} bytes", message.len());
                    }
                }
                assert_eq!(count, lens.len());
                let least = if mode.uses_blake2() { 70_000_usize.div_ceil(most) } else { 1 };
                assert!(rounds >= least, "{mode}: nobody takes more than {most} bytes at a time");
            }
        }
    }
}
