//! Which processors are threads of one core, and which of them to take so that as many cores as possible stay free.
//!
//! What one thread of a core computes, the other one waits for: a core is free for the game only if all of its threads are.
//! The numbers do not tell. Many systems count the first threads of all cores, then the second ones, others core by core.

use std::collections::BTreeMap;

/// Processors, by core.
#[derive(Debug)]
pub(super) struct Cores(Vec<Vec<usize>>);

impl Cores {
    /// Sorts processors, in ascending order, into cores. `siblings` says which threads the core of a processor has, in the
    /// kernel's words: `0,4` or `0-1`, the lowest first. One of which nothing is known is taken for a core of its own.
    pub(super) fn of(processors: impl IntoIterator<Item = usize>, siblings: impl Fn(usize) -> Option<String>) -> Self {
        let mut cores = BTreeMap::<_, Vec<_>>::new();
        for processor in processors {
            let first = siblings(processor).and_then(|list| first(&list)).unwrap_or(processor);
            cores.entry(first).or_default().push(processor);
        }
        Self(cores.into_values().collect())
    }

    /// So many processors, at least one: those of the last cores, each as a whole as long as that many are wanted. The first
    /// core is where many systems handle what devices say.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = usize> {
        self.0.iter().rev().flat_map(|core| core.iter().rev()).copied().take(count.max(1))
    }
}

/// The lowest number of a list.
fn first(list: &str) -> Option<usize> {
    list.trim().split([',', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken, in ascending order, of as many cores as `siblings` has lists.
    fn taken(processors: impl IntoIterator<Item = usize>, count: usize, siblings: &[&str]) -> Vec<usize> {
        let list_of = |processor: usize| {
            let is_of = |list: &&&str| list.split([',', '-']).any(|number| number.parse() == Ok(processor));
            siblings.iter().find(is_of).map(|list| format!("{list}\n"))
        };
        let mut taken: Vec<_> = Cores::of(processors, list_of).last(count).collect();
        taken.sort_unstable();
        taken
    }

    #[test]
    fn whole_cores_are_taken_however_their_threads_are_counted() {
        let apart = ["0,4", "1,5", "2,6", "3,7"];
        assert_eq!(taken(0..8, 4, &apart), [2, 3, 6, 7], "cores 0 and 1 are free");
        assert_eq!(taken(0..8, 3, &apart), [3, 6, 7], "so they are");
        assert_eq!(taken(0..8, 1, &apart), [7]);
        let side_by_side = ["0-1", "2-3", "4-5", "6-7"];
        assert_eq!(taken(0..8, 4, &side_by_side), [4, 5, 6, 7]);
        assert_eq!(taken(0..8, 3, &side_by_side), [5, 6, 7]);
        // Fast cores of two threads before slow ones of one: the fast ones are left to the game.
        assert_eq!(taken(0..8, 4, &["0-1", "2-3"]), [4, 5, 6, 7]);
    }

    /// The others of the processors may be the game's.
    #[test]
    fn threads_of_a_core_that_is_not_wholly_ours_to_take_are_left_for_last() {
        assert_eq!(taken(2..8, 3, &["0,4", "1,5", "2,6", "3,7"]), [3, 6, 7]);
    }

    #[test]
    fn where_nothing_is_known_the_last_processors_are_taken_and_never_none() {
        for siblings in [&[][..], &["1", "2", "5", "70"]] {
            assert_eq!(taken([1, 2, 5, 70], 2, siblings), [5, 70]);
            assert_eq!(taken([1, 2, 5, 70], 0, siblings), [70]);
            assert_eq!(taken([1, 2, 5, 70], usize::MAX, siblings), [1, 2, 5, 70]);
        }
        let garbage = Cores::of(0..3, |_| Some("a-b".to_owned()));
        assert_eq!(garbage.last(2).collect::<Vec<_>>(), [2, 1]);
    }
}
