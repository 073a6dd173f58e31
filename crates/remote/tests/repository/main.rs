//! A repository behind a server: what is asked when, and what becomes of it when the connection is lost.

mod hostile;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::channel;
use worldkeeper_core::repository::Announced;
use worldkeeper_core::{ChunkId, Repository, RepositoryError, Stop, error_text};
use worldkeeper_remote::{Connect, ConnectError, Incoming, Link, RemoteMode, RemoteOptions, RemoteRepository, Window};
use worldkeeper_rpc::{Call, Method};
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::fixtures::sha_stream;

use server::{Action, ID, Machine};

fn options() -> RemoteOptions {
    RemoteOptions {
        location: "ssh://backup.example/srv/repository".to_owned(),
        path: b"/srv/repository".to_vec(),
        mode: RemoteMode::Exclusive,
        wait: None,
        on_wait: None,
        silence: None,
        patience: Duration::from_mins(5),
        window: Window::default(),
        clock: Arc::new(ManualClock::at("2030-01-01T00:00:00Z")),
        stop: Stop::default(),
    }
}

fn open(machine: &Machine) -> RemoteRepository {
    open_with(machine, options()).unwrap()
}

fn open_with(machine: &Machine, options: RemoteOptions) -> Result<RemoteRepository, RepositoryError> {
    RemoteRepository::open(Arc::new(machine.clone()), options)
}

fn id(number: u32) -> ChunkId {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    ChunkId(id)
}

fn object(number: u32, len: usize) -> Bytes {
    sha_stream(&format!("object {number}"), len).into()
}

/// Stores a manifest and so many objects of `len` bytes.
fn fill(machine: &Machine, count: u32, len: usize) {
    let mut stored = machine.stored();
    stored.objects.insert(ChunkId::MANIFEST, "manifest 0".into());
    stored.objects.extend((0..count).map(|number| (id(number), object(number, len))));
}

/// Commits a new manifest, with an object.
fn commit(repository: &RemoteRepository, manifest: &'static str) -> Result<(), RepositoryError> {
    let mut transaction = repository.begin()?;
    transaction.put(id(1), object(1, 100))?;
    transaction.put(ChunkId::MANIFEST, manifest.into())?;
    transaction.commit()
}

/// A repository that takes five minutes of silence for death, so many minutes after it was opened; and the clock.
fn after_a_while(machine: &Machine, minutes: u64) -> (RemoteRepository, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
    let patience = Duration::from_secs(1);
    let options = RemoteOptions { silence: Some(Duration::from_mins(5)), patience, clock: clock.clone(), ..options() };
    let repository = open_with(machine, options).unwrap();
    clock.advance(Duration::from_mins(minutes));
    (repository, clock)
}

/// Runs `work` while the clock goes on by six minutes, and nobody is to be reached again.
fn while_minutes_pass<T>(machine: &Machine, clock: &Arc<ManualClock>, work: impl FnOnce() -> T) -> T {
    let passing = Arc::clone(clock);
    machine.refuse(100);
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(200));
            passing.advance(Duration::from_mins(6));
        });
        work()
    })
}

fn is_lost(error: &RepositoryError) -> bool {
    matches!(error, RepositoryError::ConnectionLost { .. })
}

fn is(method: Method) -> impl Fn(&Call) -> bool + Send {
    move |call| call.method() == method
}

#[test]
fn what_is_put_is_stored_when_it_is_committed_and_not_before() {
    let machine = Machine::new();
    fill(&machine, 0, 0);
    let repository = open(&machine);
    assert_eq!((repository.id(), repository.get(&ChunkId::MANIFEST).unwrap()), (ID, "manifest 0".into()));
    let mut transaction = repository.begin().unwrap();
    // 64 MiB: more than the window.
    for number in 0..512 {
        transaction.put(id(number), object(number, 128 << 10)).unwrap();
    }
    assert_eq!(repository.get(&id(3)).unwrap(), object(3, 128 << 10), "the transaction sees what it has put");
    assert_eq!(machine.stored().objects.len(), 1);
    transaction.commit().unwrap();
    assert_eq!(machine.stored().objects.len(), 513);
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(3)).unwrap();
    drop(transaction);
    assert!(repository.get(&id(3)).is_ok(), "dropped, it is rolled back");
    assert_eq!(repository.ids().unwrap().len(), 513);
}

