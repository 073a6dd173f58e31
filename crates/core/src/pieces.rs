//! A list that never moves what it holds.
//!
//! A `Vec` that is full takes a place of twice the size and copies itself there: for a moment a list of millions needs
//! three times what is in it. This one takes another piece.

use std::fmt;
use std::ops::{Index, IndexMut};

/// A list of values in pieces of [`PIECE`] each.
#[derive(Clone)]
pub struct Pieces<T> {
    /// All but the last are full.
    pieces: Vec<Vec<T>>,
}

/// How many values a piece has.
pub const PIECE: usize = 1 << 14;

impl<T> Pieces<T> {
    /// An empty list.
    pub const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds a value at the end.
    pub fn push(&mut self, value: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(value),
            // A list of few values takes little: only what comes after a full piece will most likely fill another.
            None => self.pieces.push(vec![value]),
            Some(_) => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(value);
                self.pieces.push(piece);
            }
        }
    }

    /// Adds values at the end, where they lie.
    ///
    /// # Panics
    ///
    /// If they are none, or more than [`PIECE`], or any but the last to be added are fewer.
    pub fn push_piece(&mut self, piece: Vec<T>) {
        assert!((1..=PIECE).contains(&piece.len()) && self.pieces.last().is_none_or(|last| last.len() == PIECE));
        self.pieces.push(piece);
    }

    /// Takes the last value away.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.pieces.last_mut()?;
        let value = last.pop();
        if last.is_empty() {
            self.pieces.pop();
        }
        value
    }

    /// Takes a value away and puts the last one in its place.
    ///
    /// # Panics
    ///
    /// If there is no such value.
    pub fn swap_remove(&mut self, at: usize) -> T {
        let last = self.pop().expect("there is a value to be taken away");
        if at == self.len() { last } else { std::mem::replace(&mut self[at], last) }
    }

    /// The value at a place, if there is one.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.pieces.get(at / PIECE)?.get(at % PIECE)
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.pieces.iter().flatten()
    }

    /// `count` values from a place on, or as many as there are.
    pub fn range(&self, first: usize, count: usize) -> impl Iterator<Item = &T> + Clone {
        (first..first.saturating_add(count)).map_while(|at| self.get(at))
    }

    /// All values, in order and in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[T]> {
        self.pieces.iter().map(Vec::as_slice)
    }
}

impl<T: Clone> Pieces<T> {
    /// A list of `len` times the same value.
    pub fn filled(value: T, len: usize) -> Self {
        let mut list = Self::new();
        list.resize(len, value);
        list
    }

    /// Adds the same value until there are `len`, or takes values away until there are not more.
    pub fn resize(&mut self, len: usize, value: T) {
        self.pieces.truncate(len.div_ceil(PIECE));
        while self.pieces.len() < len.div_ceil(PIECE) {
            if let Some(last) = self.pieces.last_mut() {
                last.resize(PIECE, value.clone());
            }
            self.pieces.push(Vec::new());
        }
        if let Some(last) = self.pieces.last_mut() {
            let wanted = len - (len - 1) / PIECE * PIECE;
            last.reserve_exact(wanted.saturating_sub(last.len()));
            last.resize(wanted, value);
        }
    }
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<usize> for Pieces<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.pieces[at / PIECE][at % PIECE]
    }
}

impl<T> IndexMut<usize> for Pieces<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pieces[at / PIECE][at % PIECE]
    }
}

impl<T> Extend<T> for Pieces<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T: PartialEq> PartialEq for Pieces<T> {
    fn eq(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }
}

impl<T: Eq> Eq for Pieces<T> {}

impl<T: fmt::Debug> fmt::Debug for Pieces<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 9] = [0, 1, 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 3 * PIECE + 5];

    fn counted(len: usize) -> Pieces<usize> {
        let mut list = Pieces::new();
        list.extend(0..len);
        list
    }

    fn assert_is(list: &Pieces<usize>, expected: &[usize]) {
        assert_eq!((list.len(), list.is_empty()), (expected.len(), expected.is_empty()));
        assert!(list.iter().eq(expected));
        assert!(list.pieces().flatten().eq(expected));
        assert!(list.pieces.iter().rev().skip(1).all(|piece| piece.len() == PIECE), "a piece that is not full");
        assert!((0..expected.len()).all(|at| list[at] == expected[at] && list.get(at) == Some(&expected[at])));
        assert_eq!(list.get(expected.len()), None);
    }

    #[test]
    fn a_list_of_any_length_is_what_a_vector_is() {
        for len in LENGTHS {
            let (mut list, mut vector) = (counted(len), (0..len).collect::<Vec<_>>());
            assert_is(&list, &vector);
            for at in [len / 2, 0, PIECE - 1] {
                if at < vector.len() {
                    assert_eq!(list.swap_remove(at), vector.swap_remove(at));
                    assert_is(&list, &vector);
                }
            }
            assert_eq!(list.pop(), vector.pop());
            assert_is(&list, &vector);
            for (first, count) in [(0, len), (1, 2), (PIECE - 1, 3), (len, 1), (0, usize::MAX), (usize::MAX, 9)] {
                let rest = vector.get(first..).unwrap_or_default();
                assert!(list.range(first, count).eq(&rest[..count.min(rest.len())]), "{count} from {first} of {len}");
            }
        }
    }

    #[test]
    fn a_list_grows_and_shrinks_to_any_length() {
        for from in LENGTHS {
            for to in LENGTHS {
                let (mut list, mut vector) = (counted(from), (0..from).collect::<Vec<_>>());
                list.resize(to, 7);
                vector.resize(to, 7);
                assert_is(&list, &vector);
                assert_eq!(list == counted(from), vector == (0..from).collect::<Vec<_>>());
            }
            assert_is(&Pieces::filled(3, from), &vec![3; from]);
        }
    }

    #[test]
    fn whole_pieces_make_the_list_that_their_values_make() {
        for len in LENGTHS {
            let vector: Vec<_> = (0..len).collect();
            let mut list = Pieces::new();
            vector.chunks(PIECE).for_each(|piece| list.push_piece(piece.to_vec()));
            assert_is(&list, &vector);
            list.push(len);
            assert_is(&list, &(0..=len).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "is_none_or")]
    fn no_piece_comes_behind_one_that_is_not_full() {
        let mut list = counted(PIECE - 1);
        list.push_piece(vec![1]);
    }
}
