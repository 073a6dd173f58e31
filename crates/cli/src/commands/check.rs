//! `check`: are the repository and its archives what they should be? And `check --repair`: makes the best of what is left.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use jiff::Timestamp;
use tracing::warn;
use worldkeeper_archive::ArchiveName;
use worldkeeper_core::Stop;
use worldkeeper_core::repository::{CheckOptions as RepositoryCheckOptions, RepositoryCheck};
use worldkeeper_engine::{ArchiveInfo, ArchivesCheck, CheckOptions, Session, check as check_archives, check_stored};
use worldkeeper_scheduler::history::{Checked, Damage, Verdict};

use super::ArchiveError;
use super::archives::{note, note_verdict};
use super::output::Output;
use crate::args;
use crate::escape::escape;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::words;

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckProblem {
    /// Nobody is there to ask.
    #[error("a repair changes the repository for good, and nobody has said that it may")]
    NotConfirmed,
    /// Somebody was, and said no.
    #[error("nothing was repaired")]
    Refused,
    /// The answer cannot be read.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
}

/// Checks the repository, then its archives.
pub(super) fn check(place: &Arc<Place>, options: &args::Check, stop: &Stop) -> anyhow::Result<Done> {
    if options.repair {
        confirm(place)?;
        // Mended, one that was put in the place of ours would still not be ours.
        place.require_trust(stop)?;
    }
    let writes = options.repair || options.max_duration.is_some();
    let purpose = if writes { Purpose::Write } else { Purpose::Read };
    let repository = place.existing_repository(purpose, Caller::Hand, stop)?;
    let is_timed = options.max_duration.is_some();
    let mut told = Told { repair: options.repair, is_timed, ..Told::default() };
    let reporter = Reporter::new(&place.screen, "checking");
    if !options.archives_only {
        let phase = RepositoryCheckOptions { repair: options.repair, max_duration: options.max_duration };
        let found = check_stored(&*repository, &place.state, &phase, &mut |event| reporter.repository_event(event))?;
        told.repository = Some(found);
    }
    // What cannot be trusted to be where the index says cannot be told from what is lost.
    if !options.repository_only && told.repository.is_none_or(|found| found.is_sound()) {
        let (mut session, loss) = place.session_for_check(repository, purpose, stop)?;
        let was_found = Cell::new(options.archive.is_none());
        let one = |archives: Vec<ArchiveInfo>, name: &str| {
            let is_meant = |archive: &ArchiveInfo| archive.name == ArchiveName::from_bytes(name);
            let archives: Vec<_> = archives.into_iter().filter(is_meant).collect();
            was_found.set(!archives.is_empty());
            archives
        };
        let flags = options.chosen();
        let some = |archives| match (&options.archive, &flags) {
            (Some(name), _) => one(archives, name),
            (None, Some(flags)) => {
                let chosen = flags.choose(archives, place.clock.now(), &place.zone);
                if chosen.is_empty() {
                    warn!("no archive matches what was asked for, so none is checked");
                }
                chosen
            }
            (None, None) => archives,
        };
        let is_all = options.archive.is_none() && flags.is_none();
        let choose: Option<&dyn Fn(Vec<ArchiveInfo>) -> Vec<ArchiveInfo>> = if is_all { None } else { Some(&some) };
        let (repair, verify_data) = (options.repair, options.verify_data);
        let phase = CheckOptions { repair, verify_data, choose, ..CheckOptions::default() };
        let before = names(&session);
        told.archives = Some(check_archives(&mut session, loss.as_ref(), &phase, &reporter)?);
        told.is_limited = !is_all;
        if repair {
            told.lost = lost(place, &session, before, loss.is_some());
        }
        if let (Some(name), false) = (&options.archive, was_found.get()) {
            return Err(ArchiveError::NoSuchArchive { name: name.clone(), location: session.location() }.into());
        }
    }
    drop(reporter);
    let verdict = told.verdict(options.verify_data, place.clock.now());
    note_verdict(place, &verdict);
    let mut output = Output::new();
    for line in told.lines() {
        output.line(&line)?;
    }
    output.finish()?;
    Ok(if told.remaining() == 0 && told.lost.is_empty() { Done::Well } else { Done::WithWarnings })
}

