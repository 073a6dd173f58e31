//! What one of us does in its turn, and what has become of the archives then.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use worldkeeper_testkit::borg::location;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::strace::{self, Call};
use worldkeeper_testkit::tree::listing;

use super::{Turns, world};

/// A turn; `None` is ours, a number is that of a stock borg.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Changes the world and makes an archive of it.
    Create(Option<usize>),
    /// Deletes an archive.
    Delete(Option<usize>, String),
    /// Keeps so many of the archives that it has made.
    Prune(Option<usize>, usize),
    /// Frees space; stock above a threshold in percent.
    Compact(Option<usize>, usize),
    /// Looks for damage.
    Check(Option<usize>),
    /// Renames an archive.
    Rename(Option<usize>, String),
    /// Writes an archive anew, compressed in another way or cut in others.
    Recreate(Option<usize>, String, &'static [&'static str]),
    /// Files of the repository that can be made anew are lost: those whose names begin so.
    LoseState(&'static str),
    /// Our state directory is lost.
    LoseOurs,
    /// We are killed.
    Killed(Vec<String>, Call),
}

/// Versions whose renamed and recreated archives bear no authentication that later ones accept.
const FORGETFUL: &str = "1.2.4";

impl Step {
    /// Draws the next step, one that can be taken.
    pub(super) fn draw(turns: &mut Turns<'_>) -> Self {
        let who = turns.anybody();
        let archives: Vec<_> = turns.place.trees.keys().cloned().collect();
        let maker = who.filter(|number| turns.may_write(*number));
        if archives.is_empty() {
            return Self::Create(maker);
        }
        let compacter = who.filter(|number| !turns.borgs[*number].is_old());
        let archive = turns.random.pick(&archives).clone();
        let stocks = (0..turns.borgs.len()).filter(|number| {
            let borg = &turns.borgs[*number];
            borg.version() != FORGETFUL && !borg.is_old()
        });
        let editors: Vec<_> = stocks.map(Some).chain([None]).collect();
        let random = &mut turns.random;
        match random.below(22) {
            0..=5 => Self::Create(maker),
            6..=7 => Self::Delete(who, archive),
            8 => Self::Prune(who, 1 + random.below(2)),
            9..=11 => Self::Compact(compacter, *random.pick(&[0, 10, 50])),
            12 => Self::Check(who),
            13 | 14 => Self::Rename(*random.pick(&editors), archive),
            15 | 16 => {
                const HOWS: [&[&str]; 2] = [
                    &["--recompress=always", "--compression", "zlib,1"],
                    &["--recompress=always", "--chunker-params", "10,15,12,4095"],
                ];
                let how = HOWS[random.below(HOWS.len())];
                Self::Recreate(*random.pick(&editors), archive, how)
            }
            17 | 18 => {
                const PREFIXES: [&str; 6] = ["index.", "hints.", "integrity.", "i", "in", "nonce"];
                Self::LoseState(PREFIXES[random.below(PREFIXES.len())])
            }
            19 => Self::LoseOurs,
            _ => {
                let commands =
                    [vec!["backup".to_owned()], vec!["delete".to_owned(), archive], vec!["compact".to_owned()]];
                let name = (*random.pick(&["write", "fdatasync", "rename", "unlink", "fsync", "openat"])).to_owned();
                let ordinal = 1 + random.below(20);
                Self::Killed(random.pick(&commands).clone(), Call::counted(&name, ordinal))
            }
        }
    }

