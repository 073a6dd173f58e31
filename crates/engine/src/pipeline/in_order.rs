//! Puts steps that were finished in any order back into theirs.

use std::collections::VecDeque;

/// Takes numbered steps and gives them out by number, without gaps, from zero.
#[derive(Debug)]
pub(crate) struct InOrder<T> {
    /// Slot 0 is for the next number to be given out.
    waiting: VecDeque<Option<T>>,
    next: u64,
}

impl<T> InOrder<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), next: 0 }
    }

    /// Takes a step. Each number comes once; the budget bounds how far ahead of the next one it can be.
    pub(crate) fn insert(&mut self, number: u64, step: T) {
        let slot = usize::try_from(number.checked_sub(self.next).expect("each number comes once")).expect("bounded");
        if slot >= self.waiting.len() {
            self.waiting.resize_with(slot + 1, || None);
        }
        self.waiting[slot] = Some(step);
    }

    /// A step that has come and waits for earlier ones.
    pub(crate) fn waiting(&mut self, number: u64) -> Option<&mut T> {
        let slot = usize::try_from(number.checked_sub(self.next)?).ok()?;
        self.waiting.get_mut(slot)?.as_mut()
    }

    /// Gives out the next step, if it has come.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let step = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.next += 1;
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_out_by_number() {
        let mut steps = InOrder::new();
        steps.insert(2, 'c');
        steps.insert(1, 'b');
        assert_eq!(steps.pop(), None);
        assert_eq!([0, 1, 2, 3].map(|number| steps.waiting(number).copied()), [None, Some('b'), Some('c'), None]);
        steps.insert(0, 'a');
        assert_eq!([steps.pop(), steps.pop(), steps.pop(), steps.pop()], [Some('a'), Some('b'), Some('c'), None]);
        assert_eq!(steps.waiting(2), None, "it was given out");
        steps.insert(3, 'd');
        assert_eq!(steps.pop(), Some('d'));
    }
}
