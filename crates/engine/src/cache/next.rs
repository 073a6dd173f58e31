//! What is looked up in the order in which it was stored is found without a search.
//!
//! A table of millions leads to another place in memory each time, and that is what a search takes its time for. But a
//! run finds files, and their chunks, as the last one did, mostly: each lies behind the one that was found before.

/// The place behind the one that was found last, by number.
#[derive(Debug, Default)]
pub(crate) struct Next(u32);

impl Next {
    /// The next place if it is the one that is looked for, else the one that is found by a search.
    pub(super) fn or_else(
        &mut self,
        is_it: impl FnOnce(u32) -> bool,
        search: impl FnOnce() -> Option<u32>,
    ) -> Option<u32> {
        let found = if is_it(self.0) { Some(self.0) } else { search() };
        if let Some(number) = found {
            self.0 = number.wrapping_add(1);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_next_is_not_searched_for() {
        let list = ["a", "b", "c", "d"];
        let mut next = Next::default();
        let mut searched = Vec::new();
        for name in ["a", "b", "d", "e", "e", "b", "c"] {
            let is_it = |number: u32| list.get(number as usize) == Some(&name);
            let search = || {
                searched.push(name);
                list.iter().position(|other| *other == name).map(|number| number as u32)
            };
            assert_eq!(
                next.or_else(is_it, search).map(|number| list[number as usize]),
                list.contains(&name).then_some(name)
            );
        }
        assert_eq!(searched, ["d", "e", "e", "b"]);
    }
}
