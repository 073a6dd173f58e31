//! Which archives stay: borg's rules, without a repository.
//!
//! Rules are applied one after the other, finest first. Each looks at all archives from the newest back and keeps the
//! first of every period that no earlier rule has kept already, until it has kept its number. A rule that runs out of
//! periods before its number is reached keeps the oldest archive too.
//!
//! Archives that are known to be lacking must take nobody's place, and are kept all the same as borg would: so the rules
//! are applied twice, to all archives and to those that are not, and what either keeps stays.
//!
//! After `within` the newest few stay, too, whatever their age, which borg does not know: a game that rested for longer would
//! have its next archive delete all others, be it of a world that was just made anew.
//!
//! Source: borg 1.4 `helpers/misc.py`, `prune_split`, `prune_within`.

use std::collections::HashMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// How many archives a rule keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// At most so many; zero switches the rule off.
    AtMost(u32),
    /// One in every period there is; borg writes −1.
    Unlimited,
}

/// A period of which one archive is kept, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A second; `--keep-last` means this one.
    Secondly,
    /// A minute.
    Minutely,
    /// An hour.
    Hourly,
    /// A day.
    Daily,
    /// A week, Monday to Sunday.
    Weekly,
    /// A calendar month.
    Monthly,
    /// Thirteen ISO weeks.
    Quarterly13Weekly,
    /// Three calendar months.
    Quarterly3Monthly,
    /// A calendar year.
    Yearly,
}

/// So many of the newest archives stay with `within`, whatever their age.
const NEWEST: u32 = 3;

/// What to keep. The default keeps nothing, and [`plan`] with it is a caller's mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Everything younger than this, and the newest few in any case.
    pub within: Option<Duration>,
    /// One archive in each period, so many times. Applied from the shortest period to the longest.
    pub periods: Vec<(Period, Count)>,
}

/// An archive as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// When it was started.
    pub time: Timestamp,
    /// It is known to lack what others may have.
    pub is_lacking: bool,
}

/// Why an archive stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule; `None` for `within`.
    pub period: Option<Period>,
    /// Kept only because it is the oldest and the rule had not found enough.
    pub oldest: bool,
    /// Kept only because it is one of the newest.
    pub newest: bool,
    /// How many the rule had kept with this one; of the newest ones, its place among them.
    pub number: u32,
    /// Among all archives the rule would have let it go; it keeps it among those that are not known to be lacking.
    pub among_whole: bool,
}

/// What happens to one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The archive.
    pub archive: Candidate,
    /// Why it stays; `None` if it goes.
    pub keep: Option<Reason>,
}

impl Rules {
    /// Returns whether no rule keeps anything, so that all archives would go.
    pub fn keep_nothing(&self) -> bool {
        self.within.is_none() && self.periods.iter().all(|(_, count)| *count == Count::AtMost(0))
    }
}

impl Period {
    /// The name that borg lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secondly => "secondly",
            Self::Minutely => "minutely",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly13Weekly => "quarterly_13weekly",
            Self::Quarterly3Monthly => "quarterly_3monthly",
            Self::Yearly => "yearly",
        }
    }

    /// A text that is the same for all moments in one period. An hour that a clock change repeats is one period, as
    /// in borg.
    fn of(self, time: &Zoned) -> String {
        let format = match self {
            Self::Secondly => "%Y-%m-%d %H:%M:%S",
            Self::Minutely => "%Y-%m-%d %H:%M",
            Self::Hourly => "%Y-%m-%d %H",
            Self::Daily => "%Y-%m-%d",
            Self::Weekly => "%G-%V",
            Self::Monthly => "%Y-%m",
            Self::Yearly => "%Y",
            Self::Quarterly13Weekly => {
                let week = time.date().iso_week_date();
                // A 53rd week belongs to the last quarter.
                return format!("{}-{}", week.year(), ((week.week() - 1) / 13).min(3));
            }
            Self::Quarterly3Monthly => return format!("{}-{}", time.year(), (time.month() - 1) / 3),
        };
        time.strftime(format).to_string()
    }
}

impl Reason {
    fn of(period: Option<Period>) -> Self {
        Self { period, oldest: false, newest: false, number: 0, among_whole: false }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rule = self.period.map_or("within", Period::name);
        let end = match (self.oldest, self.newest) {
            (true, _) => "[oldest]",
            (false, true) => "[newest]",
            (false, false) => "",
        };
        let among_whole = if self.among_whole { " of those that lack nothing" } else { "" };
        write!(f, "{rule}{end} #{}{among_whole}", self.number)
    }
}

/// Decides about every archive, newest first. `now` matters to `within` only.
pub fn plan(archives: &[Candidate], rules: &Rules, now: Timestamp, zone: &TimeZone) -> Vec<Decision> {
    let mut archives: Vec<_> = archives.to_vec();
    archives.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| b.name.cmp(&a.name)));
    let mut kept = keep(&archives.iter().collect::<Vec<_>>(), rules, now, zone);
    let (numbers, whole): (Vec<_>, Vec<_>) =
        archives.iter().enumerate().filter(|(_, archive)| !archive.is_lacking).unzip();
    if whole.len() < archives.len() {
        for (index, reason) in keep(&whole, rules, now, zone) {
            kept.entry(numbers[index]).or_insert(Reason { among_whole: true, ..reason });
        }
    }
    let decide = |(index, archive)| Decision { archive, keep: kept.get(&index).copied() };
    archives.into_iter().enumerate().map(decide).collect()
}

