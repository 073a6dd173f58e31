//! What a trace says: the calls of a run, and which call of another run is the same one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A system call of a run that changes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its thread, as the trace names it.
    pub thread: String,
    /// Its name, such as `rename`.
    pub name: String,
    /// Which of its thread's calls of that name it is, from 1 on: that is how `strace` counts.
    pub ordinal: usize,
    /// Its arguments, with the paths of descriptors.
    pub arguments: String,
    /// The first of its paths below the folder, and which of its thread's calls of that name with that path it is, from 1 on: that is how
    /// `strace` counts if it is told to look at this path alone.
    pub on_path: (String, usize),
    /// Its paths below the folder, without what each run draws anew.
    what: Vec<String>,
    /// Which of the run's calls of that name on those paths it is.
    occurrence: usize,
}

impl Call {
    /// A call of which nothing is known but its name and the how manieth of its thread it is, whatever it is made on.
    pub fn counted(name: &str, ordinal: usize) -> Self {
        let (name, arguments, on_path) = (name.to_owned(), String::new(), (String::new(), 0));
        Self { thread: String::new(), name, ordinal, arguments, on_path, what: Vec::new(), occurrence: 0 }
    }

    /// Returns whether this does in its run what the other one does in another.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.what, self.occurrence) == (&other.name, &other.what, other.occurrence)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: String = self.arguments.chars().filter(|c| !c.is_control()).take(160).collect();
        write!(f, "{} number {}: {arguments}", self.name, self.ordinal)
    }
}

/// The calls in a trace that are named in `names` and change something below `folder`, in the order in which they began.
pub(super) fn calls(trace: &str, names: &str, folder: &Path) -> Vec<Call> {
    let own = folder.file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.').to_owned();
    let folder = folder.display().to_string();
    let (mut ordinals, mut on_paths, mut occurrences) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut calls = Vec::new();
    for line in trace.lines() {
        // 4711 write(5</tmp/…/data/0/3>, …) = 41, or the same with `<unfinished ...>`; a later `resumed` line is no call.
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(').filter(|(name, _)| !name.contains('<')) else {
            continue;
        };
        // Another thread may have come between the beginning of the line and its end.
        let arguments = arguments.trim_end().trim_end_matches(UNFINISHED);
        let paths = paths(name, arguments);
        let ordinal = next(&mut ordinals, (thread.to_owned(), name.to_owned()));
        let mut counted: Vec<_> = paths.iter().filter(|path| path.starts_with('/')).collect();
        counted.dedup();
        let counted = counted
            .into_iter()
            .map(|path| (path.clone(), next(&mut on_paths, (thread.to_owned(), name.to_owned(), path.clone()))));
        // Of `rename`, too, `strace` looks at the first.
        let on_path = counted.collect::<Vec<_>>().into_iter().find(|(path, _)| path.starts_with(&folder));
        // One that is only delayed is none of them.
        let is_listed = names.split(',').any(|known| known == name);
        let only_opens = name.starts_with("open") && !arguments.contains("O_CREAT");
        let Some(on_path) = on_path.filter(|_| is_listed && !only_opens) else { continue };
        let what: Vec<_> = paths.iter().map(|path| lasting(&path.replace(&folder, "").replace(&own, "*"))).collect();
        let occurrence = next(&mut occurrences, (name.to_owned(), what.clone()));
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        calls.push(Call { thread: thread.to_owned(), name, ordinal, arguments, on_path, what, occurrence });
    }
    calls
}

/// What a line ends with whose call returns on a later one.
const UNFINISHED: &str = "<unfinished ...>";

fn next<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) -> usize {
    let count = counts.entry(key).or_insert(0);
    *count += 1;
    *count
}

/// The paths among a call's arguments: those of descriptors, and those that are text.
fn paths(name: &str, arguments: &str) -> Vec<String> {
    let has_content = name.contains("write");
    let mut paths = Vec::new();
    let mut rest = arguments;
    while let Some(at) = rest.find(['<', '"', ')']) {
        let end = match &rest[at..=at] {
            ")" => break,
            "<" => '>',
            _ => '"',
        };
        let Some((text, after)) = rest[at + 1..].split_once(end) else { break };
        paths.push(text.to_owned());
        if has_content {
            break;
        }
        rest = after;
    }
    paths
}

