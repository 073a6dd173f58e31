//! How fast chunks are named, sealed and opened: `cargo bench -p worldkeeper-crypto`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use worldkeeper_core::RepositoryId;
use worldkeeper_crypto::{EncryptionMode, Key};

fn main() {
    for mode in [EncryptionMode::None, EncryptionMode::Repokey, EncryptionMode::RepokeyBlake2] {
        let key = Key::generate(mode, RepositoryId([1; 32]), &mut |bytes| bytes.fill(0x5a));
        // A chunk of stock's default size, and what a small file is.
        for len in [2 << 20, 500] {
            let mut object = vec![0x77; key.overhead() + len];
            let rate = |name: &str, work: &mut dyn FnMut()| {
                let rounds = (64 << 20) / len;
                let best = (0..5).map(|_| time(rounds, work)).min().expect("it was measured");
                let megabytes = (rounds * len) as f64 / best.as_secs_f64() / 1e6;
                println!("{mode}, {len} bytes, {name}: {megabytes:.0} MB/s");
            };
            rate("id_hash", &mut || _ = black_box(key.id_hash(black_box(&object))));
            rate("seal", &mut || key.seal(black_box(12345), &mut object));
            let mut payload = Vec::new();
            rate("open_into", &mut || key.open_into(black_box(&object), &mut payload).expect("it was sealed"));
            rate("open", &mut || _ = black_box(key.open(black_box(&object))));
        }
    }
}

fn time(rounds: usize, work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    start.elapsed()
}
