//! How fast chunks are named, sealed and opened: `cargo bench -p worldkeeper-crypto`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use blake2::{Blake2b256, Digest};
use worldkeeper_core::RepositoryId;
use worldkeeper_crypto::{Awaited, Digester, EncryptionMode, Key, bench_digest_all};

fn main() {
    side_by_side();
    for mode in [EncryptionMode::None, EncryptionMode::Repokey, EncryptionMode::RepokeyBlake2] {
        one_by_one(mode);
    }
}

/// What every way gives that this machine has, and how it compares with the crate's BLAKE2b, one stream.
fn side_by_side() {
    let digester = key(EncryptionMode::RepokeyBlake2).id_digester();
    let equal = |count, len| (format!("{count} x {len} bytes"), vec![len; count]);
    // From 100 to 20,000 bytes, in no order.
    let small = ("500 small files".to_owned(), (0..500).map(|at| 100 + at * 7919 % 19_901).collect());
    for (what, lens) in [equal(8, 2 << 20), equal(2, 2 << 20), equal(1, 2 << 20), equal(1000, 500), small] {
        let len = lens.iter().sum();
        let bytes = vec![0x77; len];
        let mut rest = &bytes[..];
        let messages: Vec<&[u8]> = lens.iter().filter_map(|len| rest.split_off(..*len)).collect();
        let rate = |name: &str, work: &mut dyn FnMut()| rate(&format!("{what}, {name}"), len, work);
        let crates = rate("blake2 crate", &mut || {
            for message in black_box(&messages) {
                black_box(Blake2b256::new().chain_update([0; 128]).chain_update(message).finalize());
            }
        });
        let ratio = |rate: f64| println!("    {:.2} of the blake2 crate", rate / crates);
        bench_digest_all(&digester, &messages, |name, work| ratio(rate(name, work)));
        if messages.len() == 8 {
            ratio(rate("the best way, pieces of 4 KiB", &mut || in_pieces(&digester, &messages, 4096)));
        }
    }
}

fn in_pieces(begun: &Digester, messages: &[&[u8]], len: usize) {
    let mut awaited: Vec<_> = messages.iter().map(|message| Awaited::new(begun.clone(), message.len())).collect();
    while awaited.iter().any(|awaited| !awaited.is_finished()) {
        Awaited::go_on(awaited.iter_mut().zip(messages.iter().copied()), 8, len);
    }
    black_box(awaited.iter().map(Awaited::digest).collect::<Vec<_>>());
}

/// A chunk of stock's default size, and what a small file is.
fn one_by_one(mode: EncryptionMode) {
    let key = key(mode);
    for len in [2 << 20, 500] {
        let mut object = vec![0x77; key.overhead() + len];
        let payload = vec![0x77; len];
        let rate = |name: &str, work: &mut dyn FnMut()| _ = rate(&format!("{mode}, {len} bytes, {name}"), len, work);
        rate("id_hash", &mut || _ = black_box(key.id_hash(black_box(&object))));
        rate("encrypt", &mut || key.encrypt(black_box(12345), &mut object));
        rate("encrypt_from", &mut || key.encrypt_from(black_box(12345), &[black_box(&payload)], &mut object));
        rate("decrypts_to", &mut || assert!(key.decrypts_to(black_box(&object), &[&payload])));
        rate("seal", &mut || key.seal(black_box(12345), &mut object));
        let mut payload = Vec::new();
        rate("open_into", &mut || key.open_into(black_box(&object), &mut payload).expect("it was sealed"));
        rate("open", &mut || _ = black_box(key.open(black_box(&object))));
    }
}

fn key(mode: EncryptionMode) -> Key {
    Key::generate(mode, RepositoryId([1; 32]), &mut |bytes| bytes.fill(0x5a))
}

/// Prints how many bytes go through per second; returns it. The best of many short measurements, since others use the
/// machine too.
fn rate(name: &str, len: usize, work: &mut dyn FnMut()) -> f64 {
    let rounds = (2_usize << 20).div_ceil(len);
    let best = (0..50).map(|_| time(rounds, work)).min().expect("it was measured");
    let rate = (rounds * len) as f64 / best.as_secs_f64();
    println!("{name}: {:.0} MB/s", rate / 1e6);
    rate
}

fn time(rounds: usize, work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    start.elapsed()
}
