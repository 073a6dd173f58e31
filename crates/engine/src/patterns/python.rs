//! Regular expressions as Python's `re` understands them.
//!
//! [`translate`] goes through one from left to right and says the same to `fancy-regex`: what both write alike is
//! passed on, what means something else is put differently, and what Python refuses is refused. Four rare things are
//! refused that Python knows: names of letters (`\N{..}`), the flags `a`, `L` and `x`, `m` for a part, and to repeat
//! what only looks around. And `\b` takes accents that are letters of their own for parts of a word, superscript digits
//! not: Python has it the other way.
//!
//! Source: Python 3.11 `re/_parser.py`.

use std::error::Error as StdError;
use std::fmt::Write as _;

use fancy_regex::{Regex, RegexBuilder};
use thiserror::Error;

/// A regular expression that is looked for in paths.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    regex: Regex,
    /// For paths that end with a newline, where `$` matches twice. Saying so in `regex` would make every path slow.
    before_newline: Option<Regex>,
}

/// Attempts that one path may cost. Without backreferences and look-around none are needed, and nothing is slow.
const BACKTRACK_LIMIT: usize = 100_000;

/// What Python refuses, or what cannot be said otherwise.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum ExpressionError {
    /// A backslash and a letter, or digits, that mean nothing.
    #[error("\\{0} means nothing here")]
    Escape(String),
    /// A class without its end.
    #[error("a [ is not closed")]
    OpenClass,
    /// A comment without its end.
    #[error("a (?# is not closed")]
    OpenComment,
    /// A range of letters that ends before it begins, or begins or ends with a set.
    #[error("a range within [] has no first or no last letter, or ends before it begins")]
    Range,
    /// A repetition of nothing, of a place, or of a repetition; or one that ends before it begins.
    #[error("{0} repeats nothing, or not in a way that can be")]
    Repeat(String),
    /// A condition on a group that is not there.
    #[error("there is no group {0}")]
    NoGroup(usize),
    /// A `(?` that means nothing.
    #[error("a group cannot begin with (?{0}")]
    Group(String),
    /// Flags that have no meaning for paths, or none at that place.
    #[error("the flags {0:?} are not supported here")]
    Flags(String),
}

impl Expression {
    pub(super) fn new(text: &str) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let build = |end| -> Result<_, Box<dyn StdError + Send + Sync>> {
            let regex = RegexBuilder::new(&translate(text, end)?).backtrack_limit(BACKTRACK_LIMIT).build();
            // What the parser beneath says is a drawing of several lines; its last one is what it means.
            regex.map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().into())
        };
        let before_newline = text.contains('$').then(|| build(r"(?=\n?\z)")).transpose()?;
        Ok(Self { regex: build(r"\z")?, before_newline })
    }

    /// Returns whether it is found in a path; `None` if that takes too long to say.
    pub(super) fn is_match(&self, path: &str) -> Option<bool> {
        let regex = self.before_newline.as_ref().filter(|_| path.ends_with('\n')).unwrap_or(&self.regex);
        regex.is_match(path).ok()
    }
}

/// Says in the words of `fancy-regex` what `text` means; `end` is what `$` means.
pub(super) fn translate(text: &str, end: &str) -> Result<String, ExpressionError> {
    let mut translator = Translator {
        rest: text,
        out: String::with_capacity(text.len() + 8),
        end,
        before: Before::Nothing,
        groups: 0,
        asked: 0,
    };
    translator.global_flags()?;
    while let Some(letter) = translator.next() {
        translator.one(letter)?;
    }
    if translator.asked > translator.groups {
        return Err(ExpressionError::NoGroup(translator.asked));
    }
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    end: &'a str,
    before: Before,
    /// Groups with a number.
    groups: usize,
    /// The highest number of a group that a condition asks for.
    asked: usize,
}

/// What a repetition would repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The beginning of something, or a place such as `^`.
    Nothing,
    /// Something that can be repeated.
    Atom,
    /// Something that is repeated already.
    Repeat,
}