#[test]
fn puts_wait_for_nobody() {
    let machine = Machine::new();
    fill(&machine, 0, 0);
    let repository = open(&machine);
    let _ = machine.round_trips();
    let mut transaction = repository.begin().unwrap();
    for number in 0..2000 {
        transaction.put(id(number), object(number, 100)).unwrap();
    }
    transaction.commit().unwrap();
    // Each time that the server is faster than the client it has nothing to do, too; so this is no number of waits, but
    // it is far from one for each.
    assert!(machine.round_trips() < 1500, "the client waits for answers");
}

#[test]
fn opening_takes_four_round_trips_with_all_that_is_asked_first() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    machine.stored().key = "a key".into();
    machine.stored().nonce = Some(77);
    let repository = open(&machine);
    repository.get(&ChunkId::MANIFEST).unwrap();
    assert_eq!(repository.load_key().unwrap().as_deref(), Some("a key"));
    assert_eq!(repository.free_nonce().unwrap(), Some(77));
    // One more than round trips: the server waits for a first time before anything has come.
    let waits = machine.round_trips();
    assert!(waits <= 7, "{waits}");
    repository.reserve_nonce(100, Some(77)).unwrap();
    assert_eq!(repository.free_nonce().unwrap(), Some(100), "what was asked first is old now");
}

#[test]
fn whoever_reserves_nonces_behind_somebody_else_learns_what_is_free() {
    let machine = Machine::new();
    fill(&machine, 0, 0);
    let repository = open(&machine);
    repository.reserve_nonce(100, None).unwrap();
    let conflict = repository.reserve_nonce(200, Some(77)).unwrap_err();
    let is_told = matches!(conflict, RepositoryError::NonceConflict { expected: Some(77), found: Some(100) });
    assert!(is_told, "{conflict}");
}

#[test]
fn what_is_announced_is_read_ahead_and_what_is_not_taken_makes_room() {
    let machine = Machine::new();
    fill(&machine, 300, 300_000);
    let repository = open(&machine);
    let ids: Vec<_> = (0..300).map(id).collect();
    repository.will_read(&mut ids.iter().map(|id| (*id).into()));
    for number in 0..300 {
        assert_eq!(repository.get(&id(number)).unwrap(), object(number, 300_000), "object {number}");
    }
    // Announced, and never asked for; others are, in another order than announced, and some twice.
    repository.will_read(&mut ids.iter().map(|id| (*id).into()));
    for number in (0..300).rev().chain([5, 5, 299, 5]) {
        assert_eq!(repository.get(&id(number)).unwrap(), object(number, 300_000), "object {number}");
    }
    repository.will_read(&mut [id(9999), id(5)].map(Announced::from).into_iter());
    assert!(matches!(repository.get(&id(9999)), Err(RepositoryError::ObjectNotFound(_))));
    // What was read ahead is not what is there any more.
    repository.will_read(&mut [id(5).into()].into_iter());
    let mut transaction = repository.begin().unwrap();
    transaction.delete(id(5)).unwrap();
    assert!(matches!(repository.get(&id(5)), Err(RepositoryError::ObjectNotFound(_))));
}

/// Answers nothing to questions for objects until so many of them have come; counts them.
fn answers_late(machine: &Machine, most: usize) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let (counter, mut waiting) = (Arc::clone(&asked), Vec::new());
    machine.tamper(move |call, bytes| {
        let is_object = call.is_some_and(|call| matches!(call, Call::Get { id } if *id != ChunkId::MANIFEST));
        waiting.push(Incoming::Output(bytes.into()));
        if is_object && counter.fetch_add(1, Ordering::SeqCst) + 1 < most {
            Vec::new()
        } else {
            std::mem::take(&mut waiting)
        }
    });
    asked
}

