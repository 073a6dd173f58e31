//! The game comes first: what processors we use, and when.
//!
//! All threads are of the idle class, so that whoever else wants a processor gets it at once: one that runs nothing but such
//! threads counts as free. Where the lowest priority is all there is, a thread of the game that wakes up is put beside another
//! one of its own instead, and waits until that one's tick is over.
//!
//! That alone does not do. A scheduler lets each of our threads run before the game now and then, for as long as it takes until
//! it looks again, and that is 4 ms of a tick that has 50; measured, one tick in ten was late. So while the game may run, some
//! processors are not ours, as whole cores where that can be: there is always one on which the game waits for nobody.

mod cores;

use std::fs;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use rustix::io;
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};
use tracing::debug;

use cores::Cores;

/// Begins with it: gives the processors to whoever wants them. Where the system refuses, the work goes on.
pub(crate) fn start() {
    if let Err(error) = all() {
        debug!("which processors may be used is not known: {error}");
    }
    be_idle();
    if let Err(error) = each_thread(|thread| setpriority_process(Some(thread), LOWEST)) {
        debug!("the priority stays as it is: {error}");
    }
}

/// Puts this thread into the idle class, and so all threads and processes that it begins.
fn be_idle() {
    // It sets both. A process that somebody began with a lower priority may not have a higher one again, and needs none.
    let done = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, IDLE);
    if thread_schedule_policy() != Ok(IDLE) {
        debug!("the scheduling class stays as it is: {done:?}");
    }
}

/// Uses that many processors from now on, in all threads; all there are with `None`.
pub(crate) fn use_processors(count: Option<NonZeroUsize>) {
    let done = all().and_then(|all| {
        let ours = ours(all, count);
        // A thread that another one starts meanwhile has what that one had: so it is looked twice.
        (0..2).try_for_each(|_| each_thread(|thread| sched_setaffinity(Some(thread), &ours)))
    });
    if let Err(error) = done {
        debug!("the processors cannot be chosen: {error}");
    }
}

/// How many processors are ours while the game may run, if nobody says otherwise: half of them.
pub(crate) fn half() -> Option<NonZeroUsize> {
    all().ok().and_then(|all| NonZeroUsize::new((all.count() as usize / 2).max(1)))
}

/// All that this process may use, as it was begun.
fn all() -> io::Result<&'static CpuSet> {
    static ALL: OnceLock<io::Result<CpuSet>> = OnceLock::new();
    ALL.get_or_init(|| sched_getaffinity(None)).as_ref().map_err(|error| *error)
}

/// So many of them, by whole cores; all with `None`.
fn ours(all: &CpuSet, count: Option<NonZeroUsize>) -> CpuSet {
    static CORES: OnceLock<Cores> = OnceLock::new();
    let Some(count) = count else { return *all };
    let processors = (0..CpuSet::MAX_CPU).filter(|number| all.is_set(*number));
    let mut ours = CpuSet::new();
    CORES.get_or_init(|| Cores::of(processors, siblings)).last(count.get()).for_each(|number| ours.set(number));
    ours
}

/// The threads of a processor's core, as the kernel lists them.
fn siblings(processor: usize) -> Option<String> {
    fs::read_to_string(format!("/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")).ok()
}

/// Asks something of the system for each thread of this process.
fn each_thread(ask: impl Fn(Pid) -> io::Result<()>) -> io::Result<()> {
    let failed = |error| io::Errno::from_io_error(&error).unwrap_or(io::Errno::IO);
    let threads = fs::read_dir("/proc/self/task").map_err(failed)?;
    let numbers = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).try_for_each(|thread| match ask(thread) {
        // It has ended.
        Err(io::Errno::SRCH) => Ok(()),
        done => done,
    })
}

/// Runs when nobody else wants to; disks go by it, too.
const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

/// The lowest priority there is: what remains where a class cannot be chosen.
const LOWEST: i32 = 19;