/// Applies the rules to archives, newest first: which stay, and why.
fn keep(archives: &[&Candidate], rules: &Rules, now: Timestamp, zone: &TimeZone) -> HashMap<usize, Reason> {
    let mut kept = HashMap::new();
    if let Some(within) = rules.within {
        let young = archives
            .iter()
            .enumerate()
            .filter(|(_, archive)| now.duration_since(archive.time).unsigned_abs() < within || archive.time > now);
        for (number, (index, _)) in (1..).zip(young) {
            kept.insert(index, Reason { number, ..Reason::of(None) });
        }
    }
    let mut periods = rules.periods.clone();
    periods.sort_by_key(|(period, _)| *period);
    for (period, count) in periods {
        keep_periods(archives, period, count, zone, &mut kept);
    }
    // After all others, so that what borg keeps stays for borg's reasons.
    if rules.within.is_some() {
        for (number, index) in (1..=NEWEST).zip(0..archives.len()) {
            kept.entry(index).or_insert(Reason { newest: true, number, ..Reason::of(None) });
        }
    }
    kept
}

fn keep_periods(
    archives: &[&Candidate],
    period: Period,
    count: Count,
    zone: &TimeZone,
    kept: &mut HashMap<usize, Reason>,
) {
    let limit = match count {
        Count::AtMost(0) => return,
        Count::AtMost(limit) => Some(limit),
        Count::Unlimited => None,
    };
    let mut number = 0;
    let mut last = None;
    for (index, archive) in archives.iter().enumerate() {
        let this = Some(period.of(&archive.time.to_zoned(zone.clone())));
        // An archive that an earlier rule kept still uses up its period.
        if this == last {
            continue;
        }
        last = this;
        if kept.contains_key(&index) {
            continue;
        }
        number += 1;
        kept.insert(index, Reason { number, ..Reason::of(Some(period)) });
        if limit == Some(number) {
            return;
        }
    }
    if limit.is_some() && !archives.is_empty() {
        let oldest = Reason { oldest: true, number: number + 1, ..Reason::of(Some(period)) };
        kept.entry(archives.len() - 1).or_insert(oldest);
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use worldkeeper_core::time;
    use worldkeeper_testkit::fixtures;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        tz: String,
        archives: Vec<(String, String)>,
        keep_rules: HashMap<String, i64>,
        kept: Vec<(String, String, u32)>,
    }

    const PERIODS: [Period; 9] = [
        Period::Secondly,
        Period::Minutely,
        Period::Hourly,
        Period::Daily,
        Period::Weekly,
        Period::Monthly,
        Period::Quarterly13Weekly,
        Period::Quarterly3Monthly,
        Period::Yearly,
    ];

    #[test]
    fn every_decision_of_stock_is_ours() {
        let vectors: Vectors = fixtures::json("vectors/prune.json");
        assert!(!vectors.cases.is_empty());
        for (number, case) in vectors.cases.iter().enumerate() {
            let archives: Vec<_> = case.archives.iter().map(|(name, time)| candidate(name, time, false)).collect();
            let rule = |(name, count): (&String, &i64)| {
                let period = PERIODS.into_iter().find(|period| period.name() == name).expect("a rule of borg's");
                (period, u32::try_from(*count).map_or(Count::Unlimited, Count::AtMost))
            };
            let rules = Rules { within: None, periods: case.keep_rules.iter().map(rule).collect() };
            let zone = TimeZone::get(&case.tz).unwrap();
            let mut kept: Vec<_> = plan(&archives, &rules, Timestamp::UNIX_EPOCH, &zone)
                .into_iter()
                .filter_map(|decision| Some((decision.archive.name, decision.keep?.to_string())))
                .collect();
            let mut expected: Vec<_> =
                case.kept.iter().map(|(name, rule, number)| (name.clone(), format!("{rule} #{number}"))).collect();
            kept.sort();
            expected.sort();
            assert_eq!(kept, expected, "case {number}");
        }
    }

    fn candidate(name: &str, time: &str, is_lacking: bool) -> Candidate {
        Candidate { name: name.into(), time: time::parse(time).unwrap(), is_lacking }
    }

    fn kept(rules: &Rules, now: &str, archives: &[&str]) -> Vec<String> {
        let archives: Vec<_> = archives.iter().map(|time| candidate(time, time, false)).collect();
        plan(&archives, rules, time::parse(now).unwrap(), &TimeZone::UTC)
            .into_iter()
            .filter(|decision| decision.keep.is_some())
            .map(|decision| decision.archive.name)
            .collect()
    }

    #[test]
    fn within_keeps_what_is_younger_and_what_is_from_the_future() {
        let rules = Rules { within: Some(Duration::from_hours(1)), periods: vec![] };
        let archives = ["2026-11-20T10:00:00", "2026-11-20T10:00:01", "2026-11-20T10:59:00", "2026-11-20T18:00:00"];
        let expected = ["2026-11-20T18:00:00", "2026-11-20T10:59:00", "2026-11-20T10:00:01"];
        assert_eq!(kept(&rules, "2026-11-20T11:00:00", &archives), expected);
    }

    /// A game that rested, and a first backup of what an update made of its world.
    #[test]
    fn within_keeps_the_newest_whatever_their_age() {
        let day = |number: u32, is_lacking| {
            candidate(&number.to_string(), &format!("2026-11-{number:0>2}T10:00:00"), is_lacking)
        };
        let stay = |rules: &Rules, archives: &[Candidate]| {
            let decisions = plan(archives, rules, time::parse("2026-11-20T11:00:00").unwrap(), &TimeZone::UTC);
            let stays = |decision: Decision| Some(format!("{}: {}", decision.archive.name, decision.keep?));
            decisions.into_iter().filter_map(stays).collect::<Vec<_>>()
        };
        let within = Rules { within: Some(Duration::from_hours(24)), periods: vec![] };
        let of = |days: &[u32], lacking: &[u32]| {
            days.iter().map(|number| day(*number, lacking.contains(number))).collect::<Vec<_>>()
        };
        let expected = ["20: within #1", "6: within[newest] #2", "5: within[newest] #3"];
        assert_eq!(stay(&within, &of(&[3, 4, 5, 6, 20], &[])), expected);
        assert_eq!(stay(&within, &of(&[3, 4], &[])), ["4: within[newest] #1", "3: within[newest] #2"]);
        assert_eq!(
            stay(&within, &of(&[3, 4, 5, 6, 19, 20], &[19, 20])),
            [
                "20: within #1",
                "19: within[newest] #2",
                "6: within[newest] #3",
                "5: within[newest] #2 of those that lack nothing",
                "4: within[newest] #3 of those that lack nothing",
            ]
        );
        // The other rules keep what they keep without.
        let both = Rules { periods: vec![(Period::Secondly, Count::AtMost(1))], ..within };
        let expected = ["20: within #1", "6: secondly #1", "5: within[newest] #3"];
        assert_eq!(stay(&both, &of(&[3, 4, 5, 6, 20], &[])), expected);
    }

    /// What stays of archives of such hours, and why; a `-` says that one is lacking.
    fn kept_of_hours(periods: &[(Period, Count)], hours: &[&str]) -> Vec<String> {
        let archive = |hour: &&str| {
            let number = hour.trim_start_matches('-');
            candidate(number, &format!("2026-11-20T{number:0>2}:00:00"), *hour != number)
        };
        let archives: Vec<_> = hours.iter().map(archive).collect();
        let rules = Rules { within: None, periods: periods.to_vec() };
        let stays = |decision: Decision| Some(format!("{}: {}", decision.archive.name, decision.keep?));
        plan(&archives, &rules, Timestamp::UNIX_EPOCH, &TimeZone::UTC).into_iter().filter_map(stays).collect()
    }

    #[test]
    fn what_is_lacking_takes_nobodys_place() {
        let last = |count| [(Period::Secondly, Count::AtMost(count))];
        assert_eq!(
            kept_of_hours(&last(2), &["1", "2", "-3", "-4", "5"]),
            ["5: secondly #1", "4: secondly #2", "2: secondly #2 of those that lack nothing"]
        );
        // The last of the day has nothing in it.
        assert_eq!(
            kept_of_hours(&[(Period::Daily, Count::Unlimited)], &["1", "2", "-3"]),
            ["3: daily #1", "2: daily #1 of those that lack nothing"]
        );
        assert_eq!(
            kept_of_hours(&last(1), &["-1", "-2"]),
            ["2: secondly #1"],
            "nobody is there whose place it could take"
        );
    }

    #[test]
    fn whatever_is_lacking_nothing_goes_that_stayed() {
        let rules = [(Period::Hourly, Count::AtMost(3)), (Period::Daily, Count::AtMost(2))];
        for lacking in 0..64_u32 {
            let hours: Vec<_> =
                (0..6).map(|hour| format!("{}{hour}", if lacking >> hour & 1 == 1 { "-" } else { "" })).collect();
            let kept = kept_of_hours(&rules, &hours.iter().map(String::as_str).collect::<Vec<_>>());
            let of_all = kept_of_hours(&rules, &["0", "1", "2", "3", "4", "5"]);
            assert!(of_all.iter().all(|line| kept.contains(line)), "{hours:?}: {kept:?}");
        }
    }

    #[test]
    fn rules_that_keep_nothing_are_known_as_such() {
        assert!(Rules::default().keep_nothing());
        assert!(Rules { within: None, periods: vec![(Period::Daily, Count::AtMost(0))] }.keep_nothing());
        assert!(!Rules { within: None, periods: vec![(Period::Daily, Count::Unlimited)] }.keep_nothing());
    }
}
