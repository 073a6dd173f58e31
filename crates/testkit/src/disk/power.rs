//! What may be left when the power fails.
//!
//! Of what was not synced any part may be missing: the end of a file, any of its blocks, and any of the changes to a
//! directory, whatever their order. A rename happens or does not; that much every file system promises.

use std::sync::Arc;

use super::state::{Node, State};
use crate::random::Random;

/// How much of a file reaches the disk, or does not, as one.
const BLOCK: usize = 512;

/// Takes away some of what is not durable; each seed picks one of the possibilities.
pub(super) fn fail(state: &mut State, seed: u64) {
    let mut random = Random::new(seed);
    // Whole states are more telling than mixed ones: much lost, little lost, half.
    let chance = random.below(5) * 64;
    let mut numbers: Vec<_> = state.nodes.keys().copied().collect();
    numbers.sort_unstable();
    let stale = stale(state, &numbers);
    for number in numbers {
        match state.nodes.get_mut(&number) {
            Some(Node::File { content, durable, .. }) if content.len() > *durable => {
                tear(Arc::make_mut(content), *durable, chance, stale.as_ref().map(|stale| &stale[..]), &mut random);
            }
            Some(Node::File { .. }) => {}
            Some(Node::Directory { names, durable, pending }) => {
                for change in pending.drain(..) {
                    if random.below(256) < chance {
                        change.apply(durable);
                    }
                }
                names.clone_from(durable);
            }
            None => unreachable!("the numbers are those of the nodes"),
        }
    }
}

/// Puts a tail into the file that is being written, in the place of what begins `at` bytes behind what is durable of it;
/// everything else has reached the disk.
pub(super) fn cut(state: &mut State, at: usize, tail: Tail, seed: u64) {
    let mut numbers: Vec<_> = state.nodes.keys().copied().collect();
    numbers.sort_unstable();
    let stale = stale(state, &numbers);
    let Some((number, durable, _)) = written(state) else { return };
    if let Some(Node::File { content, .. }) = state.nodes.get_mut(&number)
        && let Some(rest) = Arc::make_mut(content).get_mut(durable + at..)
    {
        tail.fill(rest, durable + at, stale.as_ref().map(|stale| &stale[..]), &mut Random::new(seed));
    }
}

/// The file that is being written, how much of it is durable, and how many bytes are not.
pub(super) fn written(state: &State) -> Option<(usize, usize, usize)> {
    let written = state.nodes.iter().filter_map(|(number, node)| match node {
        Node::File { content, durable, .. } if content.len() > *durable => {
            Some((*number, *durable, content.len() - durable))
        }
        _ => None,
    });
    // If it is more than one, the one that was begun last.
    written.max()
}

/// What a block that was given to a file held before: something of another file.
fn stale(state: &State, numbers: &[usize]) -> Option<Arc<Vec<u8>>> {
    numbers.iter().find_map(|number| match &state.nodes[number] {
        Node::File { content, durable, .. } if *durable > BLOCK => Some(Arc::clone(content)),
        _ => None,
    })
}

/// What stands in a file where its bytes have not reached the disk.
#[derive(Clone, Copy, Debug)]
pub enum Tail {
    /// Zeros.
    Zeros,
    /// One byte again and again.
    Pattern,
    /// Anything.
    Random,
    /// What another file has elsewhere.
    Stale,
}

impl Tail {
    /// Fills a part of a file that begins `at` there.
    fn fill(self, content: &mut [u8], at: usize, stale: Option<&[u8]>, random: &mut Random) {
        match self {
            Self::Zeros => content.fill(0),
            Self::Pattern => content.fill(0xa5),
            Self::Random => content.fill_with(|| random.below(256) as u8),
            // Never the same bytes at the same place: a file that is whole again would not be torn.
            Self::Stale => content.iter_mut().enumerate().for_each(|(offset, byte)| {
                *byte = stale.map_or(0xa5, |stale| stale[(at + offset + 1) % stale.len()]);
            }),
        }
    }
}

/// Tears one file: its end may be missing, the rest of it be something else, or single blocks.
fn tear(content: &mut Vec<u8>, durable: usize, chance: usize, stale: Option<&[u8]>, random: &mut Random) {
    if random.below(256) >= chance {
        let kept = random.below(content.len() - durable + 1);
        content.truncate(if random.below(2) == 0 { durable } else { durable + kept });
    }
    if random.below(256) < chance || content.len() == durable {
        return;
    }
    // The length has reached the disk, some of the bytes have not.
    let tail = [Tail::Zeros, Tail::Pattern, Tail::Random, Tail::Stale][random.below(4)];
    if random.below(2) == 0 {
        let from = durable + random.below(content.len() - durable);
        tail.fill(&mut content[from..], from, stale, random);
        return;
    }
    let mut from = durable;
    while from < content.len() {
        let end = ((from / BLOCK + 1) * BLOCK).min(content.len());
        if random.below(2) == 0 {
            tail.fill(&mut content[from..end], from, stale, random);
        }
        from = end;
    }
}