/// Announces as many objects as there are, as ones of `csize` bytes.
fn announce(repository: &RemoteRepository, count: u32, csize: Option<u32>) {
    repository.will_read(&mut (0..count).map(|number| Announced { id: id(number), csize }));
}

#[test]
fn of_small_objects_many_are_on_their_way_at_a_time() {
    let machine = Machine::new();
    fill(&machine, 400, 1000);
    let (repository, clock) = after_a_while(&machine, 0);
    let asked = answers_late(&machine, 300);
    announce(&repository, 400, Some(1000));
    let object = while_minutes_pass(&machine, &clock, || repository.get(&id(0)));
    assert_eq!(object.unwrap(), self::object(0, 1000), "after {} questions", asked.load(Ordering::SeqCst));
}

#[test]
fn of_large_objects_and_unknown_ones_no_more_are_on_their_way_than_there_is_room_for() {
    for (csize, least, most) in [(Some(1 << 20), 8, 24), (None, 25, 64)] {
        let machine = Machine::new();
        fill(&machine, 400, 1000);
        let (repository, clock) = after_a_while(&machine, 0);
        // Objects are small, usually.
        repository.will_read(&mut [id(399).into()].into_iter());
        repository.get(&id(399)).unwrap();
        let asked = answers_late(&machine, 300);
        announce(&repository, 400, csize);
        while_minutes_pass(&machine, &clock, || repository.get(&id(0)).unwrap_err());
        let asked = asked.load(Ordering::SeqCst);
        assert!(asked >= least && asked <= most, "{asked} of {csize:?} bytes");
    }
}

#[test]
fn what_is_larger_than_announced_is_read_all_the_same() {
    let machine = Machine::new();
    fill(&machine, 200, 1 << 20);
    let repository = open(&machine);
    announce(&repository, 200, Some(10));
    // Much comes before any is taken.
    thread::sleep(Duration::from_millis(500));
    for number in 0..200 {
        assert_eq!(repository.get(&id(number)).unwrap(), object(number, 1 << 20), "object {number}");
    }
}

#[test]
fn what_was_read_ahead_is_not_what_was_put_since() {
    let machine = Machine::new();
    fill(&machine, 3, 1000);
    let repository = open(&machine);
    announce(&repository, 5, None);
    // There is no number 4 yet.
    repository.get(&id(0)).unwrap();
    thread::sleep(Duration::from_millis(200));
    let mut transaction = repository.begin().unwrap();
    for number in [2, 4] {
        transaction.put(id(number), object(100 + number, 10)).unwrap();
    }
    for number in [2, 4] {
        assert_eq!(repository.get(&id(number)).unwrap(), object(100 + number, 10), "object {number}");
    }
}

#[test]
fn many_threads_read_at_once() {
    let machine = Machine::new();
    fill(&machine, 200, 50_000);
    let repository = &open(&machine);
    let ids: Vec<_> = (0..200).map(id).collect();
    repository.will_read(&mut ids.iter().map(|id| (*id).into()));
    thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || {
                for number in (first..200).step_by(3) {
                    assert_eq!(repository.get(&id(number)).unwrap(), object(number, 50_000));
                }
            });
        }
    });
}

#[test]
fn whoever_reads_goes_on_after_the_connection_was_lost() {
    for mode in [RemoteMode::Shared, RemoteMode::Exclusive] {
        let machine = Machine::new();
        fill(&machine, 10, 1000);
        let repository = open_with(&machine, RemoteOptions { mode, ..options() }).unwrap();
        repository.get(&ChunkId::MANIFEST).unwrap();
        machine.once(Action::CutBefore, |call| *call == Call::Get { id: id(4) });
        machine.refuse(3);
        repository.will_read(&mut (0..10).map(|number| id(number).into()));
        for number in 0..10 {
            assert_eq!(repository.get(&id(number)).unwrap(), object(number, 1000));
        }
        assert_eq!(machine.connections(), 2);
    }
}

