//! What is remembered, and what survives what.

use std::path::Path;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use super::memory_disk::MemoryDisk;
use super::*;

/// A clock that only sleeping moves.
#[derive(Default)]
struct SleepClock(Mutex<Duration>);

impl Clock for SleepClock {
    fn now(&self) -> Timestamp {
        epoch()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

fn epoch() -> Timestamp {
    "2026-11-06T12:00:00Z".parse().unwrap()
}

fn setting() -> (Arc<MemoryDisk>, History) {
    let disk = Arc::new(MemoryDisk::default());
    disk::create_dir_all(&*disk, Path::new("/")).unwrap();
    let history = History::new(Arc::clone(&disk) as Arc<dyn Disk>, Arc::new(SleepClock::default()), "/state");
    (disk, history)
}

/// A backup that began at such a minute.
fn backup(minute: i64, outcome: RunOutcome) -> Run {
    let start = epoch() + SignedDuration::from_mins(minute);
    Run {
        kind: Kind::Backup,
        start,
        end: start + SignedDuration::from_secs(30),
        outcome,
        archive: (outcome == RunOutcome::Good).then(|| format!("mc-{minute}")),
        is_deleted: false,
        gone: None,
        is_partial: false,
        is_presumed: false,
        files: Files { new: 1, changed: 2, unchanged: 3, torn: 4, ..Files::default() },
        amiss: Some("4 files changed while they were read: a, b, c, d".to_owned()),
        elsewhere: Some("the game is elsewhere".to_owned()),
        emptied: 0,
        sources: Vec::new(),
        read_bytes: 1 << 30,
        added_bytes: 1 << 20,
        freed_bytes: 0,
        is_cut_off: false,
        error: (outcome == RunOutcome::Failed).then(|| "no route to host".to_owned()),
    }
}

#[test]
fn an_archive_that_was_deleted_is_not_the_last_good_one() {
    let (_, history) = setting();
    history.deleted("local", &["mc-0".to_owned()]).unwrap();
    assert!(history.all().unwrap().is_empty());
    for minute in [0, 60] {
        for (series, repository) in [("mc", "local"), ("mc", "remote"), ("valheim", "local")] {
            let archive = Some(format!("{series}-{minute}"));
            history.record(series, repository, Run { archive, ..backup(minute, RunOutcome::Good) }).unwrap();
        }
    }
    let last = |series, repository| history.last_good(series, repository).unwrap().and_then(|run| run.archive);
    history.deleted("local", &["mc-60".to_owned(), "other".to_owned()]).unwrap();
    assert_eq!(last("mc", "local").as_deref(), Some("mc-0"));
    assert_eq!(last("mc", "remote").as_deref(), Some("mc-60"));
    assert_eq!(last("valheim", "local").as_deref(), Some("valheim-60"));
    history.deleted("local", &["mc-0".to_owned()]).unwrap();
    assert_eq!(last("mc", "local"), None);
    history.undeleted("local", &["mc-60".to_owned()]).unwrap();
    history.renamed("local", "mc-60".to_owned(), "kept").unwrap();
    assert_eq!(last("mc", "local").as_deref(), Some("kept"));
    assert_eq!(history.runs("mc", "local").unwrap().len(), 2, "what was done was done");
}

#[test]
fn what_somebody_else_has_deleted_is_told_until_there_is_another_one() {
    let (disk, history) = setting();
    let names = |minutes: &[i64]| minutes.iter().map(|minute| format!("mc-{minute}")).collect::<Vec<_>>();
    let made = |minute| history.record("mc", "local", backup(minute, RunOutcome::Good)).unwrap();
    let told = || {
        let gone = history.runs("mc", "local").unwrap().into_iter().filter(|run| run.gone.is_some());
        gone.map(|run| run.archive.unwrap()).collect::<Vec<_>>()
    };
    (0..6).for_each(made);
    history.deleted("local", &names(&[0])).unwrap();
    history.gone("local", &names(&[0, 1, 2, 3])).unwrap();
    assert_eq!(told(), names(&[1, 2, 3]), "what we have deleted is nobody else's");
    assert!(history.runs("mc", "local").unwrap().iter().take(4).all(|run| run.is_deleted));
    history.deleted("local", &names(&[2])).unwrap();
    history.undeleted("local", &names(&[3])).unwrap();
    assert_eq!(told(), names(&[1]));
    history.record("mc", "local", backup(6, RunOutcome::Failed)).unwrap();
    assert_eq!(told(), names(&[1]));
    made(7);
    assert!(told().is_empty());

    // The daemon finds it when it begins a backup, and that one's archive is none of later.
    history.begin("mc", "local", epoch()).unwrap();
    history.gone("local", &names(&[4])).unwrap();
    history.end("mc", "local", backup(8, RunOutcome::Good)).unwrap();
    assert_eq!(told(), names(&[4]));
    history.end("mc", "local", backup(9, RunOutcome::Good)).unwrap();
    assert!(told().is_empty());

    // What earlier versions wrote says nothing of it.
    let without = r#"{"version":1,"series":"mc","repository":"local","runs":[{"kind":"backup","start":"2026-11-06T12:00:00",
        "end":"2026-11-06T12:00:00","outcome":"good","archive":"mc-0","is_deleted":true}]}"#;
    disk.overwrite("json", without.as_bytes());
    assert!(told().is_empty() && history.runs("mc", "local").unwrap()[0].is_deleted);
}

