//! All the ways in which a few processes can take, hold and give back the lock at once, call by call.
//!
//! What runs is the product's code, on a disk in memory. From each state of the disk and the processes, each of them may
//! make its next call, and some may be killed; states that were met before are not gone into again. Since a process that
//! waits begins its attempt anew, there are only so many states: this looks at every one of them, and so at every order of
//! calls, however long. Only stock is not among them.

mod player;
mod process;
mod world;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use worldkeeper_testkit::gate;

use process::Role::{self, Reader, Upgrader, Writer};
use world::{Event, World};

/// How much there was to look at.
#[derive(Debug)]
struct Seen {
    states: usize,
    calls: usize,
    ends: usize,
}

/// Goes into every state that can be reached; the first finding is an error, with the shortest way there.
fn explore(start: &World) -> Result<Seen, String> {
    let mut known = HashMap::from([(start.fingerprint(), 0)]);
    // By which event each state was reached first, and from which.
    let mut origins: Vec<Option<(usize, Event)>> = vec![None];
    // From which states each is reached without a kill.
    let mut before: Vec<Vec<usize>> = vec![Vec::new()];
    let mut ends = Vec::new();
    let mut calls = 0;
    let mut next = VecDeque::from([(0, start.clone())]);
    while let Some((number, world)) = next.pop_front() {
        let events = world.events();
        let finding = world.finding().or_else(|| events.is_empty().then(|| world.finding_in_the_end()).flatten());
        if let Some(finding) = finding {
            return Err(format!("{finding}, after\n{}", story(start, &origins, number)));
        }
        if events.is_empty() {
            ends.push(number);
        }
        for event in events {
            let after = world.after(event);
            let number_after = *known.entry(after.fingerprint()).or_insert_with(|| {
                origins.push(Some((number, event)));
                before.push(Vec::new());
                next.push_back((before.len() - 1, after));
                before.len() - 1
            });
            if let Event::Call(_) = event {
                before[number_after].push(number);
                calls += 1;
            }
        }
    }
    // Nobody waits for ever: from each state there is a way to an end that needs nobody's death.
    let ends_seen = ends.len();
    let mut ends_from_here = vec![false; before.len()];
    while let Some(number) = ends.pop() {
        if !std::mem::replace(&mut ends_from_here[number], true) {
            ends.extend(&before[number]);
        }
    }
    match ends_from_here.iter().position(|ends| !ends) {
        Some(number) => Err(format!("they wait for each other, after\n{}", story(start, &origins, number))),
        None => Ok(Seen { states: before.len(), calls, ends: ends_seen }),
    }
}

/// What happened until a state was reached first.
fn story(start: &World, origins: &[Option<(usize, Event)>], mut number: usize) -> String {
    let mut events = Vec::new();
    while let Some((from, event)) = origins[number] {
        events.push(event);
        number = from;
    }
    let (mut world, mut story) = (start.clone(), String::new());
    for event in events.into_iter().rev() {
        world = world.after(event);
        let (Event::Call(number) | Event::Kill(number)) = event;
        writeln!(story, "{}", world.processes[number]).unwrap();
    }
    story
}

/// Requires that nothing is found, and says how much there was to look at.
fn try_all(roles: &[Role], kills: usize) {
    match explore(&World::new(roles, kills)) {
        Ok(Seen { states, calls, ends }) => {
            println!("{roles:?}, {kills} killed: {states} states, {calls} calls, {ends} ends");
        }
        Err(finding) => panic!("{roles:?}, {kills} killed: {finding}"),
    }
}

#[test]
fn gate_lock_model() {
    const PAIRS: [[Role; 2]; 6] = [
        [Writer, Writer],
        [Writer, Reader],
        [Reader, Reader],
        [Upgrader, Writer],
        [Upgrader, Reader],
        [Upgrader, Upgrader],
    ];
    const THREE: [[Role; 3]; 4] =
        [[Writer, Writer, Writer], [Writer, Writer, Reader], [Writer, Reader, Reader], [Reader, Reader, Reader]];
    for pair in PAIRS {
        try_all(&pair, gate::amount(1, 2));
    }
    for three in &THREE[..gate::amount(1, THREE.len())] {
        try_all(three, 1);
    }
}

#[test]
fn the_model_finds_who_takes_the_living_for_dead() {
    let mut start = World::new(&[Writer, Writer], 0);
    start.misjudges = true;
    let finding = explore(&start).unwrap_err();
    assert!(finding.starts_with("what a has of the lock is not what one has who Writes, after\n"), "{finding}");
}
