//! Patterns against what stock makes of them.

use serde::Deserialize;
use worldkeeper_testkit::fixtures;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    pattern_match: PatternMatch,
    patterns_from: PatternsFrom,
}

#[derive(Deserialize)]
struct PatternMatch {
    paths_tested: Vec<String>,
    cases: Vec<MatchCase>,
}

#[derive(Deserialize)]
struct MatchCase {
    pattern: String,
    matches: Vec<String>,
}

#[derive(Deserialize)]
struct PatternsFrom {
    cases: Vec<FromCase>,
}

#[derive(Deserialize)]
struct FromCase {
    patterns_from: Vec<String>,
    /// Path, whether it is included, whether a directory that matches is entered.
    results: Vec<(String, bool, bool)>,
}

fn vectors() -> Vectors {
    fixtures::json("vectors/misc.json")
}

/// What an exclusion by `pattern` leaves out.
fn excludes(pattern: &[u8], path: &[u8]) -> bool {
    let mut patterns = Patterns::default();
    patterns.exclude(pattern).unwrap();
    patterns.judge(path).unwrap() != Verdict::Include
}

fn from(content: &str) -> Patterns {
    let mut patterns = Patterns::default();
    patterns.patterns_from(content.as_bytes()).unwrap();
    patterns
}

#[test]
fn patterns_match_what_stock_says_they_do() {
    let vectors = vectors().pattern_match;
    for MatchCase { pattern, matches } in &vectors.cases {
        let tested = vectors.paths_tested.iter();
        let matched: Vec<_> = tested.filter(|path| excludes(pattern.as_bytes(), path.as_bytes())).collect();
        assert_eq!(matched, matches.iter().collect::<Vec<_>>(), "{pattern}");
    }
}

#[test]
fn files_of_patterns_say_what_stock_reads_in_them() {
    for FromCase { patterns_from, results } in vectors().patterns_from.cases {
        let patterns = from(&patterns_from.join("\n"));
        for (path, included, recurses) in results {
            let expected = match (included, recurses) {
                (true, _) => Verdict::Include,
                (false, true) => Verdict::Exclude,
                (false, false) => Verdict::ExcludeNoRecurse,
            };
            assert_eq!(patterns.judge(path.as_bytes()).unwrap(), expected, "{patterns_from:?}: {path}");
        }
    }
}

/// An exclusion, paths that match it, and paths that do not.
type Check<'a> = (&'a [u8], &'a [&'a [u8]], &'a [&'a [u8]]);

/// What borg 1.4.5 says, path by path.
#[test]
fn the_corners_are_those_of_stock() {
    let checks: &[Check<'_>] = &[
        // Normalised before anything else; what is left of `..` is what paths of a source `../x` begin with.
        (b"./a//b/../c", &[b"a/c", b"/a/c", b"a/c/d"], &[b"a/b", b"a/cd"]),
        (b"../x", &[b"../x", b"../x/y"], &[b"x"]),
        (b"/", &[b"a", b"a/b", b""], &[]),
        (b"", &[b"."], &[b"a"]),
        (b"fm:a/", &[b"a/b"], &[b"a", b"ab"]),
        (b"sh:a/", &[b"a/b"], &[b"a", b"ab"]),
        // What ends with a newline, what is no UTF-8, what is one letter in two code points.
        (b"sh:?", &[b"a", b"\n", b"\xff", "é".as_bytes()], &[b"/", "e\u{301}".as_bytes(), b"\xe2\x82"]),
        (b"sh:\xff", &[b"\xff", b"\xff/a"], &[b"\xfe"]),
        ("pf:é".as_bytes(), &["é".as_bytes()], &["e\u{301}".as_bytes(), "É".as_bytes()]),
        (b"sh:a**/b", &[b"ab", b"a/b", b"ax/y/b"], &[b"axb"]),
        (b"sh:a/**", &[b"a", b"a/b", b"a/b/c"], &[b"ab"]),
        // Classes: brackets and exclamation marks in front are members, a hyphen at the end too, nothing is escaped.
        (b"sh:[]a]", &[b"]", b"a"], &[b"[", b"[]a]"]),
        (b"sh:[!]a]", &[b"b", b"["], &[b"]", b"a"]),
        (b"sh:[^a]", &[b"^", b"a"], &[b"b"]),
        (b"sh:[\\a-]", &[b"\\", b"a", b"-"], &[b"b"]),
        (b"sh:x[!a]y", &[b"x/y", b"xby"], &[b"xay"]),
        (b"fm:[c-a]", &[], &[b"a", b"c", b"[c-a]"]),
        (b"fm:[!c-a]", &[b"a", b"c"], &[b""]),
        (b"sh:[a", &[b"[a"], &[b"a"]),
        // Python's regular expressions: `$` also stands before a newline at the end, sets are not computed with.
        (b"re:a$", &[b"a", b"a\n", b"ba"], &[b"a\n\n", b"ab"]),
        (b"re:a\\Z", &[b"a"], &[b"a\n"]),
        (b"re:[a&&b]", &[b"&"], &[b"c"]),
        (b"re:[[a]", &[b"["], &[b"]"]),
        (b"re:^x{,2}$", &[b"", b"xx"], &[b"xxx"]),
        (b"re:^x{$", &[b"x{"], &[b"x"]),
        (b"re:^(?!.*keep).*\\.o$", &[b"a/b.o"], &[b"keep/b.o"]),
        (b"re:^(.)\\1$", &[b"aa"], &[b"ab"]),
        (b"re:(?i)WORLD", &[b"a/world"], &[b"word"]),
        (b"re:^\\w+$", &["²x".as_bytes()], &["e\u{301}".as_bytes(), b"\xff"]),
        // No slash is added, and none is taken away.
        (b"re:^/", &[], &[b"a", b"/a"]),
        // A colon after two letters of a name is a style, after others not.
        (b"a-:b", &[b"a-:b"], &[b"b"]),
    ];
    for (pattern, matched, others) in checks {
        let name = String::from_utf8_lossy(pattern);
        for path in *matched {
            assert!(excludes(pattern, path), "{name} matches {:?}", String::from_utf8_lossy(path));
        }
        for path in *others {
            assert!(!excludes(pattern, path), "{name} does not match {:?}", String::from_utf8_lossy(path));
        }
    }
}

