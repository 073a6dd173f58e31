//! A process that takes a repository's lock and gives it back, again and again, until it is killed.
//!
//! `locker REPOSITORY STATE NUMBER [once|unlocked]`; one that is `unlocked` only says that it has the lock. On standard output: `enter NUMBER x` or `enter NUMBER s` once it has the
//! exclusive or a shared lock, `leave NUMBER` before it gives it back; `lost NUMBER` if somebody took it away meanwhile,
//! and `failed NUMBER` with the reason if it could not be had.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use worldkeeper_core::{Clock, Stop};
use worldkeeper_engine::StateDir;
use worldkeeper_repository::{LocalRepository, Mode, OpenOptions, OsDisk};
use worldkeeper_testkit::gate::Random;

/// A clock by which waits for a held lock are short, so that there are many of them.
struct Impatient(Instant);

impl Clock for Impatient {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration.min(Duration::from_millis(2)));
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [repository, state, number, rest @ ..] = &args[..] else { panic!("the arguments are in the header") };
    let [is_once, is_unlocked] = ["once", "unlocked"].map(|word| rest.iter().any(|said| said == word));
    let repository = Path::new(repository);
    let state = StateDir::open(Arc::new(OsDisk), Path::new(state), "locker").expect("the state can be opened");
    let clock = Arc::new(Impatient(Instant::now()));
    let mut random = Random::of(number.parse().expect("a number"));
    loop {
        let exclusive = is_once || random.below(3) == 0;
        let options = OpenOptions {
            mode: match exclusive {
                _ if is_unlocked => Mode::WithoutLock,
                true => Mode::Exclusive,
                false => Mode::Shared,
            },
            wait: Some(Duration::from_secs(90)),
            on_wait: None,
            identity: state.identity(),
            clock: Arc::<Impatient>::clone(&clock),
            stop: Stop::default(),
        };
        match LocalRepository::open(Arc::new(OsDisk), repository, &options) {
            Ok(_held) => {
                say(&format!("enter {number} {}", if exclusive { "x" } else { "s" }));
                (0..random.below(300)).for_each(|_| thread::yield_now());
                let own = state.identity().own();
                let is_held = if is_unlocked {
                    true
                } else if exclusive {
                    let file = format!("lock.exclusive/{}.{}-{:x}", own.host_id, own.process, own.thread);
                    repository.join(file).exists()
                } else {
                    let roster = std::fs::read_to_string(repository.join("lock.roster"));
                    roster.is_ok_and(|roster| roster.contains(&own.thread.to_string()))
                };
                say(&format!("{} {number}", if is_held { "leave" } else { "lost" }));
            }
            Err(error) => return say(&format!("failed {number} {error}")),
        }
        if is_once {
            return;
        }
        clock.sleep(Duration::from_millis(random.below(4) as u64));
    }
}

/// One write, which a pipe takes whole.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("somebody listens");
}