#[test]
fn a_question_that_loses_every_connection_is_given_up() {
    let machine = Machine::new();
    fill(&machine, 10, 1000);
    let repository = open(&machine);
    machine.decide(|call| if *call == (Call::Get { id: id(4) }) { Action::CutBefore } else { Action::Do });
    assert!(is_lost(&repository.get(&id(4)).unwrap_err()));
    assert!(machine.connections() < 10);
    assert_eq!(repository.get(&id(5)).unwrap(), object(5, 1000), "others are answered as ever");
}

#[test]
fn a_connection_that_cannot_be_made_again_is_an_error_in_the_end() {
    let machine = Machine::new();
    fill(&machine, 10, 1000);
    let repository = open(&machine);
    machine.once(Action::CutBefore, is(Method::Get));
    machine.refuse(1000);
    let error = repository.get(&id(4)).unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("nobody is there"), "{error}");
}

#[test]
fn whoever_writes_does_not_go_on_where_somebody_else_has_written() {
    let machine = Machine::new();
    fill(&machine, 10, 1000);
    let repository = open(&machine);
    repository.get(&ChunkId::MANIFEST).unwrap();
    let other = machine.clone();
    machine.decide(move |call| {
        if *call != (Call::Get { id: id(4) }) {
            return Action::Do;
        }
        other.stored().objects.insert(ChunkId::MANIFEST, "somebody else's".into());
        Action::CutBefore
    });
    let error = repository.get(&id(4)).unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("somebody else"), "{error}");
    assert!(commit(&repository, "manifest 1").is_err());
    assert_eq!(machine.stored().objects[&ChunkId::MANIFEST], "somebody else's");
}

#[test]
fn whoever_writes_does_not_go_on_where_the_manifest_cannot_be_read() {
    let machine = Machine::new();
    fill(&machine, 10, 1000);
    let repository = open(&machine);
    repository.get(&ChunkId::MANIFEST).unwrap();
    let other = machine.clone();
    machine.decide(move |call| match call {
        Call::Get { id: asked } if *asked == id(4) => {
            other.stored().objects.insert(ChunkId::MANIFEST, "somebody else's".into());
            Action::CutBefore
        }
        Call::Get { id } if *id == ChunkId::MANIFEST => Action::Fail,
        _ => Action::Do,
    });
    let error = repository.get(&id(4)).unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("could not be seen"), "{error}");
    assert!(commit(&repository, "manifest 1").is_err());
    assert_eq!(machine.stored().objects[&ChunkId::MANIFEST], "somebody else's");
}

/// A check holds what it was told to be there against what others have left.
#[test]
fn whoever_was_told_what_is_there_does_not_go_on_where_somebody_else_has_written() {
    for has_listed in [false, true] {
        let machine = Machine::new();
        fill(&machine, 10, 1000);
        let repository = open_with(&machine, RemoteOptions { mode: RemoteMode::Shared, ..options() }).unwrap();
        repository.get(&ChunkId::MANIFEST).unwrap();
        if has_listed {
            repository.ids().unwrap();
        }
        let other = machine.clone();
        let mut is_first = true;
        machine.decide(move |call| {
            if *call != (Call::Get { id: id(4) }) || !std::mem::take(&mut is_first) {
                return Action::Do;
            }
            other.stored().objects.insert(ChunkId::MANIFEST, "somebody else's".into());
            Action::CutBefore
        });
        match repository.get(&id(4)) {
            Err(error) => {
                assert!(has_listed && is_lost(&error) && error.to_string().contains("somebody else"), "{error}");
            }
            Ok(_) => assert!(!has_listed),
        }
    }
}

