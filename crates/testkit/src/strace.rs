//! Signals at exact places of a run: a recorded trace gives the places, and `strace` sends the signal as one is entered.

mod call;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::outcome::Outcome;
use crate::peers;
use crate::worldkeeper::Worldkeeper;
pub use call::Call;
use call::calls;

/// Calls that change files. An `open` is one of them if it may make a file.
const CALLS: &str = "write,pwrite64,writev,pwritev,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,\
                     fdatasync,link,linkat,symlink,symlinkat,ftruncate,fallocate,copy_file_range,chmod,fchmod,utimensat,\
                     open,openat";

/// Calls that change files, too, and that nothing of ours makes in a repository.
const OTHER_CALLS: &str = "creat,truncate,mknod,mknodat,chown,fchown,lchown,fchownat,fchmodat,setxattr,lsetxattr,fsetxattr,\
                           removexattr,lremovexattr,fremovexattr,pwritev2,sendfile,splice,mmap,utime,utimes,futimesat,\
                           sync,syncfs,sync_file_range";

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
    calls(&text, CALLS, keeper.folder())
}

/// Runs a program with an environment variable to its good end, and returns its calls that change something below
/// `folder`, in the order in which they began. Maps of files count, and everything else by which a file may be changed.
#[track_caller]
pub fn changes(command: &[OsString], variable: (&str, &OsStr), folder: &Path) -> Vec<Call> {
    let log = folder.join("strace.log");
    let names = format!("{CALLS},{OTHER_CALLS}");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-e", &format!("trace={names}"), "-o"]).arg(&log);
    let _ = Outcome::of(strace.args(command).env(variable.0, variable.1)).exits(0);
    let text = String::from_utf8_lossy(&fs::read(&log).expect("strace has written")).into_owned();
    calls(&text, &names, folder)
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

/// Runs the binary, lets `call` return `error` (such as `EIO`) without having done anything, and says what came of it and
/// whether there was such a call.
#[track_caller]
pub fn failed_at<S: AsRef<OsStr>>(keeper: &Worldkeeper, args: &[S], call: &Call, error: &str) -> (Outcome, bool) {
    let log = keeper.folder().join("strace.log");
    let (path, ordinal) = &call.on_path;
    let trace = format!("trace={}", call.name);
    let injection = format!("inject={}:error={error}:when={ordinal}", call.name);
    let log_name = log.to_str().expect("paths of tests are text");
    let strace = ["strace", "-f", "-qq", "-P", path, "-e", &trace, "-e", &injection, "-o", log_name];
    let outcome = Outcome::of(&mut keeper.command_under(&strace, args));
    let text = String::from_utf8_lossy(&fs::read(&log).expect("strace has written")).into_owned();
    fs::remove_file(log).expect("it was there");
    (outcome, text.contains("(INJECTED)"))
}

/// How the call is counted at which a run is killed.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// Among its thread's calls of that name on its path. Calls of other threads do not stand in its way.
    OnPath,
    /// Among its thread's calls of that name: for paths that each run draws anew. The first thread that has made as many
    /// is killed.
    OfThread,
}

/// Runs the binary, kills it as it enters `call`, and returns whether that was where it was killed.
#[track_caller]
pub fn killed_at<S: AsRef<OsStr>>(
    keeper: &Worldkeeper,
    args: &[S],
    call: &Call,
    count: Count,
    delay: Option<Delay>,
) -> bool {
    let log = keeper.folder().join("strace.log");
    let (path, on_path) = &call.on_path;
    let (ordinal, words) = match count {
        Count::OnPath => (*on_path, ["-y", "-P", path].map(str::to_owned).to_vec()),
        Count::OfThread => (call.ordinal, vec!["-y".to_owned()]),
    };
    let mut counted = call.clone();
    counted.ordinal = ordinal;
    let mut strace = at(&counted, Signal::KILL, &log);
    strace.splice(1..1, words);
    if let Some(delay) = delay {
        strace = delay.add(strace);
    }
    let outcome = Outcome::of(&mut keeper.command_under(&strace, args));
    let text = String::from_utf8_lossy(&fs::read(&log).expect("strace has written")).into_owned();
    fs::remove_file(log).expect("it was there");
    // Of all that was counted, the first that was counted so far is where it ended.
    let met = calls(&text, &call.name, keeper.folder()).into_iter().find(|call| call.ordinal == ordinal);
    outcome.signal() == Some(Signal::KILL.as_raw()) && met.is_some_and(|met| met.is_same(call))
}
