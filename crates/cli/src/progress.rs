//! Tells how an operation goes: a moving line on a terminal, a line a minute in a log, and what is worth a line of its
//! own.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::{debug, info, warn};
use worldkeeper_core::repository::{CheckEvent, Severity};
use worldkeeper_engine::{Monitor, Notice, Progress, Rebuilding};

use crate::escape::{escape, escape_bytes};
use crate::{report, words};

/// Warnings about single files that one operation may log. The rest is counted, and told at level debug; but for files that are
/// not restored, of which each is told.
const MAX_FILE_WARNINGS: u64 = 100;

/// How often the moving line changes, and how often a log without one gets a line.
const BAR_PACE: Duration = Duration::from_millis(100);
const LOG_PACE: Duration = Duration::from_mins(1);

/// Tells how one operation goes.
pub(crate) struct Reporter {
    /// What is going on: `backing up`, `restoring`.
    verb: &'static str,
    screen: MultiProgress,
    /// The moving line, once there is something to tell.
    bar: Mutex<Option<ProgressBar>>,
    pace: Duration,
    started: Instant,
    /// When something was told last, in milliseconds since the start.
    told_ms: AtomicU64,
    /// Warnings about single files so far.
    file_warnings: AtomicU64,
    /// Warnings about anything else.
    other_warnings: AtomicU64,
    /// Whether standard output gets the path of each item that is done.
    lists: bool,
}

impl Reporter {
    /// Begins to tell; `screen` shows the moving line, if standard error is a terminal.
    pub(crate) fn new(screen: &MultiProgress, verb: &'static str) -> Self {
        let pace = if screen.is_hidden() { LOG_PACE } else { BAR_PACE };
        let (told_ms, file_warnings, other_warnings) = Default::default();
        let (screen, bar) = (screen.clone(), Mutex::new(None));
        Self { verb, screen, bar, pace, started: Instant::now(), told_ms, file_warnings, other_warnings, lists: false }
    }

    /// Lists the items that are done on standard output, if `lists`.
    pub(crate) fn listing(mut self, lists: bool) -> Self {
        self.lists = lists;
        self
    }

    /// Begins another operation of the same kind.
    pub(crate) fn begin(&self) {
        self.told_ms.store(self.elapsed_ms(), Ordering::Relaxed);
        self.file_warnings.store(0, Ordering::Relaxed);
        self.other_warnings.store(0, Ordering::Relaxed);
    }

