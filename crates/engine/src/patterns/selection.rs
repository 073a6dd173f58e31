//! Which items of an archive are meant: patterns, and paths that are patterns too.
//!
//! Patterns come first, in their order; an item that none of them matches is meant if one of the included paths matches
//! it, or if none was named. An archive is a list: that a directory is left out does not keep anybody from looking at what
//! is listed beneath it.
//!
//! Source: borg 1.4 `patterns.py`, `PatternMatcher`; `archiver.py`, `build_matcher`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{PatternError, PatternTooSlow};
use super::pattern::{Pattern, Style};
use super::{Patterns, Verdict, text};

/// Which items of an archive are meant. Clones remember together what was found.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    patterns: Patterns,
    included: Vec<Included>,
}

/// A path that was named.
#[derive(Clone, Debug)]
struct Included {
    given: String,
    pattern: Pattern,
    was_found: Arc<AtomicBool>,
}

impl Selection {
    /// What patterns leave, and the roots that they name include.
    pub fn new(patterns: Patterns) -> Result<Self, PatternError> {
        let roots = patterns.roots().to_vec();
        let mut selection = Self { patterns, included: Vec::new() };
        roots.iter().try_for_each(|root| selection.include(root))?;
        Ok(selection)
    }

    /// Returns whether what was named begins with a style, like `sh:`, and is more than a path.
    pub fn is_pattern(named: &[u8]) -> bool {
        named.split_at_checked(2).is_some_and(|(style, rest)| {
            rest.starts_with(b":") && str::from_utf8(style).is_ok_and(|style| Style::named(style).is_ok())
        })
    }

    /// Includes what a pattern matches; without a style it is a path, which means itself and all beneath it.
    pub fn include(&mut self, pattern: &[u8]) -> Result<(), PatternError> {
        let given = text::decode(pattern).into_owned();
        let pattern = Pattern::parse(&given, Style::Prefix)?;
        if let Pattern::Full(path) = &pattern {
            // It knows no order: it beats all patterns that are no `pf` themselves.
            self.patterns.full.insert(path.clone(), Verdict::Include);
        }
        self.included.push(Included { given, pattern, was_found: Arc::default() });
        Ok(())
    }

    /// Includes what a pattern matches; without a style it is a shell pattern for the end of a path: the item of this
    /// name wherever it is, and nothing beneath it. One that begins with a slash is for the whole path.
    pub fn include_anywhere(&mut self, pattern: &[u8]) -> Result<(), PatternError> {
        if Self::is_pattern(pattern) {
            return self.include(pattern);
        }
        let given = text::decode(pattern).into_owned();
        let pattern = Pattern::end_of_path(&given)?;
        self.included.push(Included { given, pattern, was_found: Arc::default() });
        Ok(())
    }

    /// Includes a path and all beneath it, whatever it looks like.
    pub fn include_path(&mut self, path: &[u8]) {
        let given = text::decode(path).into_owned();
        let pattern = Pattern::prefix(&given);
        self.included.push(Included { given, pattern, was_found: Arc::default() });
    }

    /// Returns whether everything is meant.
    pub fn is_everything(&self) -> bool {
        self.included.is_empty() && self.patterns.is_empty()
    }

    /// Returns whether the item at `path` is meant.
    pub fn selects(&self, path: &[u8]) -> Result<bool, PatternTooSlow> {
        if self.is_everything() {
            return Ok(true);
        }
        let slashed = Patterns::slashed(path);
        if let Some(verdict) = self.patterns.find(&slashed)? {
            return Ok(verdict == Verdict::Include);
        }
        for included in &self.included {
            if included.pattern.matches(&slashed)? {
                included.was_found.store(true, Ordering::Relaxed);
                return Ok(true);
            }
        }
        Ok(self.included.is_empty())
    }

