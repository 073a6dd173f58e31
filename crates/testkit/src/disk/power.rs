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
    // What a block that was given to a file held before: something of another file.
    let stale = numbers.iter().find_map(|number| match &state.nodes[number] {
        Node::File { content, durable, .. } if *durable > BLOCK => Some(Arc::clone(content)),
        _ => None,
    });
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
    let filler = random.below(4);
    let fill = |content: &mut [u8], at: usize, random: &mut Random| match filler {
        0 => content.fill(0),
        1 => content.fill(0xa5),
        2 => content.fill_with(|| random.below(256) as u8),
        // Never the same bytes at the same place: a file that is whole again would not be torn.
        _ => content.iter_mut().enumerate().for_each(|(offset, byte)| {
            *byte = stale.map_or(0xa5, |stale| stale[(at + offset + 1) % stale.len()]);
        }),
    };
    if random.below(2) == 0 {
        let from = durable + random.below(content.len() - durable);
        fill(&mut content[from..], from, random);
        return;
    }
    let mut from = durable;
    while from < content.len() {
        let end = ((from / BLOCK + 1) * BLOCK).min(content.len());
        if random.below(2) == 0 {
            fill(&mut content[from..end], from, random);
        }
        from = end;
    }
}
