//! Several repositories: what one does is nothing to the others.

use proptest::prelude::*;
use worldkeeper_docker::State::{NotRunning, Running};

use super::Event;
use super::story::{HOUR, MINUTE, Story, known};
use crate::JobOutcome;

const NAMES: [&str; 2] = ["local", "nas"];

#[test]
fn those_that_are_due_are_one_run_and_reckoned_from_its_begin() {
    let mut story = Story::of_several(&[], NAMES, [None, Some(90)]);
    assert_eq!(story.turns, [0]);
    story.pass(10 * MINUTE);
    story.finish_well();
    assert_eq!(story.turns, [0, 1], "one after the other");
    story.pass(5 * MINUTE);
    story.finish_well();
    assert_eq!(
        story.said(),
        [
            "INFO a backup every 1 h into each of local, nas, always, as no container is watched",
            "INFO local: no good archive is known yet: the first one is due now",
            "INFO nas: the last good archive was begun at 2026-11-06T10:30:00Z: the next backup is due now",
            "INFO local: a backup is due: starting",
            "INFO local: archive mc-1 is complete: the next backup is in 50 min",
            "INFO nas: a backup is due: starting",
            "INFO nas: archive mc-1 is complete: the next backup is in 45 min",
        ]
    );
    assert_eq!(story.wait(), Some(45 * MINUTE));
}

#[test]
fn one_that_fails_is_tried_again_alone() {
    let mut story = Story::of_several(&[], NAMES, [None, None]);
    story.fail(true);
    story.finish_well();
    assert_eq!(story.turns, [0, 1], "the other has its turn first");
    story.pass(MINUTE);
    assert_eq!(story.turns, [0, 1, 0]);
    story.finish_well();
    assert_eq!(story.wait(), Some(59 * MINUTE), "the interval of the other counts from its own archive");
    story.pass(59 * MINUTE);
    story.finish_well();
    assert_eq!(story.turns, [0, 1, 0, 0, 1], "and the one that was late joins it, in its old turn");
    story.finish_well();
    assert_eq!(story.wait(), Some(HOUR));
}

#[test]
fn one_that_fails_for_ever_and_slowly_delays_the_other_by_one_turn() {
    let mut story = Story::of_several(&[], NAMES, [None, None]);
    while story.starts.len() < 60 {
        let Some((target, _)) = story.job else {
            story.pass(MINUTE);
            continue;
        };
        if target == 0 {
            story.pass(45 * MINUTE);
            story.fail(true);
        } else {
            story.finish_well();
        }
    }
    let starts: Vec<_> =
        story.turns.iter().zip(&story.starts).filter(|(target, _)| **target == 1).map(|(_, start)| *start).collect();
    assert!(starts.len() > 20);
    for pair in starts.windows(2) {
        assert!(pair[1] <= pair[0] + HOUR + 45 * MINUTE, "{pair:?}");
    }
}

#[test]
fn those_that_were_out_of_step_are_in_step_again() {
    let mut story = Story::of_several(&[], NAMES, [Some(60), Some(55)]);
    story.finish_well();
    assert_eq!(story.turns, [0, 1], "due in five minutes is due");
    story.finish_well();
    assert_eq!(story.wait(), Some(HOUR));
    let story = Story::of_several(&[], NAMES, [Some(60), Some(50)]);
    assert_eq!(story.turns, [0]);
}

#[test]
fn a_run_goes_on_to_its_end_when_the_game_stops() {
    let mut story = Story::of_several(&["mc"], NAMES, [None, None]);
    story.watch(known(&[("mc", Running)]));
    story.watch(known(&[("mc", NotRunning("exited"))]));
    story.finish_well();
    assert_eq!(story.turns, [0, 1], "else one of them would lack what the game wrote last");
    story.finish_well();
    story.pass(100 * HOUR);
    assert_eq!(story.turns, [0, 1]);
}

#[test]
fn a_backup_that_is_asked_for_goes_everywhere() {
    let mut story = Story::of_several(&["mc"], NAMES, [Some(10), Some(20)]);
    story.watch(known(&[("mc", NotRunning("exited"))]));
    story.tell(Event::BackupRequested);
    story.finish_well();
    story.finish_well();
    assert_eq!(story.turns, [0, 1]);
    assert!(!story.job_runs());
}

#[test]
fn an_archive_that_somebody_made_by_hand_counts_for_its_repository_alone() {
    let mut story = Story::of_several(&[], NAMES, [Some(30), Some(30)]);
    story.pass(20 * MINUTE);
    story.last_good[0] = Some(story.now.wall);
    story.said();
    story.pass(10 * MINUTE);
    assert_eq!(story.turns, [1]);
    assert!(story.said()[0].starts_with("INFO local: another archive was made meanwhile"));
    story.finish_well();
    assert_eq!(story.wait(), Some(50 * MINUTE));
}

#[test]
fn a_stop_ends_the_run_with_its_job() {
    let mut story = Story::of_several(&[], NAMES, [None, None]);
    story.tell(Event::StopRequested);
    story.finish(JobOutcome::Stopped);
    assert!(story.ended);
    assert_eq!(story.turns, [0]);
}

#[test]
fn who_has_been_due_for_longest_has_the_next_turn() {
    let mut story = Story::of_several(&[], ["a", "b", "c"], [Some(60), Some(60), Some(50)]);
    for _ in 0..2 {
        story.pass(30 * MINUTE);
        story.fail(true);
    }
    assert_eq!(story.turns, [0, 1, 2], "the first is due again, but not for so long");
    story.finish_well();
    assert_eq!(story.turns, [0, 1, 2, 0]);
}

proptest! {
    /// However long jobs take and however they end: a job of each is begun within an interval and one turn of all others.
    #[test]
    fn nobody_starves(ends in proptest::collection::vec((0_u32..90, 0_u8..3), 20..80)) {
        let mut story = Story::of_several(&[], ["a", "b", "c"], [None, None, None]);
        let longest = 90 * MINUTE;
        for (minutes, end) in ends {
            while !story.job_runs() {
                story.pass(MINUTE);
            }
            story.pass(minutes * MINUTE);
            match end {
                0 => story.fail(true),
                1 => story.fail(false),
                _ => story.finish_well(),
            }
        }
        for target in 0..3 {
            let mut last = story.starts[0];
            for (start, _) in story.starts.iter().zip(&story.turns).filter(|(_, turn)| **turn == target) {
                // Its own last job, the interval or the wait after a failure, and what goes on then: a run of the two others.
                prop_assert!(*start <= last + longest + HOUR + 3 * longest, "{} of {target}", story.starts.len());
                last = *start;
            }
        }
    }
}
