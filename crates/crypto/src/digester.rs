//! Ids and MACs in the making: one message in pieces, or many messages side by side.

use std::hint::black_box;

use crate::blake2b::Lanes;
use crate::hash::Hash;

/// A digest of 32 bytes in the making, under a key: an id ([`Key::id_digester`](crate::Key::id_digester)) or the MAC of
/// an object ([`Key::mac_digester`](crate::Key::mac_digester)).
///
/// In the modes with BLAKE2b, several messages side by side take little more time than one of them. See
/// [`Key::lanes`](crate::Key::lanes) for how many to gather.
#[derive(Clone)]
pub struct Digester(pub(crate) Hash);

impl Digester {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes that came.
    pub fn finish(self) -> [u8; 32] {
        self.0.finish()
    }

    /// The digests of many messages, each as if a clone of this digester had taken it.
    pub fn digest_all(&self, messages: &[&[u8]]) -> Vec<[u8; 32]> {
        digest_all_in(Lanes::best(), self, messages)
    }
}

/// Body of a benchmark: `measure` gets every way this machine has to do [`Digester::digest_all`], with its name.
pub fn bench_digest_all(begun: &Digester, messages: &[&[u8]], mut measure: impl FnMut(&str, &mut dyn FnMut())) {
    for lanes in Lanes::all() {
        measure(&lanes.to_string(), &mut || _ = black_box(digest_all_in(lanes, begun, black_box(messages))));
    }
}

fn digest_all_in(lanes: Lanes, begun: &Digester, messages: &[&[u8]]) -> Vec<[u8; 32]> {
    match &begun.0 {
        Hash::Blake2b(hash) => lanes.digest_all(hash, messages),
        other => messages.iter().map(|message| other.digest(message)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::RepositoryId;

    use crate::{EncryptionMode, Key};

    #[test]
    fn ids_and_macs_of_all_modes_go_side_by_side() {
        let keys: Vec<_> = EncryptionMode::ALL
            .into_iter()
            .map(|mode| Key::generate(mode, RepositoryId([7; 32]), &mut |bytes| bytes.fill(0xab)))
            .collect();
        let message: Vec<u8> = (0..=255).cycle().take(3000).collect();
        let begun: Vec<_> =
            keys.iter().flat_map(|key| [Some(key.id_digester()), key.mac_digester()]).flatten().collect();
        let mut digesters = begun.clone();
        for piece in message.chunks(700) {
            for digester in &mut digesters {
                digester.update(piece);
            }
        }
        for (digester, begun) in digesters.into_iter().zip(&begun) {
            let digest = digester.finish();
            assert_eq!(digest, begun.0.digest(&message));
            assert_eq!(begun.digest_all(&[&message, &message[..0], &message]), [digest, begun.0.digest(b""), digest]);
        }
    }
}
