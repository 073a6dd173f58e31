//! The rules, one by one.

use jiff::SignedDuration;
use worldkeeper_docker::State::{Missing, NotRunning, Running};

use super::story::{HOUR, MINUTE, Story, known, unreachable};
use super::{Action, Event, Now, UNKNOWN_LIMIT};
use crate::{GameState, JobOutcome, Whereabouts};

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[test]
fn the_first_backup_is_made_at_once() {
    let mut story = Story::begun(HOUR, &[], None);
    assert!(story.job_runs());
    assert_eq!(
        story.said(),
        [
            "INFO a backup every 1 h, always, as no container is watched",
            "INFO no good archive is known yet: the first one is due now",
            "INFO a backup is due: starting",
        ]
    );
    story.pass(MINUTE);
    story.finish_well();
    assert_eq!(story.said(), ["INFO archive mc-1 is complete: the next backup is in 59 min"]);
}

#[test]
fn the_interval_counts_from_the_last_good_archive_across_restarts() {
    let mut story = Story::begun(HOUR, &[], minutes(20));
    assert_eq!(story.wait(), Some(40 * MINUTE));
    assert_eq!(
        story.said()[1],
        "INFO the last good archive was begun at 2026-11-06T11:40:00Z: the next backup is in 40 min"
    );
    story.pass(40 * MINUTE);
    assert!(story.job_runs());
    story.pass(10 * MINUTE);
    story.finish_well();
    assert_eq!(story.wait(), Some(50 * MINUTE), "it counts from the begin of the archive, not from its end");
}

#[test]
fn missed_slots_are_caught_up_once() {
    let mut story = Story::begun(HOUR, &[], minutes(10 * 60));
    assert!(story.job_runs());
    story.finish_well();
    assert_eq!(story.wait(), Some(HOUR));
}

#[test]
fn a_job_longer_than_the_interval_is_followed_by_one_other() {
    let mut story = Story::begun(HOUR, &[], None);
    story.pass(210 * MINUTE);
    assert_eq!(story.starts.len(), 1, "no two at a time");
    story.finish_well();
    assert_eq!(story.starts.len(), 2);
    story.finish_well();
    assert_eq!(story.wait(), Some(HOUR), "three slots were missed, one was caught up");
}