/// A member of a class: one letter, which may begin a range, or a set.
enum Member {
    Letter(char),
    Set(&'static str),
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn take(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_while(&mut self, most: usize, accept: impl Fn(char) -> bool) -> &'a str {
        let len = self.rest.chars().take(most).take_while(|&letter| accept(letter)).map(char::len_utf8).sum();
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    /// `(?ims)` in front of everything.
    fn global_flags(&mut self) -> Result<(), ExpressionError> {
        let before = self.rest;
        if !self.take("(?") {
            return Ok(());
        }
        let flags = self.take_while(usize::MAX, |letter| letter.is_ascii_alphabetic());
        if flags.is_empty() || !self.take(")") {
            self.rest = before;
            return Ok(());
        }
        if flags.contains(|flag| !"imsu".contains(flag)) {
            return Err(ExpressionError::Flags(flags.to_owned()));
        }
        if flags.contains('m') {
            self.end = "$";
        }
        let flags = flags.replace('u', "");
        if !flags.is_empty() {
            let _ = write!(self.out, "(?{flags})");
        }
        Ok(())
    }

    fn one(&mut self, letter: char) -> Result<(), ExpressionError> {
        let mut before = Before::Atom;
        match letter {
            '(' => return self.group(),
            '\\' => return self.escape(),
            '{' => match self.times()? {
                Some(times) => return self.repeat(&times),
                None => self.out += r"\{",
            },
            '*' => return self.repeat("*"),
            '+' => return self.repeat("+"),
            '?' => return self.repeat("?"),
            '[' => self.class()?,
            '.' | ')' => self.out.push(letter),
            '$' => {
                self.out += self.end;
                before = Before::Nothing;
            }
            '^' | '|' => {
                self.out.push(letter);
                before = Before::Nothing;
            }
            _ => self.literal(letter),
        }
        self.before = before;
        Ok(())
    }

    /// A repetition, which may be lazy or possessive.
    fn repeat(&mut self, times: &str) -> Result<(), ExpressionError> {
        if self.before != Before::Atom {
            return Err(ExpressionError::Repeat(times.to_owned()));
        }
        self.before = Before::Repeat;
        self.out += times;
        if let Some(manner) = ["?", "+"].into_iter().find(|manner| self.take(manner)) {
            self.out += manner;
        }
        Ok(())
    }

    fn literal(&mut self, letter: char) {
        self.out += &regex::escape(letter.encode_utf8(&mut [0; 4]));
    }

    /// What follows a `(`.
    fn group(&mut self) -> Result<(), ExpressionError> {
        if !self.take("?") {
            self.groups += 1;
            self.begin("(");
            return Ok(());
        }
        if self.take("#") {
            let end = self.rest.find(')').ok_or(ExpressionError::OpenComment)?;
            self.rest = &self.rest[end + 1..];
            return Ok(());
        }
        for same in ["(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"] {
            if self.take(&same[2..]) {
                self.begin(same);
                return Ok(());
            }
        }
        for (begin, close) in [("P<", '>'), ("P=", ')'), ("(", ')')] {
            if self.take(begin) {
                let name = self.take_while(usize::MAX, |letter| letter.is_alphanumeric() || letter == '_');
                if name.is_empty() || !self.take(close.encode_utf8(&mut [0; 4])) {
                    return Err(ExpressionError::Group(begin.to_owned()));
                }
                let group = format!("(?{begin}{name}{close}");
                match begin {
                    "P=" => {
                        self.out += &group;
                        self.before = Before::Atom;
                        return Ok(());
                    }
                    "P<" => self.groups += 1,
                    _ => self.asked = self.asked.max(name.parse().unwrap_or(0)),
                }
                self.begin(&group);
                return Ok(());
            }
        }
        let flags = self.take_while(usize::MAX, |letter| letter.is_ascii_alphabetic() || letter == '-');
        if flags.is_empty() {
            return Err(ExpressionError::Group(self.rest.chars().take(1).collect()));
        }
        if flags.contains(|flag| !"is-".contains(flag)) || !self.take(":") {
            return Err(ExpressionError::Flags(flags.to_owned()));
        }
        self.begin(&format!("(?{flags}:"));
        Ok(())
    }

    fn begin(&mut self, begin: &str) {
        self.out += begin;
        self.before = Before::Nothing;
    }

    /// What follows a `{`, if it says how many times.
    fn times(&mut self) -> Result<Option<String>, ExpressionError> {
        let before = self.rest;
        let digit = |letter: char| letter.is_ascii_digit();
        let least = self.take_while(usize::MAX, digit);
        let several = self.take(",");
        let most = self.take_while(usize::MAX, digit);
        if !self.take("}") || (least.is_empty() && !several) {
            self.rest = before;
            return Ok(None);
        }
        let number = |digits: &str| digits.parse::<u32>().ok();
        let least = if least.is_empty() { "0" } else { least };
        let times = if several { format!("{{{least},{most}}}") } else { format!("{{{least}}}") };
        if !most.is_empty() && number(least) > number(most) {
            return Err(ExpressionError::Repeat(times));
        }
        Ok(Some(times))
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self) -> Result<(), ExpressionError> {
        let assertion = match self.rest.chars().next() {
            Some('A') => r"\A",
            Some('Z') => r"\z",
            Some('b') => r"\b",
            Some('B') => r"\B",
            Some('1'..='9') => {
                self.before = Before::Atom;
                return self.reference();
            }
            _ => {
                self.before = Before::Atom;
                match self.member_escape()? {
                    Member::Letter(letter) => self.literal(letter),
                    Member::Set(set) => _ = write!(self.out, "[{set}]"),
                }
                return Ok(());
            }
        };
        self.before = Before::Nothing;
        self.out += assertion;
        self.rest = &self.rest[1..];
        Ok(())
    }

    /// A number of a group; but three octal digits are a letter.
    fn reference(&mut self) -> Result<(), ExpressionError> {
        let octal = self.rest.chars().take_while(|letter| letter.is_digit(8)).take(3).count();
        if octal == 3 {
            let letter = self.code(8, 3, 3)?;
            self.literal(letter);
        } else {
            let number = self.take_while(2, |letter| letter.is_ascii_digit());
            // A group, so that no digit that follows belongs to it.
            let _ = write!(self.out, r"(?:\{number})");
        }
        Ok(())
    }

    /// What follows a backslash and means a letter or a set, in a class or outside.
    fn member_escape(&mut self) -> Result<Member, ExpressionError> {
        if self.rest.starts_with('0') {
            return self.code(8, 1, 3).map(Member::Letter);
        }
        let letter = self.next().ok_or_else(|| ExpressionError::Escape(String::new()))?;
        Ok(match letter {
            'd' => Member::Set(r"\d"),
            'D' => Member::Set(r"\D"),
            's' => Member::Set(r"\s\x1c-\x1f"),
            'S' => Member::Set(r"[^\s\x1c-\x1f]"),
            // Python counts neither marks nor joiners as part of a word, but all kinds of numbers.
            'w' => Member::Set(r"\p{L}\p{N}_"),
            'W' => Member::Set(r"[^\p{L}\p{N}_]"),
            'a' => Member::Letter('\x07'),
            'f' => Member::Letter('\x0c'),
            'n' => Member::Letter('\n'),
            'r' => Member::Letter('\r'),
            't' => Member::Letter('\t'),
            'v' => Member::Letter('\x0b'),
            'x' => Member::Letter(self.code(16, 2, 2)?),
            'u' => Member::Letter(self.code(16, 4, 4)?),
            'U' => Member::Letter(self.code(16, 8, 8)?),
            letter if letter.is_ascii_alphanumeric() => return Err(ExpressionError::Escape(letter.to_string())),
            letter => Member::Letter(letter),
        })
    }

    /// A letter by its number.
    fn code(&mut self, radix: u32, least: usize, most: usize) -> Result<char, ExpressionError> {
        let digits = self.take_while(most, |letter| letter.is_digit(radix));
        let number = u32::from_str_radix(digits, radix).ok().filter(|_| digits.len() >= least);
        let letter = number.filter(|&number| radix == 16 || number <= 0o377).and_then(char::from_u32);
        letter.ok_or_else(|| ExpressionError::Escape(digits.to_owned()))
    }

    /// What follows a `[`.
    fn class(&mut self) -> Result<(), ExpressionError> {
        let negated = self.take("^");
        self.out += if negated { "[^" } else { "[" };
        let mut first = true;
        loop {
            if !first && self.take("]") {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let low = self.member()?;
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if !is_range {
                self.push_member(&low);
                continue;
            }
            self.rest = &self.rest[1..];
            match (low, self.member()?) {
                (Member::Letter(low), Member::Letter(high)) if low <= high => {
                    let (low, high) = (u32::from(low), u32::from(high));
                    let _ = write!(self.out, r"\x{{{low:x}}}-\x{{{high:x}}}");
                }
                _ => return Err(ExpressionError::Range),
            }
        }
    }

    fn member(&mut self) -> Result<Member, ExpressionError> {
        match self.next().ok_or(ExpressionError::OpenClass)? {
            '\\' if self.take("b") => Ok(Member::Letter('\x08')),
            '\\' if self.rest.starts_with(|letter: char| ('1'..='7').contains(&letter)) => {
                self.code(8, 1, 3).map(Member::Letter)
            }
            '\\' => self.member_escape(),
            letter => Ok(Member::Letter(letter)),
        }
    }

    fn push_member(&mut self, member: &Member) {
        match member {
            Member::Letter(letter) => _ = write!(self.out, r"\x{{{:x}}}", u32::from(*letter)),
            Member::Set(set) => self.out += set,
        }
    }
}