#[test]
fn runs_are_remembered_per_series_and_repository() {
    let (_, history) = setting();
    assert_eq!(history.last_good("mc", "local").unwrap(), None);
    assert!(history.all().unwrap().is_empty());
    let runs = [backup(0, RunOutcome::Good), backup(60, RunOutcome::Failed)];
    for run in &runs {
        history.record("mc", "local", run.clone()).unwrap();
    }
    history.record("mc", "remote", backup(61, RunOutcome::Warnings)).unwrap();
    assert_eq!(history.runs("mc", "local").unwrap(), runs);
    assert_eq!(history.last_good("mc", "local").unwrap(), Some(runs[0].clone()));
    assert_eq!(
        history.last_good("mc", "remote").unwrap().map(|run| run.start),
        Some(epoch() + SignedDuration::from_mins(61))
    );
    assert_eq!(history.last_good("valheim", "local").unwrap(), None);
    let all = history.all().unwrap();
    let names: Vec<_> = all.iter().map(|records| (records.series.as_str(), records.repository.as_str())).collect();
    assert_eq!(names, [("mc", "local"), ("mc", "remote")]);
}

#[test]
fn only_backups_are_counted_from() {
    let (_, history) = setting();
    for (kind, outcome) in [
        (Kind::Backup, RunOutcome::Stopped),
        (Kind::Backup, RunOutcome::Failed),
        (Kind::Prune, RunOutcome::Good),
        (Kind::Compact, RunOutcome::Good),
    ] {
        history.record("mc", "local", Run { kind, ..backup(0, outcome) }).unwrap();
    }
    assert_eq!(history.last_good("mc", "local").unwrap(), None);
}

#[test]
fn the_last_good_archive_is_the_one_recorded_last_whatever_the_clock_said() {
    let (_, history) = setting();
    history.record("mc", "local", backup(1_000_000, RunOutcome::Good)).unwrap();
    history.record("mc", "local", backup(5, RunOutcome::Good)).unwrap();
    assert_eq!(
        history.last_good("mc", "local").unwrap().map(|run| run.start),
        Some(epoch() + SignedDuration::from_mins(5))
    );
}

#[test]
fn old_runs_are_forgotten_but_the_last_good_backup_is_not() {
    let (_, history) = setting();
    let backup = |minute, outcome| Run { elsewhere: None, ..backup(minute, outcome) };
    history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap();
    history.record("mc", "local", backup(1, RunOutcome::Good)).unwrap();
    for minute in 2..300 {
        history.record("mc", "local", backup(minute, RunOutcome::Failed)).unwrap();
    }
    let runs = history.runs("mc", "local").unwrap();
    assert_eq!(runs.len(), MAX_RUNS);
    assert_eq!(runs[0], backup(1, RunOutcome::Good));
    assert_eq!(runs[1], backup(201, RunOutcome::Failed));
    assert_eq!(runs[99], backup(299, RunOutcome::Failed));
}

