//! Globs as regular expressions, letter for letter what Python's `fnmatch` and borg's `shellpattern` make of them.

use std::fmt::Write as _;

use thiserror::Error;

/// How far wildcards reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wildcards {
    /// As in `fm`.
    MatchSlashes,
    /// As in `sh`, where `**/` matches any number of directories.
    StopAtSlashes,
}

/// A range of letters that ends before it begins. In `fm` it is empty, in `sh` stock does not start with it.
#[derive(Debug, Error)]
#[error("the range {first}-{last} ends before it begins")]
pub(super) struct BadRange {
    first: char,
    last: char,
}

/// Makes a regular expression that matches what `glob` does, as a whole.
pub(super) fn translate(glob: &str, wildcards: Wildcards) -> Result<String, BadRange> {
    let any = if wildcards == Wildcards::MatchSlashes { "." } else { "[^/]" };
    let mut expression = String::from(r"(?s)\A");
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        if wildcards == Wildcards::StopAtSlashes
            && let Some(after) = rest.strip_prefix("**/")
        {
            expression += "(?:[^/]*/)*";
            rest = after;
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => {
                expression += any;
                expression.push('*');
            }
            '?' => expression += any,
            '[' => match class_end(rest) {
                Some(end) => {
                    push_class(&mut expression, &rest[..end], wildcards)?;
                    rest = &rest[end + 1..];
                }
                None => expression += r"\[",
            },
            _ => expression += &regex::escape(letter.encode_utf8(&mut [0; 4])),
        }
    }
    expression += r"\z";
    Ok(expression)
}

/// Where the bracket is that closes a class; one that comes first, or first after `!`, is a member.
fn class_end(rest: &str) -> Option<usize> {
    let members = rest.strip_prefix('!').unwrap_or(rest);
    let members = members.strip_prefix(']').unwrap_or(members);
    Some(rest.len() - members.len() + members.find(']')?)
}

/// Appends what stands between the brackets of a class.
fn push_class(expression: &mut String, class: &str, wildcards: Wildcards) -> Result<(), BadRange> {
    let (members, negated) = class.strip_prefix('!').map_or((class, false), |members| (members, true));
    let mut ranges = Vec::new();
    let mut members = members.chars().collect::<Vec<_>>().into_iter();
    while let Some(first) = members.next() {
        let last = if let ['-', _, ..] = members.as_slice() { members.nth(1).unwrap_or(first) } else { first };
        if first <= last {
            ranges.push((first, last));
        } else if wildcards == Wildcards::StopAtSlashes {
            return Err(BadRange { first, last });
        }
    }
    // Of ranges that are all empty no letter is a member.
    match (ranges.is_empty(), negated) {
        (true, true) => expression.push('.'),
        (true, false) => *expression += r"[^\s\S]",
        (false, _) => {
            *expression += if negated { "[^" } else { "[" };
            for (first, last) in ranges {
                let (first, last) = (u32::from(first), u32::from(last));
                write!(expression, r"\x{{{first:x}}}-\x{{{last:x}}}").expect("text can be written to");
            }
            expression.push(']');
        }
    }
    Ok(())
}