fn names(session: &Session) -> BTreeSet<String> {
    session.archives().into_iter().map(|archive| archive.name.to_string()).collect()
}

/// The archives that a repair has taken from the list, or not found again where the list itself was lost; none of them is the
/// last good one any more.
fn lost(place: &Place, session: &Session, mut archives: BTreeSet<String>, was_list_lost: bool) -> BTreeSet<String> {
    if was_list_lost {
        match place.gone(session) {
            Ok(gone) => archives.extend(gone),
            Err(error) => note(Err(error)),
        }
    }
    let there = names(session);
    archives.retain(|name| !there.contains(name));
    note(place.history().deleted(&place.location(), &Vec::from_iter(archives.clone())));
    archives
}

/// Says what a repair does, and requires somebody's word for it.
fn confirm(place: &Place) -> Result<(), CheckProblem> {
    if place.environment.value(CONFIRMATION).is_some_and(|value| value == "YES") {
        warn!("a repair changes the repository for good: {WHAT_IT_DOES}");
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(CheckProblem::NotConfirmed);
    }
    eprintln!("A repair changes the repository at {} for good: {WHAT_IT_DOES}.", place.location());
    eprint!("If there is a copy of the repository, or room for one, make it first. Type YES to repair: ");
    io::stderr().flush().map_err(CheckProblem::Input)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(CheckProblem::Input)?;
    if answer.trim() == "YES" { Ok(()) } else { Err(CheckProblem::Refused) }
}

/// The word that stands for a typed one; stock's.
pub(crate) const CONFIRMATION: &str = "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING";

const WHAT_IT_DOES: &str = "zeros take the place of what files have lost, archives that cannot be read at all are taken \
                            from the list, and what nothing refers to is deleted";

/// What was checked, and how it ended.
#[derive(Default)]
struct Told {
    repair: bool,
    repository: Option<RepositoryCheck>,
    archives: Option<ArchivesCheck>,
    /// Not all archives were looked at.
    is_limited: bool,
    /// Nor, it may be, all of the repository: it went on where one before had ended.
    is_timed: bool,
    /// The archives that are not there any more.
    lost: BTreeSet<String>,
}

impl Told {
    fn problems(&self) -> u64 {
        self.repository.map_or(0, |found| found.problems) + self.archives.map_or(0, |found| found.problems)
    }

    fn remaining(&self) -> u64 {
        self.repository.map_or(0, |found| found.remaining) + self.archives.map_or(0, |found| found.remaining)
    }

    /// The problems that no repair mends, and that are no damage: archives that nothing proves.
    fn unproven(&self) -> u64 {
        self.archives.map_or(0, |found| found.unproven)
    }