#[test]
fn runs_whose_archives_are_lacking_are_not_forgotten_until_those_are_gone() {
    let (_, history) = setting();
    let made = |minute, change: fn(&mut Run)| {
        let archive = Some(format!("mc-{minute}"));
        let mut run = Run { archive, elsewhere: None, ..backup(minute, RunOutcome::Good) };
        change(&mut run);
        history.record("mc", "local", run).unwrap();
    };
    let lacking = || history.lacking("mc", "local").unwrap().into_iter().collect::<Vec<_>>();
    assert!(lacking().is_empty(), "there is no history yet");
    made(0, |_| {});
    made(1, |run| run.outcome = RunOutcome::Failed);
    made(2, |run| run.files = Files::default());
    made(3, |run| run.files.failed = 1);
    made(4, |run| run.elsewhere = Some("elsewhere".to_owned()));
    made(5, |run| run.outcome = RunOutcome::Warnings);
    made(7, |run| (run.outcome, run.files.broken) = (RunOutcome::Warnings, 1));
    made(8, |run| run.is_presumed = true);
    made(6, |run| (run.outcome, run.archive) = (RunOutcome::Failed, None));
    for minute in 10..300 {
        made(minute, |_| {});
    }
    assert_eq!(lacking(), ["mc-1", "mc-2", "mc-3", "mc-4", "mc-7", "mc-8"]);
    assert_eq!(history.runs("mc", "local").unwrap().len(), MAX_RUNS + 6);
    assert_eq!(history.runs("mc", "local").unwrap()[1].amiss, None);
    history.deleted("local", &["mc-2".to_owned(), "mc-3".to_owned()]).unwrap();
    assert_eq!(lacking(), ["mc-1", "mc-4", "mc-7", "mc-8"]);
}

#[test]
fn a_backup_that_nobody_ended_was_cut_off() {
    let (_, history) = setting();
    let cut_off = || history.cut_off("mc", "local").unwrap();
    assert_eq!(cut_off(), (None, 0));
    history.begin("mc", "local", epoch()).unwrap();
    history.end("mc", "local", backup(0, RunOutcome::Stopped)).unwrap();
    assert_eq!(cut_off(), (None, 0));
    for times in 1..4 {
        history.begin("mc", "local", epoch()).unwrap();
        let (run, in_a_row) = cut_off();
        let run = run.unwrap();
        assert_eq!((run.start, run.outcome, in_a_row), (epoch(), RunOutcome::Failed, times));
        assert_eq!(history.runs("mc", "local").unwrap().last(), Some(&run));
        assert_eq!(cut_off(), (None, times), "it is recorded once");
    }
    // What somebody else does meanwhile ends nothing; a run that ends well does.
    history.begin("mc", "local", epoch()).unwrap();
    history.record("mc", "local", backup(1, RunOutcome::Good)).unwrap();
    assert_eq!(cut_off().1, 1);
    history.begin("mc", "local", epoch()).unwrap();
    assert_eq!(history.begun("mc", "local").unwrap(), Some(epoch()));
    history.end("mc", "local", backup(2, RunOutcome::Good)).unwrap();
    assert_eq!(history.begun("mc", "local").unwrap(), None);
    assert_eq!(cut_off(), (None, 0));
    assert_eq!(history.cut_off("valheim", "local").unwrap(), (None, 0));
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let (_, history) = setting();
    let error = Some("ä".repeat(100_000));
    history.record("mc", "local", Run { error, ..backup(0, RunOutcome::Failed) }).unwrap();
    let runs = history.runs("mc", "local").unwrap();
    assert_eq!(runs[0].error, Some("ä".repeat(1000) + "…"));
}