    /// Takes the moving line away.
    pub(crate) fn end(&self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// How many things were amiss.
    pub(crate) fn warnings(&self) -> u64 {
        self.file_warnings.load(Ordering::Relaxed) + self.other_warnings.load(Ordering::Relaxed)
    }

    /// Warns about one file.
    fn warn_of_file(&self, text: &str) {
        match self.file_warnings.fetch_add(1, Ordering::Relaxed) + 1 {
            ..MAX_FILE_WARNINGS => warn!("{text}"),
            MAX_FILE_WARNINGS => warn!("{text} (further ones are only counted)"),
            _ => debug!("{text}"),
        }
    }

    fn warn(&self, text: &str) {
        self.other_warnings.fetch_add(1, Ordering::Relaxed);
        warn!("{text}");
    }

    /// Tells what a repository's own check does and finds.
    pub(crate) fn repository_event(&self, event: CheckEvent<'_>) {
        match event {
            CheckEvent::Found(finding) => self.found(finding.severity, &finding.to_string()),
            CheckEvent::Progress { done, total } if self.is_due() => {
                self.tell(format!("{}: {done} of {}", self.verb, words::count(total, "segment")));
            }
            _ => {}
        }
    }

    /// Tells what a check has found: all of it, however much that is.
    fn found(&self, severity: Severity, text: &str) {
        match severity {
            Severity::Problem => self.warn(&escape(text)),
            Severity::Note => info!("{}", escape(text)),
        }
    }

    fn tell(&self, text: String) {
        if self.screen.is_hidden() {
            info!("{text}");
            return;
        }
        let mut bar = self.bar();
        let bar = bar.get_or_insert_with(|| self.screen.add(spinner()));
        bar.set_message(text);
        bar.tick();
    }

    /// Returns whether it is time to tell again; says so to one thread only.
    fn is_due(&self) -> bool {
        let now_ms = self.elapsed_ms();
        let told_ms = self.told_ms.load(Ordering::Relaxed);
        now_ms.saturating_sub(told_ms) >= self.pace.as_millis() as u64
            && self.told_ms.compare_exchange(told_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Monitor for Reporter {
    fn notice(&self, notice: Notice<'_>) {
        let escaped = |path: &std::path::Path| escape_bytes(path.as_os_str().as_encoded_bytes());
        match notice {
            Notice::FileFailed(error) => self.warn_of_file(&report::chain(error)),
            Notice::FileVanished(path) => debug!("{} was removed before it could be read", escaped(path)),
            Notice::FileChanged(path) => {
                self.warn_of_file(&format!("{} changed while it was read, what is stored may be a mix", escaped(path)));
            }
            Notice::FileBroken { path, defects } => {
                self.warn_of_file(&format!(
                    "{} is broken, and is stored as it is: {}",
                    escaped(path),
                    escape(&defects.to_string())
                ));
            }
            Notice::TimeClamped(path) => {
                debug!(
                    "{}: archives cannot hold its time of modification, but the nearest that they can",
                    escaped(path)
                );
            }
            Notice::LeftOut { path, what } => info!("{} is left out: it is {what}", escaped(path)),
            Notice::LeadsOut { path, target, more } => {
                let others = match more {
                    0 => String::new(),
                    _ => format!(", and so it is with {}", words::count(more, "more link")),
                };
                info!(
                    "{} is a link to {}, which is in no source: what is there is not in the archive{others}",
                    escaped(path),
                    escaped(target)
                );
            }
            Notice::NotSet { path, problem } => self.warn_of_file(&about(&escaped(path), problem)),
            // However many there are, each is one that somebody misses.
            Notice::NotRestored { path, problem } => self.warn(&about(&escaped(path), problem)),
            Notice::ItemsLost { problem } => self.warn(&format!(
                "a part of the archive's list of items is lost, and what it lists is not restored: {}",
                escape(problem)
            )),
            Notice::Rebuilding { what, archives } => {
                info!("making the {what} anew from {}", words::count(archives as u64, "archive"));
            }
            Notice::Begun(what) => info!("{what}"),
            Notice::Found(finding) => self.found(finding.severity, &finding.to_string()),
            Notice::ArchiveUnread(name) => self.warn(&format!(
                "archive {} cannot be read, so nobody knows what it needs, and as long as that is so nothing is deleted: \
                 worldkeeper check says more",
                escape_bytes(name.as_bytes())
            )),
            Notice::ChunksMissing { count } => self.warn(&format!(
                "the repository lacks {} that archives refer to: some of their files cannot be restored",
                words::count(count as u64, "chunk")
            )),
            Notice::CacheLost { what, problem } => {
                info!("the {what} could not be used, which costs time only: {problem}");
            }
            other => info!("{other:?}"),
        }
    }

    fn progress(&self, progress: Progress) {
        if !self.is_due() {
            return;
        }
        let Progress { files, bytes, stored_bytes } = progress;
        let added = if stored_bytes > 0 { format!(", {} added", words::bytes(stored_bytes)) } else { String::new() };
        self.tell(format!("{}: {}, {}{added}", self.verb, words::count(files, "file"), words::bytes(bytes)));
    }

    fn rebuilding(&self, so_far: Rebuilding) {
        if self.is_due() {
            self.tell(rebuilding(so_far));
        }
    }

    /// Somebody who reads only the first lines of the list has the rest done all the same.
    fn done(&self, path: &std::path::Path) {
        if self.lists {
            let line = escape_bytes(path.as_os_str().as_encoded_bytes());
            self.screen.suspend(|| _ = writeln!(io::stdout(), "{line}"));
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.end();
    }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::no_length();
    match ProgressStyle::with_template("{spinner} {msg}") {
        Ok(style) => spinner.with_style(style),
        Err(_) => spinner,
    }
}

fn rebuilding(Rebuilding { what, archives, done, references }: Rebuilding) -> String {
    let archives = words::count(archives as u64, "archive");
    format!("making the {what} anew: {done} of {archives}, {} so far", words::count(references, "chunk"))
}

/// A problem with the path it is about, unless it names that itself.
fn about(path: &str, problem: &str) -> String {
    if problem.contains(path) { problem.to_owned() } else { format!("{path}: {problem}") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use indicatif::ProgressDrawTarget;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[test]
    fn what_is_amiss_is_counted_and_what_is_usual_is_not() {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let reporter = Reporter::new(&screen, "backing up");
        let path = Path::new("world/level.dat");
        reporter.notice(Notice::FileVanished(path));
        reporter.notice(Notice::LeftOut { path, what: "the repository" });
        assert_eq!(reporter.warnings(), 0);
        reporter.notice(Notice::FileChanged(path));
        reporter.notice(Notice::ChunksMissing { count: 3 });
        assert_eq!(reporter.warnings(), 2);
    }

    #[test]
    fn what_is_missing_is_told_however_much_lacks_its_owner() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let screen = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
            let reporter = Reporter::new(&screen, "restoring");
            for number in 0..2 * MAX_FILE_WARNINGS {
                let path = format!("world/{number}");
                reporter.notice(Notice::NotSet { path: Path::new(&path), problem: "cannot set the owner" });
            }
            for name in ["world/level.dat", "world/last"] {
                reporter.notice(Notice::NotRestored { path: Path::new(name), problem: "no" });
            }
        });
        let log = log.text();
        assert_eq!(log.matches("cannot set the owner").count() as u64, MAX_FILE_WARNINGS);
        assert!(log.contains("world/level.dat: no") && log.contains("world/last: no"), "{log}");
    }

    /// What is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn how_far_a_cache_is_made_anew() {
        let so_far = Rebuilding { what: "chunk index", archives: 25, done: 3, references: 120_000 };
        assert_eq!(rebuilding(so_far), "making the chunk index anew: 3 of 25 archives, 120,000 chunks so far");
    }

    #[test]
    fn a_problem_names_its_path_once() {
        assert_eq!(about("a/b", "cannot open a/b: no"), "cannot open a/b: no");
        assert_eq!(about("a/b", "no"), "a/b: no");
    }
}