#[test]
fn a_transaction_goes_with_its_connection() {
    for lost in [Method::Put, Method::Delete] {
        let machine = Machine::new();
        fill(&machine, 10, 1000);
        let repository = open(&machine);
        repository.get(&ChunkId::MANIFEST).unwrap();
        machine.once(Action::CutAfter, is(lost));
        let mut transaction = repository.begin().unwrap();
        let put = transaction.put(id(50), object(50, 10));
        let put = put.and_then(|()| transaction.delete(id(3)));
        let error = put.and_then(|()| transaction.commit()).unwrap_err();
        assert!(is_lost(&error), "{error}");
        assert_eq!(machine.stored().objects.len(), 11, "nothing was committed");
        // The next one has another connection.
        commit(&repository, "manifest 1").unwrap();
        assert_eq!(machine.stored().objects[&ChunkId::MANIFEST], "manifest 1");
        assert_eq!(machine.connections(), 2);
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_looked_up() {
    let machine = Machine::new();
    fill(&machine, 10, 1000);
    let repository = open(&machine);
    repository.get(&ChunkId::MANIFEST).unwrap();
    machine.once(Action::CutAfter, is(Method::Commit));
    commit(&repository, "manifest 1").unwrap();
    assert_eq!(machine.stored().objects[&ChunkId::MANIFEST], "manifest 1");
    // It was made, and what follows goes on from it.
    commit(&repository, "manifest 2").unwrap();

    machine.once(Action::CutBefore, is(Method::Commit));
    let error = commit(&repository, "manifest 3").unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("nothing was committed"), "{error}");
    commit(&repository, "manifest 4").unwrap();

    let other = machine.clone();
    let mut is_done = false;
    machine.decide(move |call| {
        if is_done || call.method() != Method::Commit {
            return Action::Do;
        }
        is_done = true;
        other.stored().objects.insert(ChunkId::MANIFEST, "somebody else's".into());
        Action::CutBefore
    });
    let error = commit(&repository, "manifest 5").unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("somebody else"), "{error}");
    assert!(commit(&repository, "manifest 6").is_err());
    assert_eq!(machine.stored().objects[&ChunkId::MANIFEST], "somebody else's");
}

#[test]
fn nothing_is_committed_when_an_object_was_not_stored() {
    let machine = Machine::new();
    fill(&machine, 10, 1000);
    let repository = open(&machine);
    machine.once(Action::Fail, is(Method::Put));
    let error = commit(&repository, "manifest 1").unwrap_err();
    assert!(matches!(error, RepositoryError::QuotaExceeded { quota_bytes: 1000, used_bytes: 2000 }), "{error}");
    assert_eq!(machine.stored().objects[&ChunkId::MANIFEST], "manifest 0");
    commit(&repository, "manifest 1").unwrap();
    assert_eq!(machine.connections(), 1);
}

#[test]
fn a_key_whose_storing_was_not_answered_is_looked_up() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    let repository = open(&machine);
    machine.once(Action::CutAfter, is(Method::SaveKey));
    repository.save_key("a new key").unwrap();
    machine.once(Action::CutBefore, is(Method::SaveKey));
    assert!(is_lost(&repository.save_key("a newer key").unwrap_err()));
    assert_eq!(machine.stored().key, "a new key");
}

#[test]
fn a_server_that_is_silent_is_given_up_where_it_has_little_to_do() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    let (repository, clock) = after_a_while(&machine, 0);
    machine.decide(|call| if call.method() == Method::Get { Action::Stall } else { Action::Do });
    let error = while_minutes_pass(&machine, &clock, || repository.get(&id(0)).unwrap_err());
    assert!(error.to_string().contains("nothing has come for"), "{error}");
}

#[test]
fn who_was_asked_nothing_was_not_silent() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    machine.tamper(|_, bytes| {
        thread::sleep(Duration::from_millis(300));
        vec![Incoming::Output(bytes.into())]
    });
    let (repository, clock) = after_a_while(&machine, 30);
    repository.get(&id(0)).unwrap();
    clock.advance(Duration::from_mins(30));
    repository.will_read(&mut [id(0).into()].into_iter());
    repository.get(&id(0)).unwrap();
    clock.advance(Duration::from_mins(30));
    repository.reserve_nonce(100, None).unwrap();
    assert_eq!(machine.connections(), 1);
}

