//! Signals at exact places of a run: a recorded trace gives the places, and `strace` sends the signal as one is entered.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::outcome::Outcome;
use crate::peers;
use crate::worldkeeper::Worldkeeper;

/// A system call of a run that changes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name, such as `rename`.
    pub name: String,
    /// Which of its thread's calls of that name it is, from 1 on: that is how `strace` counts.
    pub ordinal: usize,
    /// Its arguments, with the paths of descriptors.
    pub arguments: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: String = self.arguments.chars().filter(|c| !c.is_control()).take(160).collect();
        write!(f, "{} number {}: {arguments}", self.name, self.ordinal)
    }
}

/// Calls that change files. An `open` is one of them if it may make a file.
const CALLS: &str = "write,pwrite64,writev,pwritev,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,\
                     fdatasync,link,linkat,symlink,symlinkat,ftruncate,fallocate,copy_file_range,chmod,fchmod,utimensat,\
                     open,openat";

/// A call that takes more than a second, so that what happens every second happens behind it.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    /// The call's name.
    pub name: &'static str,
    /// Which of its thread's calls of that name it is, from 1 on.
    pub ordinal: usize,
}

impl Delay {
    /// The words of a `strace` that also delays this call; it sees only calls that it traces.
    fn add(self, mut strace: Vec<String>) -> Vec<String> {
        let trace = strace.iter_mut().find(|word| word.starts_with("trace=")).expect("it traces something");
        *trace = format!("{trace},{}", self.name);
        let delay = format!("inject={}:delay_enter=1050000:when={}", self.name, self.ordinal);
        strace.extend(["-e".to_owned(), delay]);
        strace
    }
}

/// Returns whether `strace` is there, or says that the test is skipped.
pub fn is_there() -> bool {
    let found = if peers::on_path("strace") { Ok(()) } else { Err("it is not installed".to_owned()) };
    peers::or_skip("strace", found).is_some()
}

/// Runs the binary with `args` to its good end, and returns its calls that change something below its folder, in the
/// order in which they were made.
#[track_caller]
pub fn mutating_calls<S: AsRef<OsStr>>(keeper: &Worldkeeper, args: &[S]) -> Vec<Call> {
    delayed_mutating_calls(keeper, args, None)
}

/// The same of a run that is delayed.
#[track_caller]
pub fn delayed_mutating_calls<S: AsRef<OsStr>>(keeper: &Worldkeeper, args: &[S], delay: Option<Delay>) -> Vec<Call> {
    let log = keeper.folder().join("strace.log");
    let trace = format!("trace={CALLS}");
    let log_name = log.to_str().expect("paths of tests are text");
    let strace = ["strace", "-f", "-qq", "-y", "-e", &trace, "-o", log_name].map(str::to_owned).to_vec();
    let strace = match delay {
        Some(delay) => delay.add(strace),
        None => strace,
    };
    let _ = Outcome::of(&mut keeper.command_under(&strace, args)).exits(0);
    let text = String::from_utf8_lossy(&fs::read(&log).expect("strace has written")).into_owned();
    fs::remove_file(log).expect("it was there");
    calls(&text, keeper.folder())
}

/// The calls in a trace that change something below `folder`.
fn calls(trace: &str, folder: &Path) -> Vec<Call> {
    let folder = folder.display().to_string();
    let mut ordinals = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        // 4711 write(5</tmp/…/data/0/3>, …) = 41, or the same with `<unfinished ...>`; a later `resumed` line is no call.
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(').filter(|(name, _)| !name.contains('<')) else {
            continue;
        };
        let ordinal = ordinals.entry((thread.to_owned(), name.to_owned())).or_insert(0);
        *ordinal += 1;
        // One that is only delayed is none of them.
        let is_listed = CALLS.split(',').any(|known| known == name);
        let only_opens = name.starts_with("open") && !arguments.contains("O_CREAT");
        if is_listed && !only_opens && arguments.contains(&folder) {
            calls.push(Call { name: name.to_owned(), ordinal: *ordinal, arguments: arguments.to_owned() });
        }
    }
    calls
}

/// The words to put before a command so that `signal` reaches it as it enters `call`; what `strace` has to say goes to
/// the file `log`.
///
/// # Panics
///
/// If it is another signal than one that ends or stops a process.
pub fn at(call: &Call, signal: Signal, log: &Path) -> Vec<String> {
    let name = [(Signal::KILL, "KILL"), (Signal::TERM, "TERM"), (Signal::STOP, "STOP")];
    let (_, name) = name.iter().find(|(known, _)| *known == signal).expect("a signal that ends or stops");
    let trace = format!("trace={}", call.name);
    let injection = format!("inject={}:signal={name}:when={}", call.name, call.ordinal);
    let log = log.to_str().expect("paths of tests are text");
    ["strace", "-f", "-qq", "-o", log, "-e", &trace, "-e", &injection].map(str::to_owned).to_vec()
}

/// The same for a run that is delayed.
pub fn delayed_at(call: &Call, signal: Signal, log: &Path, delay: Option<Delay>) -> Vec<String> {
    let strace = at(call, signal, log);
    match delay {
        Some(delay) => delay.add(strace),
        None => strace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_as_strace_counts() {
        let trace = "\
7 openat(AT_FDCWD, \"/f/a\", O_RDONLY) = 3</f/a>
7 openat(AT_FDCWD, \"/f/b\", O_WRONLY|O_CREAT, 0666) = 4</f/b>
8 write(2</dev/null>, \"/\", 1) = 1
7 write(4</f/b>, \"x\", 1 <unfinished ...>
8 write(5</f/c>, \"y\", 1) = 1
7 <... write resumed>) = 1
7 rename(\"/f/b\", \"/f/d\") = 0
";
        let found = calls(trace, Path::new("/f"));
        let found: Vec<_> = found.iter().map(|call| (call.name.as_str(), call.ordinal)).collect();
        assert_eq!(found, [("openat", 2), ("write", 1), ("write", 2), ("rename", 1)]);
    }
}