#[test]
fn a_damaged_file_is_no_history_and_set_aside_by_the_next_run() {
    let too_long = vec![b' '; 5 << 20];
    for damage in
        [&b""[..], b"{", b"\xff\xfe", b"[]", br#"{"version":2,"series":"","repository":"","runs":[]}"#, &too_long]
    {
        let (disk, history) = setting();
        history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap();
        disk.overwrite("json", damage);
        assert_eq!(history.last_good("mc", "local").unwrap(), None);
        assert!(history.all().unwrap().is_empty());
        history.record("mc", "local", backup(1, RunOutcome::Good)).unwrap();
        assert_eq!(history.runs("mc", "local").unwrap(), [backup(1, RunOutcome::Good)]);
        assert!(disk.names().iter().any(|name| name.ends_with(".damaged")));
    }
}

#[test]
fn every_cut_of_a_file_is_survived() {
    let (disk, history) = setting();
    history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap();
    let path = Path::new("/state/history").join(file::name("mc", "local"));
    let whole = disk::read(&*disk, &path, 1 << 20).unwrap();
    for len in 0..whole.len() {
        disk.overwrite("json", &whole[..len]);
        assert!(history.runs("mc", "local").unwrap().is_empty(), "cut at {len}");
    }
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let (disk, history) = setting();
    history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap();
    let path = Path::new("/state/history").join(file::name("mc", "local"));
    let text = String::from_utf8(disk::read(&*disk, &path, 1 << 20).unwrap()).unwrap();
    disk.overwrite("json", text.replace("\"kind\"", "\"later\":{\"a\":[1]},\"kind\"").as_bytes());
    assert_eq!(history.runs("mc", "local").unwrap(), [backup(0, RunOutcome::Good)]);
}

#[test]
fn files_of_earlier_versions_are_read() {
    let (disk, history) = setting();
    history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap();
    let earlier = r#"{"version":1,"series":"mc","repository":"local","runs":[{"kind":"backup",
        "start":"2026-11-06T12:00:00.000000","end":"2026-11-06T12:00:30.000000","outcome":"good","archive":"mc-0"}]}"#;
    disk.overwrite("json", earlier.as_bytes());
    let runs = history.runs("mc", "local").unwrap();
    assert_eq!((runs.len(), &runs[0].elsewhere), (1, &None));
    assert!(runs[0].is_good_backup());
}

#[test]
fn what_a_check_finds_is_known_until_another_one_finds_it_mended() {
    let (disk, history) = setting();
    let all = Checked { repository: true, archives: true, data: true };
    history.checked("mc", "local", &Verdict::Sound(all)).unwrap();
    assert!(disk.names().is_empty(), "there is nothing to remember");
    for series in ["mc", "valheim"] {
        history.record(series, "local", backup(0, RunOutcome::Good)).unwrap();
    }
    history.record("mc", "remote", backup(0, RunOutcome::Good)).unwrap();
    let damage = Damage { found: epoch(), problems: 2, place: Checked { archives: true, ..Checked::default() } };
    history.checked("other", "local", &Verdict::Damaged(damage.clone())).unwrap();
    let known = |series, repository| history.damage(series, repository).unwrap();
    for series in ["mc", "valheim", "other"] {
        assert_eq!(known(series, "local"), Some(damage.clone()), "{series}");
    }
    assert_eq!(known("mc", "remote"), None);
    // A backup mends nothing.
    history.record("mc", "local", backup(1, RunOutcome::Good)).unwrap();
    history.checked("mc", "local", &Verdict::Sound(Checked { repository: true, ..Checked::default() })).unwrap();
    assert_eq!(known("mc", "local"), Some(damage));
    history.checked("mc", "local", &Verdict::Sound(all)).unwrap();
    for series in ["mc", "valheim", "other"] {
        assert_eq!(known(series, "local"), None, "{series}");
    }
    assert_eq!(history.runs("mc", "local").unwrap().len(), 2);
}

#[test]
fn a_disk_that_fails_leaves_the_old_or_the_new_history() {
    let old = [backup(0, RunOutcome::Good)];
    let new = [backup(0, RunOutcome::Good), backup(1, RunOutcome::Good)];
    for changes in 0.. {
        let (disk, history) = setting();
        history.record("mc", "local", old[0].clone()).unwrap();
        disk.fail_after(Some(changes));
        let recorded = history.record("mc", "local", new[1].clone());
        disk.fail_after(None);
        let runs = history.runs("mc", "local").unwrap();
        assert!(runs == old || runs == new, "after {changes} changes");
        history.record("mc", "local", backup(2, RunOutcome::Good)).unwrap();
        assert_eq!(history.runs("mc", "local").unwrap().len(), runs.len() + 1, "it goes on after {changes} changes");
        if recorded.is_ok() {
            assert_eq!(runs, new);
            return;
        }
    }
}

#[test]
fn another_process_is_waited_for_but_not_for_ever() {
    let (disk, history) = setting();
    let lock = disk.try_lock(Path::new("/state/history/lock")).unwrap().unwrap();
    let error = history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap_err();
    assert_eq!(error.to_string(), "the run history is being written by another process");
    drop(lock);
    history.record("mc", "local", backup(0, RunOutcome::Good)).unwrap();
}
