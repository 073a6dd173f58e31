//! Digests of messages that come and go: each goes side by side with whichever others there are at the time.
//!
//! A message is a chain and takes as long as it is, however many go beside it. So those that are long would be alone in
//! the end, each time that some were gathered and finished; instead they wait, half taken, until others have come.

use crate::blake2b::{Lanes, Unfinished};
use crate::digester::Digester;
use crate::hash::Hash;

/// A message, which gives the same bytes whenever it is asked, and how far its digest has come.
pub struct Awaited<M> {
    message: M,
    begun: Digester,
    /// How many bytes were not taken; `None` once the digest is there.
    left: Option<usize>,
    digest: [u8; 32],
}

impl<M: AsRef<[u8]>> Awaited<M> {
    /// A message that `begun` is to take.
    pub fn new(begun: Digester, message: M) -> Self {
        let left = Some(message.as_ref().len());
        Self { message, begun, left, digest: [0; 32] }
    }

    /// Takes messages further, side by side, as long as `width` of them, or all if there are fewer, have something left;
    /// at least one is finished. With a `width` of 1, all are. What was finished before is passed over.
    pub fn go_on<'a>(messages: impl IntoIterator<Item = &'a mut Self>, width: usize)
    where
        M: 'a,
    {
        let mut unfinished = Vec::new();
        for Self { message, begun, left, digest } in messages {
            let Some(len) = *left else { continue };
            let bytes = M::as_ref(message);
            match &mut begun.0 {
                Hash::Blake2b(hash) => {
                    unfinished.push(Unfinished {
                        digest: hash,
                        bytes: &bytes[bytes.len() - len..],
                        place: digest,
                        left,
                    });
                }
                other => (*digest, *left) = (other.digest(bytes), None),
            }
        }
        let width = width.min(unfinished.len());
        Lanes::best().go_on(unfinished.into_iter(), width);
    }

    /// Returns whether the digest is there.
    pub fn is_finished(&self) -> bool {
        self.left.is_none()
    }

    /// The message, and its digest if that is there.
    pub fn into_parts(self) -> (M, Option<[u8; 32]>) {
        (self.message, self.left.is_none().then_some(self.digest))
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
            for width in [1, 2, 4, 8, 100] {
                let mut coming = lens.iter().map(|len| vec![*len as u8; *len]);
                let (mut awaited, mut count) = (Vec::new(), 0);
                loop {
                    awaited.extend(coming.by_ref().take(3).map(|message| Awaited::new(key.id_digester(), message)));
                    if awaited.is_empty() {
                        break;
                    }
                    Awaited::go_on(&mut awaited, width);
                    let finished: Vec<_> = awaited.extract_if(.., |one| one.is_finished()).collect();
                    assert!(!finished.is_empty(), "{mode}: one at least");
                    count += finished.len();
                    for one in finished {
                        let (message, digest) = one.into_parts();
                        assert_eq!(digest, Some(key.id_hash(&message).0), "{mode}, {} bytes", message.len());
                    }
                }
                assert_eq!(count, lens.len());
            }
        }
    }
}