    /// What was included and matched no item so far, as it was given. Of `pf` nothing is known, as in stock.
    pub fn unmatched(&self) -> Vec<Vec<u8>> {
        let is_unmatched = |included: &&Included| {
            !matches!(included.pattern, Pattern::Full(_)) && !included.was_found.load(Ordering::Relaxed)
        };
        self.included.iter().filter(is_unmatched).map(|included| text::encode(&included.given)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of `paths` is selected by patterns and included paths, and what was never matched.
    fn selected(patterns: &[&str], included: &[&str], paths: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut rules = Patterns::default();
        for pattern in patterns {
            match pattern.strip_prefix("--exclude ") {
                Some(pattern) => rules.exclude(pattern.as_bytes()).unwrap(),
                None => rules.pattern(pattern.as_bytes()).unwrap(),
            }
        }
        let mut selection = Selection::new(rules).unwrap();
        for path in included {
            selection.include(path.as_bytes()).unwrap();
        }
        let selected = paths.iter().filter(|path| selection.selects(path.as_bytes()).unwrap());
        let selected = selected.map(|path| (*path).to_owned()).collect();
        let unmatched = selection.unmatched();
        (selected, unmatched.into_iter().map(|path| String::from_utf8(path).unwrap()).collect())
    }

    const PATHS: [&str; 6] = ["data", "data/a", "data/a/x.tmp", "data/b", "database", "etc/a"];

    #[test]
    fn a_path_is_itself_and_all_beneath_it() {
        for path in ["data", "/data/", "./data", "pp:data"] {
            let expected = (PATHS[..4].iter().map(|path| (*path).to_owned()).collect(), vec![]);
            assert_eq!(selected(&[], &[path], &PATHS), expected, "{path}");
        }
        assert_eq!(selected(&[], &[], &PATHS).0, PATHS);
    }

    #[test]
    fn patterns_come_before_paths() {
        let (found, unmatched) = selected(&["--exclude *.tmp", "+ etc"], &["data/a", "nothing"], &PATHS);
        assert_eq!((found, unmatched), (vec!["data/a".into(), "etc/a".into()], vec!["nothing".to_owned()]));
        // What is beneath something that is left out with all beneath it is not, where only a regex says so.
        let (found, _) = selected(&["! re:^data/a$"], &[], &PATHS);
        assert!(found.contains(&"data/a/x.tmp".to_owned()) && !found.contains(&"data/a".to_owned()));
    }

    #[test]
    fn paths_may_say_a_style_and_roots_are_paths() {
        assert_eq!(selected(&[], &["sh:*/a"], &PATHS).0, ["data/a", "data/a/x.tmp", "etc/a"]);
        assert_eq!(selected(&["- data"], &["pf:data/b", "pf:gone"], &PATHS), (vec!["data/b".into()], vec![]));
        assert_eq!(selected(&["R etc"], &[], &PATHS).0, ["etc/a"]);
        assert!(Selection::default().include(b"xy:data").is_err());
        for (named, expected) in [("sh:a", true), ("pp:", true), ("xy:a", false), ("sh", false), ("a:b", false)] {
            assert_eq!(Selection::is_pattern(named.as_bytes()), expected, "{named}");
        }
    }

    #[test]
    fn a_name_is_found_wherever_it_is() {
        for (pattern, expected) in [
            ("a", &["data/a", "etc/a"][..]),
            ("**/a", &["data/a", "etc/a"]),
            ("*/a", &["data/a", "etc/a"]),
            ("data/", &["data"]),
            ("/a", &[]),
            ("/data/a", &["data/a"]),
            ("/*/a", &["data/a", "etc/a"]),
            ("*.tmp", &["data/a/x.tmp"]),
            ("a/x.tmp", &["data/a/x.tmp"]),
            ("dat[ab]*", &["data", "database"]),
            ("pp:data/a", &["data/a", "data/a/x.tmp"]),
        ] {
            let mut selection = Selection::default();
            selection.include_anywhere(pattern.as_bytes()).unwrap();
            let found: Vec<_> = PATHS.into_iter().filter(|path| selection.selects(path.as_bytes()).unwrap()).collect();
            assert_eq!(found, expected, "{pattern}");
            assert_eq!(selection.unmatched().is_empty(), !expected.is_empty(), "{pattern}");
        }
        assert!(Selection::default().include_anywhere(b"[z-a]").is_err());
    }

    #[test]
    fn a_path_may_look_like_a_pattern() {
        let mut selection = Selection::default();
        selection.include_path(b"sh:*");
        assert!(selection.selects(b"sh:*/a").unwrap() && !selection.selects(b"sh:a").unwrap());
    }
}