#[test]
fn a_job_that_never_ends_is_spoken_of_again_and_again() {
    let mut story = Story::begun(HOUR / 2, &[], None);
    story.said();
    story.pass(59 * MINUTE);
    assert_eq!(story.said(), [""; 0]);
    let told = |story: &mut Story, hours: u32| {
        story.pass(hours * HOUR);
        story.said().into_iter().map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    story.pass(MINUTE);
    assert_eq!(story.said(), ["WARN the running backup has gone on for 1 h, and no other backup is made meanwhile"]);
    assert_eq!(
        told(&mut story, 7),
        [2, 4, 8].map(|hours| format!("WARN the running backup has gone on for {hours} h"))
    );
    assert_eq!(told(&mut story, 30 * 24).len(), 31, "daily at last");
    story.tell(Event::StopRequested);
    assert_eq!(story.wait(), None);
}

#[test]
fn records_that_cannot_be_read_are_spoken_of() {
    let mut story = Story::begun(2 * HOUR, &[], minutes(119));
    story.said();
    let mut now = story.now;
    now.monotonic += MINUTE;
    assert_eq!(story.scheduler.handle(Event::Timer, now), [Action::ReadLastGood]);
    now.monotonic += 2 * HOUR;
    assert_eq!(story.scheduler.wake_at(), Some(now.monotonic));
    let said = story.scheduler.handle(Event::Timer, now);
    assert!(
        matches!(&said[..], [Action::Say(tracing::Level::WARN, text)] if text.starts_with("the records of past backups")),
        "{said:?}"
    );
}

#[test]
fn nothing_happens_while_the_game_does_not_run() {
    let mut story = Story::begun(HOUR, &["mc"], None);
    story.watch(known(&[("mc", NotRunning("exited"))]));
    story.pass(1000 * HOUR);
    assert_eq!((story.starts.len(), story.wait()), (0, None));
    assert!(story.said().contains(&"INFO container mc is not running (exited): no backups until it runs".to_owned()));
    story.watch(known(&[("mc", Running)]));
    assert!(story.job_runs());
    assert_eq!(
        story.said(),
        ["INFO container mc is running", "INFO the next backup is due now", "INFO a backup is due: starting"]
    );
}

#[test]
fn a_game_that_comes_back_early_waits_for_the_rest_of_the_interval() {
    let mut story = Story::begun(HOUR, &["mc"], minutes(10));
    story.watch(known(&[("mc", Running)]));
    assert_eq!(story.wait(), Some(50 * MINUTE));
    story.watch(known(&[("mc", NotRunning("exited"))]));
    assert_eq!(story.wait(), None);
    story.pass(5 * MINUTE);
    story.watch(known(&[("mc", Running)]));
    assert_eq!(story.wait(), Some(45 * MINUTE));
}

#[test]
fn a_game_that_stops_while_the_records_are_read_is_not_backed_up() {
    let mut story = Story::begun(HOUR, &["mc"], minutes(30));
    story.watch(known(&[("mc", Running)]));
    let due = Now { monotonic: story.now.monotonic + 30 * MINUTE, ..story.now };
    let (scheduler, last_good) = (&mut story.scheduler, story.last_good.clone());
    assert_eq!(scheduler.handle(Event::Timer, due), [Action::ReadLastGood]);
    assert_eq!(scheduler.wake_at(), Some(due.monotonic + HOUR), "the answer wakes it, unless it never comes");
    let stops = Event::Watch(known(&[("mc", NotRunning("exited"))]));
    assert!(!scheduler.handle(stops, due).contains(&Action::StartJob(0)));
    assert_eq!(scheduler.handle(Event::LastGood(last_good.clone()), due), []);
    let begins = Event::Watch(known(&[("mc", Running)]));
    assert!(scheduler.handle(begins, due).contains(&Action::ReadLastGood));
    assert!(scheduler.handle(Event::LastGood(last_good), due).contains(&Action::StartJob(0)));
}

#[test]
fn a_paused_game_is_not_woken() {
    let mut story = Story::begun(HOUR, &["mc"], None);
    story.watch(known(&[("mc", NotRunning("paused"))]));
    story.pass(10 * HOUR);
    assert!(story.starts.is_empty());
}

#[test]
fn a_running_job_goes_on_when_the_game_stops() {
    let mut story = Story::begun(HOUR, &["mc"], None);
    story.watch(known(&[("mc", Running)]));
    story.said();
    story.watch(known(&[("mc", NotRunning("exited"))]));
    assert!(story.job_runs());
    assert_eq!(
        story.said(),
        [
            "INFO container mc is not running (exited): no backups until it runs",
            "INFO the running backup goes on to its end",
        ]
    );
    story.finish_well();
    assert_eq!(story.said(), ["INFO archive mc-1 is complete: the next backup is due in 1 h, if the game runs then"]);
    assert_eq!(story.wait(), None);
}

#[test]
fn any_of_several_containers_counts() {
    let mut story = Story::begun(HOUR, &["lobby", "world"], None);
    story.watch(known(&[("lobby", NotRunning("exited")), ("world", Running)]));
    assert!(story.job_runs());
    assert!(
        story
            .said()
            .contains(&"INFO container lobby is not running (exited): backups go on while another one runs".to_owned())
    );
    story.finish_well();
    story.watch(known(&[("lobby", NotRunning("exited")), ("world", Missing)]));
    story.pass(10 * HOUR);
    assert!(!story.job_runs());
    story.watch(known(&[("lobby", Running), ("world", Missing)]));
    assert!(story.job_runs());
}

#[test]
fn a_missing_container_is_warned_of_once_and_waited_for() {
    let mut story = Story::begun(HOUR, &["mc"], None);
    story.said();
    story.watch(known(&[("mc", Missing)]));
    assert_eq!(story.said(), ["WARN container mc does not exist, waiting for it: no backups until it runs"]);
    story.watch(unreachable("no answer within 10 s"));
    story.watch(known(&[("mc", Missing)]));
    story.pass(100 * HOUR);
    assert!(!story.said().iter().any(|line| line.contains("does not exist")));
    story.watch(known(&[("mc", NotRunning("created"))]));
    story.watch(known(&[("mc", Running)]));
    assert!(story.job_runs());
    story.watch(known(&[("mc", Missing)]));
    assert!(story.said().iter().any(|line| line.contains("does not exist")), "it is gone again: that is news");
}

#[test]
fn what_was_known_last_counts_while_docker_is_silent_then_the_game_is_taken_to_run() {
    let mut story = Story::begun(HOUR, &["mc"], None);
    story.watch(known(&[("mc", NotRunning("exited"))]));
    story.said();
    story.watch(unreachable("connection refused"));
    story.watch(unreachable("no answer within 10 s"));
    assert_eq!(
        story.said(),
        ["WARN Docker does not say how the game is: connection refused; \
             the game did not run when it was last seen, so backups wait"],
        "said once, however often the reason changes"
    );
    assert_eq!(story.wait(), Some(UNKNOWN_LIMIT));
    story.pass(UNKNOWN_LIMIT.saturating_sub(MINUTE));
    assert!(!story.job_runs());
    story.pass(MINUTE);
    assert!(story.job_runs());
    assert!(story.said()[0].starts_with("WARN nothing has been known of the game for 5 min: backups are made"));
    story.finish_well();
    story.pass(3 * HOUR);
    assert_eq!(story.starts.len(), 2);
    story.finish_well();
    assert_eq!(story.starts.len(), 3, "it was still due");
    story.finish_well();
    story.said();
    story.watch(known(&[("mc", NotRunning("exited"))]));
    assert_eq!(story.said(), ["INFO Docker answers again"]);
    story.pass(10 * HOUR);
    assert!(!story.job_runs(), "what is known counts again");
}

/// The world may rest all the while: each archive may be a copy of the one before.
#[test]
fn while_docker_is_silent_the_game_is_only_presumed_to_run_and_that_is_said_every_day() {
    for state in [NotRunning("exited"), Running] {
        let mut story = Story::begun(HOUR, &["mc"], None);
        story.watch(known(&[("mc", state)]));
        if story.job_runs() {
            story.finish_well();
        }
        let before = story.told;
        story.watch(unreachable("connection refused, restart this"));
        story.said();
        story.pass(UNKNOWN_LIMIT.saturating_sub(MINUTE));
        assert_eq!((story.told, story.said()), (before, Vec::new()), "{state:?}");
        story.pass(MINUTE);
        assert_eq!(story.told, Some(GameState::Presumed), "{state:?}");
        let told = |story: &mut Story| {
            let mut said = story.said();
            said.retain(|line| line.contains("has been known"));
            said
        };
        let warning = |time: &str| {
            format!(
                "WARN nothing has been known of the game for {time}: backups are made as if it ran, and nothing is pruned, until \
                 Docker answers again: connection refused, restart this"
            )
        };
        assert_eq!(told(&mut story), [warning("5 min")], "{state:?}");
        for days in 1..4 {
            for _ in 0..24 {
                story.pass(HOUR);
                if story.job_runs() {
                    story.finish_well();
                }
            }
            assert_eq!(told(&mut story), [warning(&format!("{days} d"))], "{state:?}");
        }
        story.watch(known(&[("mc", NotRunning("exited"))]));
        assert_eq!(story.told, Some(GameState::Rests), "{state:?}");
        story.pass(30 * HOUR);
        assert_eq!(told(&mut story), [""; 0], "{state:?}");
    }
}

/// Where nobody has said that there is an engine, a name alone does not mean that one is waited for, for ever; nor that nothing is
/// pruned.
#[test]
fn without_an_engine_the_schedule_is_fixed_until_there_is_one() {
    let mut story = Story::new(HOUR, &["mc"], &["/repository"]);
    story.scheduler = story.scheduler.with_optional_engine();
    story.start();
    story.watch(unreachable("no such file or directory"));
    story.pass(UNKNOWN_LIMIT.saturating_sub(MINUTE));
    assert_eq!((story.told, story.starts.len()), (Some(GameState::MayRun), 0), "one may come, as the machine begins");
    story.said();
    story.pass(MINUTE);
    assert_eq!((story.told, story.starts.len()), (Some(GameState::MayRun), 1));
    assert_eq!(
        story.said()[0],
        "WARN nothing has been known of the game for 5 min: backups are made as if it ran, until Docker answers: no such file or \
         directory"
    );
    story.finish_well();
    story.watch(known(&[("mc", NotRunning("exited"))]));
    story.pass(10 * HOUR);
    assert_eq!((story.told, story.starts.len()), (Some(GameState::Rests), 1), "it is watched from now on");
    story.watch(unreachable("no such file or directory"));
    story.pass(UNKNOWN_LIMIT);
    assert_eq!(story.told, Some(GameState::Presumed), "there is an engine, after all");
}

/// Between two backups a week apart.
#[test]
fn that_nothing_is_known_is_said_every_day_however_long_the_interval_is() {
    let mut story = Story::begun(7 * 24 * HOUR, &["mc"], minutes(0));
    story.watch(unreachable("connection refused"));
    story.said();
    story.pass(73 * HOUR);
    assert_eq!(story.said().len(), 1 + 3);
}

#[test]
fn a_running_game_goes_on_being_backed_up_while_docker_is_silent() {
    let mut story = Story::begun(HOUR, &["mc"], minutes(58));
    story.watch(known(&[("mc", Running)]));
    story.watch(unreachable("connection refused"));
    story.pass(2 * MINUTE);
    assert!(story.job_runs());
}

#[test]
fn a_docker_that_never_says_a_word_does_not_stop_backups() {
    let mut story = Story::begun(HOUR, &["mc"], None);
    assert_eq!(story.wait(), Some(UNKNOWN_LIMIT));
    story.pass(UNKNOWN_LIMIT);
    assert!(story.job_runs());
}

#[test]
fn failures_are_retried_after_doubling_waits_up_to_the_interval() {
    let mut story = Story::begun(HOUR, &[], None);
    let mut waits = Vec::new();
    for _ in 0..8 {
        story.fail(true);
        let wait = story.wait().unwrap();
        waits.push(wait.as_secs() / 60);
        story.pass(wait);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    story.said();
    story.fail(true);
    assert_eq!(story.said(), ["ERROR the backup failed: no route to host; the next backup is in 1 h"]);
    story.pass(HOUR);
    assert_eq!(story.said(), ["INFO a backup is due, again after a failure: starting"]);
    story.finish_well();
    story.pass(HOUR);
    story.fail(true);
    assert_eq!(story.wait(), Some(MINUTE), "a good archive ends the series of failures");
}

#[test]
fn backups_that_were_cut_off_wait_like_those_that_failed_but_for_the_first() {
    let story_after = |cut_off: u32| {
        let mut story = Story::new(HOUR, &[], &["/repository"]);
        story.start_after(&[cut_off]);
        story.tell(Event::Timer);
        story
    };
    for (cut_off, minutes) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (8, 60), (u32::MAX, 60)] {
        let mut story = story_after(cut_off);
        story.pass(MINUTE * minutes);
        assert!(story.job.is_some_and(|(_, begun)| begun.monotonic == story.now.monotonic), "{cut_off}");
    }
    let mut story = story_after(3);
    assert!(story.said().contains(&"WARN the last 3 backups were cut off: the next backup is in 2 min".to_owned()));
    story.pass(2 * MINUTE);
    story.fail(true);
    assert_eq!(story.wait(), Some(4 * MINUTE), "and so it goes on");
}

#[test]
fn short_intervals_are_not_stretched_by_failures() {
    let mut story = Story::begun(MINUTE / 2, &[], None);
    story.fail(true);
    assert_eq!(story.wait(), Some(MINUTE / 2));
}

#[test]
fn what_does_not_mend_itself_is_retried_at_the_usual_pace() {
    let mut story = Story::begun(HOUR, &[], None);
    story.said();
    story.fail(false);
    assert_eq!(story.wait(), Some(HOUR));
    // The hint comes behind what it is about.
    let expected = ["ERROR the backup failed: no route to host; the next backup is in 1 h", "ERROR hint: mend it"];
    assert_eq!(story.said(), expected);
}

#[test]
fn an_archive_made_by_hand_meanwhile_counts() {
    let mut story = Story::begun(HOUR, &[], minutes(30));
    story.pass(20 * MINUTE);
    story.last_good[0] = Some(story.now.wall);
    story.said();
    story.pass(10 * MINUTE);
    assert!(!story.job_runs());
    assert_eq!(
        story.said(),
        ["INFO another archive was made meanwhile, begun at 2026-11-06T12:20:00Z: the next backup is in 50 min"]
    );
    story.pass(50 * MINUTE);
    assert!(story.job_runs());
}

#[test]
fn an_archive_made_by_hand_ends_the_retries() {
    let mut story = Story::begun(HOUR, &[], None);
    story.fail(true);
    story.last_good[0] = Some(story.now.wall);
    story.pass(MINUTE);
    assert!(!story.job_runs());
    assert_eq!(story.wait(), Some(59 * MINUTE));
}

#[test]
fn records_that_are_lost_do_not_stop_backups() {
    let mut story = Story::begun(HOUR, &[], minutes(30));
    story.last_good[0] = None;
    story.pass(30 * MINUTE);
    assert!(story.job_runs());
}

#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    for jump in [SignedDuration::from_hours(24 * 365), SignedDuration::from_hours(-24 * 365)] {
        let mut story = Story::begun(HOUR, &[], minutes(20));
        story.now.wall += jump;
        story.pass(39 * MINUTE);
        assert!(!story.job_runs(), "{jump}: no backup before its time");
        story.pass(MINUTE);
        assert!(story.job_runs(), "{jump}: and none after it");
        story.now.wall -= jump;
        story.finish_well();
        assert_eq!(story.wait(), Some(HOUR), "{jump}: nor by one while a job runs");
        story.pass(HOUR);
        assert_eq!(story.starts.len(), 2, "{jump}");
    }
}

