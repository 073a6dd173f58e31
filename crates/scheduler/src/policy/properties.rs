//! What holds whatever happens, in whatever order.

use std::time::Duration;

use jiff::SignedDuration;
use proptest::prelude::*;
use worldkeeper_docker::{State, Watch};

use super::story::{HOUR, MINUTE, Story, known, unreachable};
use super::{Event, Phase, UNKNOWN_LIMIT};
use crate::{GameState, JobOutcome};

#[derive(Clone, Debug)]
enum Step {
    Pass(Duration),
    Jump(SignedDuration),
    Watch(Watch),
    Finish(JobOutcome),
    Request,
    /// Somebody else makes an archive, or the records say so, dated so far from now.
    Other(SignedDuration),
    /// An event that nobody waits for.
    Stray(Event),
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        Just(State::Running),
        Just(State::NotRunning("exited")),
        Just(State::NotRunning("paused")),
        Just(State::Missing)
    ];
    let outcome = prop_oneof![
        3 => Just(JobOutcome::Good { archive: "mc".to_owned(), warnings: 0 }),
        2 => any::<bool>().prop_map(|retry| JobOutcome::Failed { error: "no".to_owned(), hint: None, retry }),
        1 => Just(JobOutcome::Stopped),
    ];
    let jump = (-400_000_i64..400_000).prop_map(SignedDuration::from_mins);
    prop_oneof![
        8 => (0_u64..20_000).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        2 => jump.clone().prop_map(Step::Jump),
        4 => (state.clone(), state).prop_map(|(a, b)| Step::Watch(known(&[("a", a), ("b", b)]))),
        2 => "[a-c]".prop_map(|reason| Step::Watch(unreachable(&reason))),
        6 => outcome.clone().prop_map(Step::Finish),
        1 => Just(Step::Request),
        1 => jump.prop_map(Step::Other),
        1 => Just(Step::Stray(Event::Timer)),
        1 => Just(Step::Stray(Event::LastGood(Vec::new()))),
        1 => Just(Step::Stray(Event::Started { last_good: Vec::new(), cut_off: Vec::new() })),
        1 => Just(Step::Stop),
    ]
}

/// What a person would say of the game, kept apart from what the scheduler thinks.
#[derive(Clone, Copy)]
struct Game {
    was_seen: bool,
    ran_when_last_seen: bool,
    unknown_since: Option<Duration>,
}

impl Game {
    fn may_be_backed_up(self, now: Duration) -> bool {
        self.ran_when_last_seen || self.is_presumed_to_run(now)
    }

    fn is_presumed_to_run(self, now: Duration) -> bool {
        self.unknown_since.is_some_and(|since| now >= since + UNKNOWN_LIMIT)
    }

    fn state(self, now: Duration) -> GameState {
        match (self.is_presumed_to_run(now), self.was_seen && !self.ran_when_last_seen) {
            (true, _) => GameState::Presumed,
            (false, true) => GameState::Rests,
            (false, false) => GameState::MayRun,
        }
    }
}

/// Runs the steps; [`Story::tell`] itself asserts that no two jobs run, and that nothing is done after the end.
fn live(watched: bool, steps: Vec<Step>) -> Story {
    let mut story = Story::begun(HOUR, if watched { &["a", "b"] } else { &[] }, None);
    let mut game = Game {
        was_seen: !watched,
        ran_when_last_seen: !watched,
        unknown_since: watched.then_some(story.now.monotonic),
    };
    for step in steps {
        let starts = story.starts.len();
        let mut was_asked = false;
        match step {
            Step::Pass(duration) => story.pass(duration),
            Step::Jump(jump) => story.now.wall += jump,
            Step::Watch(watch) if watched => {
                match &watch {
                    Watch::Known(containers) => {
                        let ran_when_last_seen = containers.iter().any(|one| one.state == State::Running);
                        game = Game { was_seen: true, ran_when_last_seen, unknown_since: None };
                    }
                    Watch::Unreachable { .. } => {
                        game.unknown_since.get_or_insert(story.now.monotonic);
                    }
                }
                story.watch(watch);
            }
            Step::Finish(outcome) if story.job_runs() => story.finish(outcome),
            Step::Watch(_) | Step::Finish(_) => {}
            Step::Request => {
                was_asked = true;
                story.tell(Event::BackupRequested);
            }
            Step::Other(age) => story.last_good[0] = Some(story.now.wall + age),
            Step::Stray(event) => story.tell(event),
            Step::Stop => {
                story.tell(Event::StopRequested);
                story.stop_requested = true;
                assert_eq!(story.ended, !story.job_runs(), "a stop ends at once, or with the job");
            }
        }
        for start in &story.starts[starts..] {
            assert!(was_asked || game.may_be_backed_up(*start), "a job while the game does not run");
        }
        // One that is asked to stop is not woken any more to be told that.
        if !story.stop_requested {
            assert_eq!(story.told, Some(game.state(story.now.monotonic)), "what the job was told of the game");
        }
        let waits_for_something_else = story.ended
            || if story.job_runs() {
                story.stop_requested
            } else {
                game.unknown_since.is_none() && !game.ran_when_last_seen
            };
        assert_eq!(
            story.scheduler.wake_at().is_none(),
            waits_for_something_else,
            "asleep for ever, or awake for nothing: {:?}",
            story.scheduler
        );
        assert_ne!(story.scheduler.phase, Phase::Reading, "the answer was given");
    }
    story
}

proptest! {
    #[test]
    fn the_rules_hold_whatever_happens(watched: bool, steps in proptest::collection::vec(step(), 1..60)) {
        let mut story = live(watched, steps);
        story.tell(Event::StopRequested);
        story.stop_requested = true;
        if story.job_runs() {
            story.finish(JobOutcome::Stopped);
        }
        prop_assert!(story.ended, "a stop always ends");
    }

    #[test]
    fn a_wild_clock_neither_stops_backups_nor_starts_a_storm(
        jumps in proptest::collection::vec((0_u64..7200, -4_000_000_i64..4_000_000), 1..60),
    ) {
        let mut story = Story::begun(HOUR, &[], None);
        for (seconds, jump) in jumps {
            for _ in 0..seconds / 60 {
                story.pass(MINUTE);
                if story.job_runs() {
                    story.finish_well();
                }
            }
            story.now.wall += SignedDuration::from_mins(jump);
        }
        for pair in story.starts.windows(2) {
            prop_assert_eq!(pair[1], pair[0] + HOUR);
        }
        let last = *story.starts.last().expect("the first is made at once");
        prop_assert!(story.now.monotonic <= last + HOUR);
    }

    #[test]
    fn whatever_the_records_say_a_backup_is_made_within_an_interval(
        age_minutes in -4_000_000_i64..4_000_000,
        jump_minutes in -4_000_000_i64..4_000_000,
    ) {
        let mut story = Story::begun(HOUR, &[], SignedDuration::from_mins(age_minutes));
        story.now.wall += SignedDuration::from_mins(jump_minutes);
        story.pass(HOUR);
        prop_assert_eq!(story.starts.len(), 1);
    }
}