#[test]
fn a_server_that_replays_is_waited_for() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
    let options = RemoteOptions { silence: Some(Duration::from_mins(5)), clock: clock.clone(), ..options() };
    // It does so when it is asked for the first object.
    machine.tamper(|call, bytes| {
        let is_object = call.is_some_and(|call| call.method() == Method::Get);
        thread::sleep(Duration::from_millis(if is_object { 1000 } else { 0 }));
        vec![Incoming::Output(bytes.into())]
    });
    let passing = Arc::clone(&clock);
    let repository = thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(300));
            passing.advance(Duration::from_hours(1));
        });
        open_with(&machine, options)
    });
    assert_eq!(repository.unwrap().get(&ChunkId::MANIFEST).unwrap(), "manifest 0");
}

#[test]
fn what_a_slow_line_carries_is_waited_for() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    let (repository, clock) = after_a_while(&machine, 0);
    machine.tamper(|call, bytes| {
        let is_put = call.is_some_and(|call| call.method() == Method::Put);
        thread::sleep(Duration::from_millis(if is_put { 1000 } else { 0 }));
        vec![Incoming::Output(bytes.into())]
    });
    while_minutes_pass(&machine, &clock, || {
        let mut transaction = repository.begin().unwrap();
        transaction.put(id(9), object(9, 4_500_000)).unwrap();
        transaction.put(ChunkId::MANIFEST, "manifest 1".into()).unwrap();
        transaction.commit().unwrap();
    });
    assert_eq!(machine.connections(), 1);
}

#[test]
fn a_server_that_never_introduces_itself_is_given_up() {
    let clock = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
    let passing = Arc::clone(&clock);
    let opened = thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(200));
            passing.advance(Duration::from_mins(6));
        });
        RemoteRepository::open(Arc::new(Mute), RemoteOptions { clock, ..options() })
    });
    let error = opened.err().unwrap();
    assert!(matches!(error, RepositoryError::Unreachable { may_pass: true, .. }), "{error}");
    assert!(error_text(&error).contains("introduced itself"), "{}", error_text(&error));
}

#[test]
fn a_stop_ends_waiting_but_not_a_commit() {
    let machine = Machine::new();
    fill(&machine, 1, 10);
    let stop = Stop::default();
    let options = RemoteOptions { stop: stop.clone(), ..options() };
    let repository = open_with(&machine, options).unwrap();
    machine.once(Action::Stall, is(Method::Get));
    stop.request();
    assert!(matches!(repository.get(&id(0)), Err(RepositoryError::Stopped)));
}

/// Takes whatever it is sent, says nothing, and does not end when nothing more comes.
struct Mute;

impl Connect for Mute {
    fn connect(&self, _: &Stop) -> Result<Link, ConnectError> {
        let (input, mut requests) = channel(4);
        let (answers, output) = channel::<Incoming>(4);
        thread::spawn(move || {
            while requests.blocking_recv().is_some() {}
            thread::sleep(Duration::from_mins(1));
            drop(answers);
        });
        Ok(Link { input, output })
    }
}

#[test]
fn nobody_takes_leave_of_a_server_that_never_spoke() {
    let stop = Stop::default();
    stop.request();
    let began = Instant::now();
    let error = RemoteRepository::open(Arc::new(Mute), RemoteOptions { stop, ..options() }).err().unwrap();
    assert!(matches!(error, RepositoryError::Stopped), "{error}");
    // A container has ten seconds to end.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn what_is_no_borg_is_said_to_be_none() {
    let machine = Machine::new();
    machine.once(Action::Babble, is(Method::Open));
    let error = open_with(&machine, options()).err().unwrap();
    assert!(error.to_string().contains("no borg server"), "{error}");
}
