//! A server that answers anything at all: nobody panics, waits for ever or takes more memory than there is reason for, and
//! nothing is taken for done that was not said to be.

mod attacker;

use std::panic;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use worldkeeper_core::repository::CheckOptions;
use worldkeeper_core::{ChunkId, Repository, RepositoryError, error_text};
use worldkeeper_remote::{RemoteOptions, RemoteRepository};
use worldkeeper_rpc::Method;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::random::Random;

use super::server::{Action, Machine};
use super::{fill, id, object, options};
use attacker::{Attacker, Said};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most that a case may take. The other tests of this program may run beside it, and take some.
const MOST_BYTES: usize = 192 << 20;

/// A case that has not ended by then never will: each says less than a megabyte.
const FOR_EVER: Duration = Duration::from_mins(1);

#[test]
fn gate_hostile_replies_harm_nobody() {
    let recorded = Arc::new(attacker::recorded());
    let replies = Arc::new(AtomicUsize::new(0));
    let panics = Arc::new(Mutex::new(Vec::new()));
    // Threads of the client that panic would only be missed.
    let (noted, usual) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        noted.lock().unwrap().push(panic.to_string());
        usual(panic);
    }));
    let (progress, watched) = channel();
    thread::spawn(move || watch(&watched));
    let wanted = gate::amount(10_000, 1_000_000);
    for case in 0.. {
        if replies.load(Ordering::SeqCst) >= wanted {
            break;
        }
        progress.send(case).expect("somebody watches");
        MEMORY.reset_peak_usage();
        try_case(case, &recorded, &replies);
        let (peak, name) = (MEMORY.peak_usage(), format!("TESTS_SEED={}, case {case}", gate::seed()));
        assert!(peak < MOST_BYTES, "{name}: {peak} bytes were taken");
        assert_eq!(*panics.lock().unwrap(), [""; 0], "{name}");
    }
}

/// Names the case that hangs, since nobody else can.
fn watch(progress: &Receiver<u64>) {
    let mut last = None;
    loop {
        match progress.recv_timeout(FOR_EVER) {
            Ok(case) => last = Some(case),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("TESTS_SEED={}, case {last:?} does not end", gate::seed());
                process::abort();
            }
        }
    }
}

/// Does one thing with a repository whose server lies, and holds what came of it against what was said.
fn try_case(case: u64, recorded: &Arc<Vec<Vec<u8>>>, replies: &Arc<AtomicUsize>) {
    let name = format!("TESTS_SEED={}, case {case}", gate::seed());
    let mut random = Random::of(case);
    let machine = Machine::new();
    fill(&machine, 5, 200);
    let fails = *random.pick(&[None, None, None, Some(Method::Put), Some(Method::Commit)]);
    machine.decide(move |call| if Some(call.method()) == fails { Action::Fail } else { Action::Do });
    let said = Arc::new(Mutex::new(Said::default()));
    let doing = random.below(7);
    let mut attacker = Attacker::new(random, Arc::clone(recorded), Arc::clone(&said), Arc::clone(replies));
    machine.tamper(move |call, honest| attacker.answer(call, &honest));
    let options = RemoteOptions { patience: Duration::from_secs(3), ..options() };
    let opened = RemoteRepository::open(Arc::new(machine.clone()), options);
    let Some(repository) = heard(&name, opened) else { return };
    match doing {
        0 => {
            repository.will_read(&mut (0..3).map(|number| id(number).into()));
            for number in 0..4 {
                let bytes = heard(&name, repository.get(&id(number)));
                let is_said = |bytes: &Bytes| said.lock().unwrap().gave(&id(number), bytes);
                assert!(bytes.as_ref().is_none_or(is_said), "{name}: object {number} was never said to be {bytes:?}");
            }
        }
        1 => {
            for id in heard(&name, repository.ids()).into_iter().flatten() {
                assert!(said.lock().unwrap().listed(&id), "{name}: {id} was never listed");
            }
        }
        2 | 3 => {
            let is_committed = heard(&name, commit(&repository)).is_some();
            let said = said.lock().unwrap();
            let is_there = machine.stored().objects[&ChunkId::MANIFEST] == "manifest 1";
            assert!(!is_committed || is_there || said.done, "{name}: nobody has said that it is committed");
            assert!(!is_committed || !said.refused, "{name}: committed without an object that was refused");
        }
        4 => {
            let mut findings = Vec::new();
            let checked = repository.check(&CheckOptions::default(), &mut |event| findings.push(format!("{event:?}")));
            heard(&name, checked);
        }
        5 => {
            heard(&name, repository.load_key());
            heard(&name, repository.free_nonce());
            heard(&name, repository.reserve_nonce(7, None));
        }
        _ => {
            heard(&name, repository.object_count());
            heard(&name, repository.save_key("a key"));
            heard(&name, repository.get(&ChunkId::MANIFEST));
        }
    }
}

/// What went well. What did not is said in words that harm no terminal.
#[track_caller]
fn heard<T>(name: &str, result: Result<T, RepositoryError>) -> Option<T> {
    let text = result.as_ref().err().map(|error| error_text(error)).unwrap_or_default();
    assert!(!text.contains(char::is_control), "{name}: {text:?}");
    // What is no server's is a lost connection, which may be made again, and no refusal.
    assert!(!text.contains("the conversation with the server has ended"), "{name}: {text}");
    result.ok()
}

/// Commits a new manifest with some objects.
fn commit(repository: &RemoteRepository) -> Result<(), RepositoryError> {
    let mut transaction = repository.begin()?;
    for number in 5..10 {
        transaction.put(id(number), object(number, 100))?;
    }
    transaction.put(ChunkId::MANIFEST, "manifest 1".into())?;
    transaction.commit()
}
