//! Held against the `blake2` crate.

use blake2::{Blake2b256, Digest};

use super::*;

fn key() -> [u8; BLOCK_LEN] {
    std::array::from_fn(|i| i as u8 ^ 0x5a)
}

fn expected(message: &[u8]) -> [u8; 32] {
    Blake2b256::new().chain_update(key()).chain_update(message).finalize().into()
}

#[test]
fn a_message_of_any_length_in_pieces_of_any_length() {
    let message: Vec<u8> = (0..=250).cycle().take(600).collect();
    for len in 0..message.len() {
        let message = &message[..len];
        for piece in [1, 7, 127, 128, 129, 256, 600] {
            let mut hash = Blake2b::keyed(&key());
            message.chunks(piece).for_each(|bytes| hash.update(bytes));
            assert_eq!(hash.finish(), expected(message), "{len} bytes in pieces of {piece}");
        }
    }
}