    /// What is remembered of it: damage that is left and where it is, or what was looked at and is sound.
    fn verdict(&self, verified: bool, now: Timestamp) -> Verdict {
        let is_damaged = (
            self.repository.is_some_and(|found| found.remaining > 0),
            self.archives.is_some_and(|found| found.remaining > found.unproven),
        );
        // What the repository is rid of may be what archives refer to, and nobody has looked at those.
        if self.repair
            && self.archives.is_none()
            && let Some(problems) = self.repository.map(|found| found.problems).filter(|problems| *problems > 0)
        {
            let place = Checked { repository: is_damaged.0, archives: true, data: false };
            return Verdict::Damaged(Damage { found: now, problems, place });
        }
        if let (false, false) = is_damaged {
            let repository = self.repository.is_some() && !self.is_timed;
            let archives = self.archives.is_some() && !self.is_limited;
            return Verdict::Sound(Checked { repository, archives, data: verified && archives });
        }
        let (repository, archives) = is_damaged;
        let place = Checked { repository, archives, data: verified && archives };
        Verdict::Damaged(Damage { found: now, problems: self.remaining() - self.unproven(), place })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("checked {}", self.what_was_checked())];
        if self.repository.is_some_and(|found| found.unfinished) {
            lines.push("the time was up before the end; the next check with --max-duration goes on there".to_owned());
        }
        let (problems, remaining) = (self.problems(), self.remaining());
        lines.push(match (problems, remaining) {
            (0, _) => "found nothing wrong".to_owned(),
            (problems, 0) => format!("found {}, and mended all of it", words::count(problems, "problem")),
            (problems, _) if !self.repair => format!("found {}", words::count(problems, "problem")),
            (problems, remaining) => {
                format!("found {}, of which {remaining} could not be mended", words::count(problems, "problem"))
            }
        });
        lines.extend(self.advice());
        if !self.lost.is_empty() {
            let were = if self.lost.len() == 1 { "was" } else { "were" };
            let names: Vec<_> = self.lost.iter().map(|name| escape(name)).collect();
            lines.push(format!("{} {were} lost: {}", words::count(names.len() as u64, "archive"), names.join(", ")));
        }
        lines
    }

    fn what_was_checked(&self) -> String {
        let mut parts = Vec::new();
        if let Some(found) = self.repository {
            parts.push(words::count(found.segments, "segment"));
        }
        if let Some(found) = self.archives {
            parts.push(words::count(found.objects, "object"));
            parts.push(words::count(found.archives, "archive"));
            parts.push(format!("{} in them", words::count(found.items, "item")));
            if found.verified_objects > 0 {
                let bytes = words::bytes(found.verified_bytes);
                parts.push(format!("read and verified {} ({bytes})", words::count(found.verified_objects, "object")));
            }
        } else if let Some(found) = self.repository.filter(|found| found.objects > 0) {
            parts.push(words::count(found.objects, "object"));
        }
        parts.join(", ")
    }

    /// What to do next.
    fn advice(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let lost = self.archives.map_or(0, |found| found.damaged_files);
        let earlier = self.archives.map_or(0, |found| found.earlier_objects);
        if earlier > 0 {
            let when = if self.repair { "compact nothing" } else { "repair and compact nothing" };
            lines.push(format!(
                "earlier versions of {} are still there: {when} before you have seen which archives can be brought back: \
                 worldkeeper undelete",
                words::count(earlier, "lost object")
            ));
        }
        if self.problems() > self.unproven() && !self.repair {
            lines.push(
                "keep a copy of the repository if you can, look after its disk, then mend what can be mended: \
                        worldkeeper check --repair"
                    .to_owned(),
            );
            if self.archives.is_none() && self.repository.is_some() {
                lines.push("the archives are checked once the repository itself is in order".to_owned());
            }
        }
        if lost > 0 {
            lines.push(format!(
                "{} lost a part. The next backup stores again what is still in the world; `check --repair` after it makes \
                 whole what it can: worldkeeper backup",
                if lost == 1 { "1 file has".to_owned() } else { format!("{lost} files have") }
            ));
        }
        let Some(found) = self.archives else { return lines };
        if found.deleted_objects > 0 && earlier == 0 {
            lines.push(format!(
                "{} were deleted; until `worldkeeper compact` frees their space, their bytes are still there",
                words::count(found.deleted_objects, "object")
            ));
        }
        if self.is_limited && self.repair && found.is_changed {
            lines.push(
                "not all archives were looked at, so nothing was cleared away: a full `check` will find what is \
                        left over"
                    .to_owned(),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_is_left() {
        let now = Timestamp::UNIX_EPOCH;
        let sound = |repository, archives, data| Verdict::Sound(Checked { repository, archives, data });
        let damaged = |repository, archives, data| {
            Verdict::Damaged(Damage { found: now, problems: 2, place: Checked { repository, archives, data } })
        };
        let (repository, archives) = (Some(RepositoryCheck::default()), Some(ArchivesCheck::default()));
        let all = || Told { repository, archives, ..Told::default() };
        assert_eq!(all().verdict(false, now), sound(true, true, false));
        assert_eq!(all().verdict(true, now), sound(true, true, true));
        assert_eq!(Told { is_limited: true, ..all() }.verdict(true, now), sound(true, false, false));
        assert_eq!(Told { archives: None, ..all() }.verdict(false, now), sound(true, false, false));
        assert_eq!(Told { is_timed: true, archives: None, ..all() }.verdict(false, now), sound(false, false, false));
        let bad = Some(RepositoryCheck { problems: 2, remaining: 2, ..RepositoryCheck::default() });
        assert_eq!(Told { repository: bad, archives: None, ..all() }.verdict(false, now), damaged(true, false, false));
        let bad = Some(ArchivesCheck { problems: 3, remaining: 2, ..ArchivesCheck::default() });
        assert_eq!(Told { archives: bad, ..all() }.verdict(true, now), damaged(false, true, true));
        let rid_of = Some(RepositoryCheck { problems: 2, ..RepositoryCheck::default() });
        let only = Told { repository: rid_of, archives: None, repair: true, ..Told::default() };
        assert_eq!(only.verdict(false, now), damaged(false, true, false));
        assert_eq!(Told { archives, ..only }.verdict(false, now), sound(true, true, false));
        let mended = Some(ArchivesCheck { problems: 3, remaining: 0, ..ArchivesCheck::default() });
        assert_eq!(Told { archives: mended, repair: true, ..all() }.verdict(false, now), sound(true, true, false));
    }

    #[test]
    fn what_nothing_proves_is_no_damage_and_no_repair_mends_it() {
        let unproven = ArchivesCheck { problems: 1, remaining: 1, unproven: 1, ..ArchivesCheck::default() };
        let told = |found| Told { archives: Some(found), ..Told::default() };
        let now = Timestamp::UNIX_EPOCH;
        let place = Checked { archives: true, ..Checked::default() };
        assert_eq!(told(unproven).verdict(false, now), Verdict::Sound(place));
        assert_eq!(told(unproven).lines()[1..], ["found 1 problem"]);
        assert_eq!(told(unproven).remaining(), 1);
        let both = ArchivesCheck { problems: 3, remaining: 3, ..unproven };
        assert_eq!(told(both).verdict(false, now), Verdict::Damaged(Damage { found: now, problems: 2, place }));
        assert!(told(both).lines()[2].ends_with("worldkeeper check --repair"));
    }

    #[test]
    fn the_summary_says_what_was_checked_and_what_to_do() {
        let repository = RepositoryCheck { segments: 12, objects: 345, ..RepositoryCheck::default() };
        let archives = ArchivesCheck { objects: 344, archives: 3, items: 1, ..ArchivesCheck::default() };
        let well = Told { repository: Some(repository), archives: Some(archives), ..Told::default() };
        assert_eq!(
            well.lines(),
            ["checked 12 segments, 344 objects, 3 archives, 1 item in them", "found nothing wrong"]
        );
        let found = ArchivesCheck { problems: 2, remaining: 2, damaged_files: 1, ..archives };
        let ill = Told { archives: Some(found), ..well };
        assert_eq!(ill.lines()[1], "found 2 problems");
        assert!(
            ill.lines()[2].ends_with("worldkeeper check --repair") && ill.lines()[3].starts_with("1 file has lost")
        );
        let found = ArchivesCheck { remaining: 0, deleted_objects: 7, is_changed: true, ..found };
        let mended = Told { archives: Some(found), repair: true, ..ill };
        assert_eq!(mended.lines()[1], "found 2 problems, and mended all of it");
        assert!(mended.lines()[3].contains("7 objects were deleted"));
        let lost = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let lossy = |names| Told { lost: lost(names), ..Told::default() }.lines().pop();
        assert_eq!(lossy(&["mc-1"]).as_deref(), Some("1 archive was lost: mc-1"));
        assert_eq!(lossy(&["mc-1", "mc-2"]).as_deref(), Some("2 archives were lost: mc-1, mc-2"));
        let found = ArchivesCheck { earlier_objects: 2, ..found };
        let held = Told { archives: Some(found), ..mended };
        assert!(held.lines()[2].ends_with("worldkeeper undelete"), "{:?}", held.lines());
        assert!(!held.lines().iter().any(|line| line.contains("worldkeeper compact")), "{:?}", held.lines());
    }
}