    /// Takes it.
    #[track_caller]
    pub(super) fn take(&self, turns: &mut Turns<'_>) {
        let repository = turns.repository();
        let keeper = &turns.place.keeper;
        match self {
            Self::Create(who) => {
                world::change(&keeper.world(), &mut turns.random);
                turns.made += 1;
                let name = match who {
                    None => {
                        let was_there = turns.exists();
                        let _ = turns.place.keeper.run(["backup"]);
                        if !was_there && turns.random.below(2) == 0 {
                            turns.place.split();
                        }
                        turns.archives(None).into_iter().find(|name| !turns.place.trees.contains_key(name))
                    }
                    Some(number) => {
                        let name = format!("stock-{}", turns.made);
                        let archive = location(keeper.repository().as_path(), &name);
                        let world = keeper.world().display().to_string();
                        let _ = turns.stock(*number, &["create", "--compression", "zstd,1", &archive, &world]);
                        Some(name)
                    }
                };
                let tree = listing(&turns.place.keeper.world());
                turns.place.trees.insert(name.expect("an archive was made"), tree);
            }
            Self::Delete(who, archive) => {
                match who {
                    None => _ = keeper.run(["delete", archive]),
                    Some(number) => _ = turns.stock(*number, &["delete", &location(Path::new(&repository), archive)]),
                }
                turns.place.trees.remove(archive);
            }
            Self::Prune(who, count) => {
                let count_text = count.to_string();
                let series = match who {
                    None => {
                        let _ = keeper.clone().without("KEEP_WITHIN").run(["prune", "--keep-last", &count_text]);
                        "world-"
                    }
                    Some(number) => {
                        let words = ["prune", "--keep-last", &count_text, "--glob-archives", "stock-*", &repository];
                        let _ = turns.stock(*number, &words);
                        "stock-"
                    }
                };
                let found = turns.archives(*who);
                let of_series = |name: &String| name.starts_with(series);
                let had = turns.place.trees.keys().filter(|name| of_series(name)).count();
                assert_eq!(found.iter().filter(|name| of_series(name)).count(), had.min(*count));
                turns.place.trees.retain(|name, _| !of_series(name) || found.contains(name));
            }
            Self::Compact(None, _) => _ = keeper.run(["compact"]),
            Self::Compact(Some(number), threshold) => {
                let _ = turns.stock(*number, &["compact", "--threshold", &threshold.to_string(), &repository]);
            }
            Self::Check(None) => _ = keeper.run(["check", "--verify-data"]),
            Self::Check(Some(number)) => _ = turns.stock(*number, &["check", &repository]),
            Self::Rename(who, archive) => {
                turns.made += 1;
                let name = format!("renamed-{}", turns.made);
                match who {
                    None => _ = keeper.run(["rename", archive, &name]),
                    Some(number) => {
                        let _ = turns.stock(*number, &["rename", &location(Path::new(&repository), archive), &name]);
                    }
                }
                let tree = turns.place.trees.remove(archive).expect("it was drawn from these");
                turns.place.trees.insert(name, tree);
            }
            Self::Recreate(who, archive, how) => {
                let words = |archive| [&["recreate"], *how, &[archive]].concat();
                match who {
                    None => _ = keeper.run(words(archive)),
                    Some(number) => {
                        // It seals on from the counter of the chunk that it has opened last, which is behind.
                        turns.is_counter_spoilt = true;
                        let _ = turns.stock(*number, &words(&location(Path::new(&repository), archive)));
                    }
                }
            }
            Self::LoseState(prefix) => {
                for entry in fs::read_dir(&repository).expect("the repository can be read").map(Result::unwrap) {
                    if entry.file_name().to_string_lossy().starts_with(prefix) {
                        fs::remove_file(entry.path()).expect("files can be removed");
                    }
                }
            }
            Self::LoseOurs => _ = fs::remove_dir_all(keeper.state()),
            Self::Killed(args, call) => {
                let strace = strace::at(call, Signal::KILL, Path::new("/dev/null"));
                let _ = Outcome::of(&mut keeper.command_under(&strace, args));
                // Before the next command takes back what was not committed.
                turns.assert_counter_never_reused();
                let found = keeper.archives();
                if args[0] == "delete" && !found.contains(&args[1]) {
                    turns.place.trees.remove(&args[1]);
                }
                let new = found.into_iter().find(|name| !turns.place.trees.contains_key(name));
                if let Some(new) = new.filter(|_| args[0] == "backup") {
                    let tree = listing(&turns.place.keeper.world());
                    turns.place.trees.insert(new, tree);
                }
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
