//! Which paths belong into an archive: borg's pattern language, without any I/O.
//!
//! | option | a line is | style without a prefix |
//! |---|---|---|
//! | `--exclude`, `--exclude-from` | a pattern; what it matches is left out and not entered | `fm` |
//! | `--pattern`, `--patterns-from` | `+`, `-` or `!` and a pattern, `R` and a source, `P` and a style | `sh` |
//!
//! A pattern is `STYLE:TEXT`: `fm` and `sh` are globs (only in `sh` do wildcards stop at slashes), `re` is a regular
//! expression of Python's, `pp` a path and all beneath it, `pf` one path.
//!
//! [`Patterns`] collects the rules in the order they are given, whatever option they come from, and the first that
//! matches decides: `+` takes the object, `-` leaves it out but looks beneath it, `!` leaves it out with all that is
//! beneath. `pf` alone knows no order: it beats all others, and of two for one path the later counts.
//!
//! Paths are those of the walk, before `/./` cuts anything off, without slashes in front.
//!
//! Source: borg 1.4 `patterns.py`, `shellpattern.py`; `archiver.py`, `_rec_walk`; Python's `fnmatch.py`.

mod error;
mod glob;
mod names;
mod pattern;
mod python;
mod selection;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;

pub use error::{PatternError, PatternTooSlow};
pub use names::NameGlob;
use pattern::{Pattern, Style};
pub use selection::Selection;

/// What to take and what to leave out, and sources that were named along with it.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// Rules for one path each: `pf`.
    full: HashMap<String, Verdict>,
    /// All others, in the order that counts.
    rules: Vec<(Pattern, Verdict)>,
    roots: Vec<Vec<u8>>,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Include,
    /// It is left out; what is beneath it may still be taken.
    Exclude,
    /// It is left out with everything beneath it.
    ExcludeNoRecurse,
}

impl Patterns {
    /// All of them in words that are the same for the same patterns.
    pub fn text(&self) -> String {
        let mut full: Vec<_> = self.full.iter().map(|one| format!("{one:?}")).collect();
        full.sort_unstable();
        format!("{full:?} {:?} {:?}", self.rules, self.roots)
    }

    /// Adds what `--exclude` says: one pattern.
    pub fn exclude(&mut self, pattern: &[u8]) -> Result<(), PatternError> {
        self.add(&text::decode(pattern), Style::Fnmatch, Verdict::ExcludeNoRecurse)
    }

    /// Adds what is in a file of `--exclude-from`: a pattern on each line.
    pub fn exclude_from(&mut self, content: &[u8]) -> Result<(), PatternError> {
        for (number, line) in text::lines(&text::decode(content)) {
            let added = self.add(line, Style::Fnmatch, Verdict::ExcludeNoRecurse);
            added.map_err(|error| error.on_line(number))?;
        }
        Ok(())
    }

    /// Adds what `--pattern` says: one command. A style that it sets is forgotten at once, as stock does.
    pub fn pattern(&mut self, command: &[u8]) -> Result<(), PatternError> {
        self.command(&text::decode(command), &mut Style::Shell)
    }

    /// Adds what is in a file of `--patterns-from`: a command on each line. A style that it sets ends with it.
    pub fn patterns_from(&mut self, content: &[u8]) -> Result<(), PatternError> {
        let mut style = Style::Shell;
        for (number, line) in text::lines(&text::decode(content)) {
            self.command(line, &mut style).map_err(|error| error.on_line(number))?;
        }
        Ok(())
    }

    /// The sources that commands `R` named, in order.
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }

    /// Says what becomes of the object at `path`.
    pub fn judge(&self, path: &[u8]) -> Result<Verdict, PatternTooSlow> {
        if self.is_empty() {
            return Ok(Verdict::Include);
        }
        Ok(self.find(&Self::slashed(path))?.unwrap_or(Verdict::Include))
    }

    /// Returns whether there is no rule.
    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.rules.is_empty()
    }

    /// A path as [`find`](Self::find) wants it: no slash in front, and one at the end.
    fn slashed(path: &[u8]) -> String {
        let mut slashed = text::decode(path).trim_start_matches('/').to_owned();
        slashed.push('/');
        slashed
    }

    /// What the first rule says that matches.
    fn find(&self, slashed: &str) -> Result<Option<Verdict>, PatternTooSlow> {
        if let Some(verdict) = self.full.get(&slashed[..slashed.len() - 1]) {
            return Ok(Some(*verdict));
        }
        for (pattern, verdict) in &self.rules {
            if pattern.matches(slashed)? {
                return Ok(Some(*verdict));
            }
        }
        Ok(None)
    }

    fn command(&mut self, line: &str, style: &mut Style) -> Result<(), PatternError> {
        let mut letters = line.chars();
        let verdict = match letters.next() {
            Some('+') => Some(Verdict::Include),
            Some('-') => Some(Verdict::Exclude),
            Some('!') => Some(Verdict::ExcludeNoRecurse),
            Some('R' | 'r' | 'P' | 'p') => None,
            _ => return Err(PatternError::NoCommand { line: line.to_owned() }),
        };
        let value = letters.as_str().trim_start_matches(text::is_space);
        if value.is_empty() {
            return Err(PatternError::NoValue { line: line.to_owned() });
        }
        match verdict {
            Some(verdict) => self.add(value, *style, verdict)?,
            None if line.starts_with(['R', 'r']) => self.roots.push(text::encode(value)),
            None => *style = Style::named(value)?,
        }
        Ok(())
    }

    fn add(&mut self, text: &str, style: Style, verdict: Verdict) -> Result<(), PatternError> {
        match Pattern::parse(text, style)? {
            Pattern::Full(path) => _ = self.full.insert(path, verdict),
            pattern => self.rules.push((pattern, verdict)),
        }
        Ok(())
    }
}

/// Body of a fuzz target: any lines are patterns or a mistake that has a name, and judging any path by them ends. The last
/// line is the path.
pub fn fuzz_patterns(bytes: &[u8]) {
    let cut = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let (lines, path) = bytes.split_at(cut);
    for add in [Patterns::patterns_from, Patterns::exclude_from, Patterns::pattern, Patterns::exclude] {
        let mut patterns = Patterns::default();
        if add(&mut patterns, lines).is_ok() {
            let verdict = patterns.judge(path);
            assert_eq!(patterns.judge(path).ok(), verdict.ok(), "a path is judged alike each time");
        }
    }
}
