//! The loop, with time that passes by itself as soon as nobody has anything to do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{self, Sender, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use worldkeeper_core::{Clock, Stop};
use worldkeeper_docker::{Container, ContainerName, State, Watch};

use super::DaemonError;
use super::event_loop::EventLoop;
use super::signals::Signal;
use crate::{GameState, Job, JobOutcome, Lookout, Scheduler, Whereabouts};

const HOUR: Duration = Duration::from_hours(1);

/// tokio's paused clock as ours, which goes on while the machine sleeps.
struct TestClock {
    began: Instant,
    /// How long the machine slept.
    slept: Mutex<Duration>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let epoch: Timestamp = "2026-11-06T12:00:00Z".parse().unwrap();
        epoch + SignedDuration::try_from(self.monotonic()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed() + *self.slept.lock().unwrap()
    }

    fn sleep(&self, _: Duration) {
        unreachable!("the loop waits without blocking");
    }
}

type Behaviour = Box<dyn Fn(u32, &Stop) -> JobOutcome + Send + Sync>;

/// A job that tells when it was run and does what the test wants.
struct TestJob {
    clock: Arc<TestClock>,
    runs: AtomicU32,
    starts: UnboundedSender<u64>,
    last_good: Mutex<Option<Timestamp>>,
    /// What it was told of the game.
    told: Arc<Mutex<Vec<GameState>>>,
    behaviour: Behaviour,
}

impl Job for TestJob {
    fn run(&self, stop: &Stop) -> JobOutcome {
        let start = self.clock.now();
        self.starts.send(self.clock.monotonic().as_secs() / 60).unwrap();
        let outcome = (self.behaviour)(self.runs.fetch_add(1, Ordering::SeqCst), stop);
        if matches!(outcome, JobOutcome::Good { .. }) {
            *self.last_good.lock().unwrap() = Some(start);
        }
        outcome
    }

    fn game_is(&self, known: GameState) {
        self.told.lock().unwrap().push(known);
    }

    fn last_good(&self) -> Option<Timestamp> {
        *self.last_good.lock().unwrap()
    }
}

/// One that notes what it is to look at, and panics now and then.
struct TestLookout(Arc<Mutex<Vec<State>>>);

impl Lookout for TestLookout {
    fn whereabouts(&self, containers: &[Container]) -> Whereabouts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(containers[0].state);
        assert_ne!(containers[0].state, State::Missing, "a panic on purpose");
        Whereabouts::Elsewhere("the game is elsewhere".to_owned())
    }
}

/// A loop that runs, and what moves it.
struct Setting {
    signals: Sender<Signal>,
    watch: Option<Sender<Watch>>,
    /// The minutes at which jobs were started.
    starts: UnboundedReceiver<u64>,
    /// What the job was told of the game.
    told: Arc<Mutex<Vec<GameState>>>,
    /// What was looked at.
    seen: Arc<Mutex<Vec<State>>>,
    clock: Arc<TestClock>,
    ended: JoinHandle<Result<(), DaemonError>>,
}

impl Setting {
    fn new(containers: &[&str], behaviour: impl Fn(u32, &Stop) -> JobOutcome + Send + Sync + 'static) -> Self {
        let clock = Arc::new(TestClock { began: Instant::now(), slept: Mutex::default() });
        let (starts_sender, starts) = mpsc::unbounded_channel();
        let told = Arc::<Mutex<_>>::default();
        let job = TestJob {
            clock: Arc::clone(&clock),
            runs: AtomicU32::new(0),
            starts: starts_sender,
            last_good: Mutex::new(None),
            told: Arc::clone(&told),
            behaviour: Box::new(behaviour),
        };
        let names: Vec<ContainerName> = containers.iter().map(|name| name.parse().unwrap()).collect();
        let scheduler = Scheduler::new(HOUR, &names, &["/repository".to_owned()]);
        let (signals, mut signals_receiver) = mpsc::channel(1);
        let (watch, watch_receiver) = mpsc::channel(1);
        let receiver = (!names.is_empty()).then_some(watch_receiver);
        let seen = Arc::<Mutex<_>>::default();
        let lookout: Arc<dyn Lookout> = Arc::new(TestLookout(Arc::clone(&seen)));
        let loop_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let ended = tokio::spawn(async move {
            EventLoop::new(scheduler, vec![Arc::new(job)], Some(lookout), loop_clock)
                .run(&mut signals_receiver, receiver)
                .await
        });
        Self { signals, watch: Some(watch), starts, told, seen, clock, ended }
    }