/// A path without what is drawn anew in each run: long numbers, and the names of those who lock.
fn lasting(path: &str) -> String {
    let component = |component: &str| {
        if component.contains('@') {
            return "*".to_owned();
        }
        let is_long = |run: &str| run.len() >= 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        let runs = component.split(['-', '.']).map(|run| if is_long(run) { "*" } else { run });
        runs.collect::<Vec<_>>().join("-")
    };
    path.split('/').map(component).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "write,rename,openat";

    #[test]
    fn a_trace_is_read_as_strace_counts() {
        let trace = "\
7 openat(AT_FDCWD</>, \"/tmp/.f0f0/a\", O_RDONLY) = 3</tmp/.f0f0/a>
7 openat(AT_FDCWD</>, \"/tmp/.f0f0/b\", O_WRONLY|O_CREAT, 0666) = 4</tmp/.f0f0/b>
8 write(2</dev/null>, \"/\", 1) = 1
7 write(4</tmp/.f0f0/b>, \"x\", 1 <unfinished ...>
8 write(5</tmp/.f0f0/c>, \"y)\", 1) = 1
7 <... write resumed>) = 1
8 write(5</tmp/.f0f0/c>, \"</tmp/.f0f0/b>\", 1) = 1
7 rename(\"/tmp/.f0f0/b\", \"/tmp/.f0f0/d\") = 0
";
        let found = calls(trace, NAMES, Path::new("/tmp/.f0f0"));
        let read = |call: &Call| {
            let (path, on_path) = &call.on_path;
            format!("{} {} {} {on_path}", call.name, call.ordinal, &path[10..])
        };
        let found: Vec<_> = found.iter().map(read).collect();
        let expected = ["openat 2 /b 1", "write 1 /b 1", "write 2 /c 1", "write 3 /c 2", "rename 1 /b 1"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_call_is_found_again_in_another_run() {
        let of = |trace: &str, folder: &str| calls(trace, NAMES, Path::new(folder));
        let one = of(
            "7 write(4</tmp/.f0f0/state/processes/c1658f5b08bc513>, \"a\", 1) = 1\n\
             7 rename(\"/tmp/.f0f0/l.0123456789abcdef.tmp\", \"/tmp/.f0f0/l/h@x.4-1\") = 0\n\
             7 write(4</tmp/.f0f0/b>, \"a\", 1) = 1\n8 write(4</tmp/.f0f0/b>, \"a\", 1) = 1",
            "/tmp/.f0f0",
        );
        let other = of(
            "9 rename(\"/tmp/.g1g1/l.fedcba9876543210.tmp\", \"/tmp/.g1g1/l/h@x.77-2\") = 0\n\
             9 write(4</tmp/.g1g1/b>, \"b\", 1) = 1\n9 write(4</tmp/.g1g1/b>, \"c\", 1) = 1",
            "/tmp/.g1g1",
        );
        let same: Vec<_> = one.iter().map(|call| other.iter().position(|other| other.is_same(call))).collect();
        assert_eq!(same, [None, Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_call_is_the_same_whether_or_not_another_thread_came_between() {
        let of = |trace: &str| calls(trace, "mkdirat", Path::new("/tmp/.f0f0"));
        let one =
            of("7 mkdirat(3</tmp/.f0f0>, \"a\", 0777 <unfinished ...>\n7 mkdirat(3</tmp/.f0f0>, \"a\", 0777) = -1");
        let other =
            of("7 mkdirat(3</tmp/.f0f0>, \"a\", 0777) = 0\n7 mkdirat(3</tmp/.f0f0>, \"a\", 0777 <unfinished ...>");
        let same: Vec<_> = one.iter().map(|call| other.iter().position(|other| other.is_same(call))).collect();
        assert_eq!(same, [Some(0), Some(1)]);
    }
}
