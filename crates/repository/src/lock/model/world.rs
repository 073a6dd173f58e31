//! The disk and some processes, what may happen to them, and what must not be.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use worldkeeper_core::Disk;
use worldkeeper_testkit::disk::MemoryDisk;

use super::super::{Roster, name};
use super::process::{PATH, Process, Role, Stage};

const DIRECTORY: &str = "/r/lock.exclusive";
const ROSTER: &str = "/r/lock.roster";

/// How often a process may wait of which no other is in the way: its attempt may have met who has gone since.
const WAITS_ALONE: usize = 1;

/// The disk, and all processes.
#[derive(Clone)]
pub(super) struct World {
    disk: MemoryDisk,
    pub(super) processes: Vec<Process>,
    /// How many may still be killed.
    kills: usize,
    /// Plants the fault that the living are taken for dead.
    pub(super) misjudges: bool,
}

/// What happens next, to the process of that number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Call(usize),
    Kill(usize),
}

impl World {
    pub(super) fn new(roles: &[Role], kills: usize) -> Self {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new(PATH)).unwrap();
        let processes = roles.iter().zip(0xa..).map(|(role, thread)| Process::new(*role, thread)).collect();
        Self { disk, processes, kills, misjudges: false }
    }

    /// Everything that may happen now.
    pub(super) fn events(&self) -> Vec<Event> {
        let at_work = || (0..self.processes.len()).filter(|number| self.processes[*number].is_at_work());
        let kills = at_work().filter(|_| self.kills > 0).map(Event::Kill);
        at_work().map(Event::Call).chain(kills).collect()
    }

    pub(super) fn after(&self, event: Event) -> Self {
        let mut world = Self { disk: self.disk.after_kill(), ..self.clone() };
        match event {
            Event::Kill(number) => {
                world.processes[number].die();
                world.kills -= 1;
            }
            Event::Call(number) => {
                let (others, misjudges) = (self.processes.clone(), self.misjudges);
                let is_dead = move |id: &_| {
                    let other = others.iter().enumerate().find(|(_, other)| other.id == *id);
                    other.is_some_and(|(at, other)| other.stage == Stage::Dead || (misjudges && at != number))
                };
                world.processes[number].step(&world.disk, is_dead);
            }
        }
        if world.processes.iter().filter(|process| process.is_at_work()).count() > 1 {
            world.processes.iter_mut().for_each(|process| process.waits = 0);
        }
        world
    }

    /// The same for worlds that go on alike.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.disk.fingerprint().hash(&mut hasher);
        for process in &self.processes {
            process.state().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Says what must not be.
    pub(super) fn finding(&self) -> Option<String> {
        let in_stage =
            |stages: &[Stage]| self.processes.iter().filter(|process| stages.contains(&process.stage)).count();
        let (writers, readers) = (in_stage(&[Stage::Writes]), in_stage(&[Stage::Reads, Stage::Changes]));
        if writers > 1 || (writers == 1 && readers > 0) {
            return Some(format!("{writers} write and {readers} read"));
        }
        self.processes.iter().find_map(|process| {
            let directory = self.names(DIRECTORY).contains(&name::format(&process.id));
            let roster = self.roster();
            let read = roster.shared.contains(&process.id);
            let lost = match process.stage {
                Stage::Writes => !directory,
                Stage::Reads => !read,
                Stage::Changes => !directory && !read,
                Stage::Gone => {
                    directory || read || roster.exclusive.contains(&process.id) || self.has_temporary(process)
                }
                Stage::Takes | Stage::GivesBack | Stage::Dead => false,
            };
            let thread = process.id.thread;
            match &process.failure {
                Some(failure) => Some(format!("{thread:x} fails: {failure}")),
                None if lost => {
                    Some(format!("what {thread:x} has of the lock is not what one has who {:?}", process.stage))
                }
                None if process.waits > WAITS_ALONE => Some(format!("{thread:x} waits for nobody")),
                None => None,
            }
        })
    }

    /// Says what must not be when all have gone. Somebody who comes then gets the lock, and leaves nothing at all.
    pub(super) fn finding_in_the_end(&self) -> Option<String> {
        let mut world = self.clone();
        world.processes.push(Process::new(Role::Writer, 0xff));
        let last = self.processes.len();
        while world.processes[last].is_at_work() {
            world = world.after(Event::Call(last));
            if let Some(finding) = world.finding() {
                return Some(finding);
            }
        }
        let died = self.processes.iter().any(|process| process.stage == Stage::Dead);
        let (left, left_then) = (self.names(PATH), world.names(PATH));
        let is_clean = left_then.is_empty() && (died || left.is_empty());
        (!is_clean).then(|| format!("{left:?} is left behind, and then {left_then:?}"))
    }

    fn names(&self, path: &str) -> Vec<String> {
        let names = self.disk.list(Path::new(path)).unwrap_or_default();
        names.into_iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    fn has_temporary(&self, process: &Process) -> bool {
        self.names(PATH).iter().any(|name| name.starts_with(&format!("lock.exclusive.{:x}-", process.id.thread)))
    }

    /// One that cannot be read names nobody.
    fn roster(&self) -> Roster {
        Roster::load(&self.disk, Path::new(ROSTER)).unwrap().unwrap_or_default()
    }
}