#[test]
fn the_first_rule_that_matches_counts_whatever_option_it_is_from() {
    let mut patterns = Patterns::default();
    patterns.exclude(b"a/no").unwrap();
    patterns.patterns_from(b"# kept\n+ a/keep\n\n  - a \r\n").unwrap();
    patterns.pattern(b"+a/no").unwrap();
    patterns.exclude_from(b"#*\n*.tmp\n a/keep \n").unwrap();
    for (path, verdict) in [
        ("a/no", Verdict::ExcludeNoRecurse),
        ("a/keep/x", Verdict::Include),
        ("a/other", Verdict::Exclude),
        ("b.tmp", Verdict::ExcludeNoRecurse),
        ("b", Verdict::Include),
    ] {
        assert_eq!(patterns.judge(path.as_bytes()).unwrap(), verdict, "{path}");
    }
}

#[test]
fn of_full_paths_the_last_counts_and_before_all_others() {
    let patterns = from("- **\n- pf:a/b\n+ pf:/a/b/");
    assert_eq!(patterns.judge(b"a/b").unwrap(), Verdict::Include);
    assert_eq!(patterns.judge(b"a").unwrap(), Verdict::Exclude);
}

#[test]
fn a_style_lasts_until_the_file_ends() {
    let mut patterns = from("P fm\n- *.o\nR /data/world\nr \u{a0}x\np sh\n- *.a");
    patterns.patterns_from(b"- *.b").unwrap();
    patterns.pattern(b"P fm").unwrap();
    patterns.pattern(b"- *.c").unwrap();
    let left_out = |path: &str| patterns.judge(path.as_bytes()).unwrap() != Verdict::Include;
    assert!(left_out("d/x.o") && left_out("x.a") && left_out("x.b") && left_out("x.c"));
    assert!(!left_out("d/x.a") && !left_out("d/x.b") && !left_out("d/x.c"));
    assert_eq!(patterns.roots(), [b"/data/world".to_vec(), b"x".to_vec()]);
}

#[test]
fn what_cannot_be_meant_is_named() {
    #[track_caller]
    fn refused(content: &str, words: &[&str]) {
        let error = Patterns::default().patterns_from(content.as_bytes()).unwrap_err();
        let text = worldkeeper_core::error_text(&error);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    refused("\n- sh:[z-a]", &["line 2", "sh:[z-a]", "the range z-a"]);
    refused("- re:(", &["re:("]);
    refused("- re:a**", &["re:a**", "repeats nothing"]);
    refused("- re:[a", &["re:[a", "not closed"]);
    refused("- re:\\h", &["\\h means nothing"]);
    refused("- re:(?x) a", &["the flags \"x\""]);
    refused("- re:(?<n>a)", &["(?<"]);
    refused("- re:(?(1)a)", &["there is no group 1"]);
    refused("- re:((x{1000}){1000}){1000}", &["cannot be compiled"]);
    refused("- zz:a", &["\"zz\"", "expected fm, sh, re, pp or pf"]);
    refused("P zz", &["\"zz\""]);
    refused("a", &["\"a\" begins with none of"]);
    refused("+", &["\"+\" is a command without a value"]);
}

#[test]
fn a_pattern_that_explodes_gives_up() {
    let patterns = from(r"- re:^(a|aa)+(?=c)c");
    let path = format!("{}bc", "a".repeat(100));
    let slow = patterns.judge(path.as_bytes()).unwrap_err();
    assert!(slow.to_string().contains("(a|aa)+"), "{slow}");
}
