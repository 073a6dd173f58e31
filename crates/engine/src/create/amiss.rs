//! Says in words which files of an archive are not as they should be: its comment says it, where every borg shows it,
//! and so does the history of runs.

use crate::attributes::Escaped;

/// So many files of a kind are named, the others are counted.
const NAMED: usize = 5;

/// Of a longer path only the end is said, in characters.
const PATH_LEN: usize = 150;

/// What is the matter with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not in the archive, or not whole.
    Unread,
    /// What is in the archive may be a mix of what it was and what it became.
    Torn,
    /// It is in the archive as it is, which is not whole.
    Broken,
}

/// The files that something is the matter with.
#[derive(Debug, Default)]
pub(super) struct Amiss {
    unread: Files,
    torn: Files,
    broken: Files,
}

/// Files of a kind: the first of them, and how many they are.
#[derive(Debug, Default)]
struct Files {
    named: Vec<String>,
    count: usize,
}

impl Amiss {
    /// Notes that something is the matter with the file at `path`.
    pub(super) fn note(&mut self, flaw: Flaw, path: &[u8]) {
        let files = match flaw {
            Flaw::Unread => &mut self.unread,
            Flaw::Torn => &mut self.torn,
            Flaw::Broken => &mut self.broken,
        };
        files.count += 1;
        if files.named.len() < NAMED {
            files.named.push(the_end(Escaped(path).to_string()));
        }
    }

    /// In words, if something is the matter at all.
    pub(super) fn text(&self) -> Option<String> {
        let kinds = [
            (&self.unread, "could not be read"),
            (&self.torn, "changed while being read"),
            (&self.broken, "found broken"),
        ];
        let said: Vec<_> =
            kinds.iter().filter(|(files, _)| files.count > 0).map(|(files, what)| files.say(what)).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

impl Files {
    fn say(&self, what: &str) -> String {
        let Self { named, count } = self;
        let noun = if *count == 1 { "file" } else { "files" };
        let names = named.join(", ");
        match count - named.len() {
            0 => format!("{count} {noun} {what}: {names}"),
            more => format!("{count} {noun} {what}: {names} and {more} more"),
        }
    }
}

/// The end of a path.
fn the_end(path: String) -> String {
    match path.char_indices().rev().nth(PATH_LEN - 1) {
        Some((start, _)) if start > 0 => format!("…{}", &path[start..]),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_are_named_and_the_others_counted() {
        let mut amiss = Amiss::default();
        assert_eq!(amiss.text(), None);
        amiss.note(Flaw::Torn, b"world/r.0.0.mca");
        assert_eq!(amiss.text().unwrap(), "1 file changed while being read: world/r.0.0.mca");
        for number in 0..7 {
            amiss.note(Flaw::Unread, format!("world/{number}\n\u{1b}").as_bytes());
        }
        amiss.note(Flaw::Broken, &[b'x'; 5000]);
        let named: Vec<_> = (0..5).map(|number| format!(r"world/{number}\n\u{{1b}}")).collect();
        let expected = format!(
            "7 files could not be read: {} and 2 more; 1 file changed while being read: world/r.0.0.mca; \
             1 file found broken: …{}",
            named.join(", "),
            "x".repeat(150)
        );
        assert_eq!(amiss.text().unwrap(), expected);
    }
}
