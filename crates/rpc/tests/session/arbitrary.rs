//! Bytes without sense, and sessions in which some bytes were changed.

use proptest::prelude::*;
use worldkeeper_rpc::{fuzz_client, fuzz_server, fuzz_stderr};
use worldkeeper_testkit::gate::{self, Random};

use crate::recordings::{SESSIONS, Session};

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz_client(&bytes);
        fuzz_server(&bytes);
        fuzz_stderr(&bytes);
    }
}

/// Recorded messages with a few bytes changed, removed or repeated.
#[test]
fn gate_hostile_messages() {
    let sessions: Vec<_> = SESSIONS.iter().map(|name| Session::read(name)).collect();
    let requests: Vec<_> = sessions.iter().flat_map(|session| &session.requests).collect();
    let replies: Vec<_> = sessions.iter().flat_map(|session| &session.replies).collect();
    for case in 0..gate::amount(2_000, 1_000_000) as u64 {
        let mut random = Random::new(gate::seed().wrapping_mul(0x0100_0003).wrapping_add(case));
        let body = if case % 2 == 0 { fuzz_server } else { fuzz_client };
        let mut bytes = vec![random.below(256) as u8];
        for _ in 0..=random.below(4) {
            let messages = if case % 2 == 0 { &requests } else { &replies };
            let message: &&Vec<u8> = random.pick(messages);
            bytes.extend_from_slice(message);
        }
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at + 1),
                _ => bytes[at] = *random.pick(&[0xc1, 0xcb, 0xdb, 0xdd, 0xdf, 0x81, 0x91, 0xff]),
            }
        }
        let survived = std::panic::catch_unwind(|| body(&bytes));
        assert!(survived.is_ok(), "TESTS_SEED={}, case {case}: {}", gate::seed(), hex::encode(&bytes));
    }
}