    async fn say(&self, state: State) {
        let container = Container {
            name: "mc".parse().unwrap(),
            state,
            mounts: Vec::new(),
            image: None,
            started: None,
            finished: None,
        };
        self.watch.as_ref().unwrap().send(Watch::Known(vec![container])).await.unwrap();
    }

    /// Stops the loop and returns the starts that were not looked at yet.
    async fn stop(mut self) -> Vec<u64> {
        self.signals.send(Signal::Stop).await.unwrap();
        self.ended.await.unwrap().unwrap();
        std::iter::from_fn(|| self.starts.try_recv().ok()).collect()
    }
}

fn good() -> JobOutcome {
    JobOutcome::Good { archive: "mc-1".to_owned(), warnings: 0 }
}

async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_made_every_interval() {
    let setting = Setting::new(&[], |_, _| good());
    pass(HOUR * 7 / 2).await;
    assert_eq!(setting.stop().await, [0, 60, 120, 180]);
}

/// Timers stand still while a machine sleeps.
#[tokio::test(start_paused = true)]
async fn what_became_due_while_the_machine_slept_is_made_soon_after() {
    let setting = Setting::new(&[], |_, _| good());
    pass(HOUR / 4).await;
    *setting.clock.slept.lock().unwrap() = 8 * HOUR;
    pass(HOUR / 4).await;
    let starts = setting.stop().await;
    assert!(starts == [0, 8 * 60 + 15] || starts == [0, 8 * 60 + 16], "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_a_panic_are_retried() {
    let setting = Setting::new(&[], |run, _| match run {
        0 => JobOutcome::Failed { error: "no route to host".to_owned(), hint: None, retry: true },
        1 => panic!("a panic on purpose"),
        _ => good(),
    });
    pass(HOUR).await;
    assert_eq!(setting.stop().await, [0, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_follows_the_game() {
    let setting = Setting::new(&["mc"], |_, _| good());
    setting.say(State::Missing).await;
    pass(HOUR).await;
    setting.say(State::Running).await;
    pass(HOUR * 3 / 2).await;
    setting.say(State::NotRunning("exited")).await;
    pass(10 * HOUR).await;
    setting.say(State::Running).await;
    pass(HOUR / 2).await;
    let told = Arc::clone(&setting.told);
    let states = [State::Missing, State::Running, State::NotRunning("exited"), State::Running];
    assert_eq!(*setting.seen.lock().unwrap_or_else(PoisonError::into_inner), states, "each is looked at");
    assert_eq!(setting.stop().await, [60, 120, 750]);
    let told: Vec<_> = told.lock().unwrap().iter().map(|known| known.may_run()).collect();
    // Nothing may have been known of it at first, which is told as if it ran.
    assert!(
        [[false, true, false, true].as_slice(), &[true, false, true, false, true]].contains(&&told[..]),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_ends_does_not_end_the_backups() {
    let mut setting = Setting::new(&["mc"], |_, _| good());
    setting.say(State::NotRunning("exited")).await;
    pass(HOUR).await;
    setting.watch = None;
    pass(HOUR).await;
    assert_eq!(setting.stop().await, [65]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_passed_on_to_the_job_and_waited_for() {
    let mut setting = Setting::new(&[], |_, stop| {
        while !stop.is_requested() {
            std::thread::yield_now();
        }
        JobOutcome::Stopped
    });
    assert_eq!(setting.starts.recv().await, Some(0));
    assert!(setting.stop().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_does_not_wait() {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let mut setting = Setting::new(&[], move |_, _| {
        // Deaf to the stop, until the test is over.
        let _ = held.lock().unwrap().recv();
        JobOutcome::Stopped
    });
    assert_eq!(setting.starts.recv().await, Some(0));
    setting.signals.send(Signal::Stop).await.unwrap();
    setting.signals.send(Signal::Stop).await.unwrap();
    assert!(matches!(setting.ended.await.unwrap(), Err(DaemonError::Interrupted)));
    drop(let_go);
}

#[tokio::test(start_paused = true)]
async fn a_backup_can_be_asked_for() {
    let setting = Setting::new(&[], |_, _| good());
    pass(HOUR / 2).await;
    setting.signals.send(Signal::Backup).await.unwrap();
    pass(HOUR * 3 / 4).await;
    assert_eq!(setting.stop().await, [0, 30]);
}