#[test]
fn an_archive_from_the_near_future_is_taken_for_one_of_just_now() {
    let story = Story::begun(HOUR, &[], minutes(-30));
    assert_eq!(story.wait(), Some(HOUR));
}

#[test]
fn an_archive_from_the_far_future_is_followed_by_one_of_now() {
    let mut story = Story::begun(HOUR, &[], minutes(-60 * 24 * 400));
    assert!(story.job_runs());
    assert_eq!(
        story.said()[1],
        "WARN the last good archive is dated 2027-12-11T12:00:00Z, but it is 2026-11-06T12:00:00Z: the clock was or \
         is wrong, so its age is not known and a backup is due now"
    );
    story.finish_well();
    assert_eq!(story.wait(), Some(HOUR), "once, not over and over");
}

#[test]
fn a_stop_without_a_job_ends_at_once() {
    for containers in [&[][..], &["mc"]] {
        let mut story = Story::begun(HOUR, containers, minutes(1));
        story.tell(Event::StopRequested);
        assert!(story.ended);
    }
    let mut story = Story::new(HOUR, &[], &["/repository"]);
    story.tell(Event::StopRequested);
    assert!(story.ended, "before it has started, too");
}

#[test]
fn a_stop_waits_for_the_job() {
    let mut story = Story::begun(HOUR, &[], None);
    story.said();
    story.tell(Event::StopRequested);
    story.stop_requested = true;
    story.tell(Event::StopRequested);
    story.tell(Event::BackupRequested);
    assert!(!story.ended);
    story.finish(JobOutcome::Stopped);
    assert!(story.ended);
    assert_eq!(
        story.said(),
        [
            "INFO stopping as soon as the running backup has rolled back",
            "INFO a backup was asked for, and one is running already",
            "INFO the backup was stopped before it was complete, and rolled back",
            "INFO stopped",
        ]
    );
}

#[test]
fn a_job_that_was_complete_before_it_heard_the_stop_is_said_to_be() {
    let mut story = Story::begun(HOUR, &[], None);
    story.tell(Event::StopRequested);
    story.finish_well();
    assert!(story.ended);
    assert!(story.said().iter().any(|line| line.contains("archive mc-1 is complete")));
}

#[test]
fn a_person_may_ask_at_any_time() {
    let mut story = Story::begun(HOUR, &["mc"], minutes(5));
    story.watch(known(&[("mc", NotRunning("exited"))]));
    story.tell(Event::BackupRequested);
    assert!(story.job_runs());
    story.tell(Event::BackupRequested);
    story.finish_well();
    assert_eq!(story.starts.len(), 1, "requests do not pile up");
    story.watch(known(&[("mc", Running)]));
    assert_eq!(story.wait(), Some(HOUR));
}

#[test]
fn warnings_are_counted_in_the_log() {
    let mut story = Story::begun(HOUR, &[], None);
    story.said();
    story.finish(JobOutcome::Good { archive: "mc-1".to_owned(), warnings: 1 });
    assert_eq!(story.said(), ["WARN archive mc-1 is complete, with 1 warning: the next backup is in 1 h"]);
}

#[test]
fn a_game_that_is_elsewhere_is_said_once_and_backed_up_all_the_same() {
    let mut story = Story::begun(HOUR, &["mc"], minutes(30));
    let elsewhere = |text: &str| Event::Compared(Whereabouts::Elsewhere(text.to_owned()));
    for (seen, (state, said)) in (1..).zip([
        (Running, &["INFO container mc is running", "INFO the next backup is in 30 min", "WARN it is elsewhere"][..]),
        (NotRunning("exited"), &["INFO container mc is not running (exited): no backups until it runs"]),
        (Running, &["INFO container mc is running", "INFO the next backup is in 30 min"]),
    ]) {
        if seen == 1 {
            story.said();
        }
        story.watch(known(&[("mc", state)]));
        assert_eq!(story.comparisons, seen);
        story.tell(elsewhere("it is elsewhere"));
        assert_eq!(story.said(), said);
    }
    story.tell(elsewhere("it is somewhere else again"));
    story.tell(Event::Compared(Whereabouts::Here));
    story.tell(elsewhere("it is elsewhere"));
    // An answer that is missing mends nothing.
    story.tell(Event::Compared(Whereabouts::Unknown));
    story.tell(elsewhere("it is elsewhere"));
    assert_eq!(story.said(), ["WARN it is somewhere else again", "WARN it is elsewhere"]);
    story.pass(30 * MINUTE);
    assert!(story.job_runs());
}
