//! Whether a file is whole, told by somebody who sees its bytes as they pass.

use std::fmt;

/// Tells from the bytes of one file whether it is whole.
pub trait Judge: Send {
    /// Takes the next bytes of the file, in pieces of any size, from its beginning on.
    fn look(&mut self, bytes: &[u8]);

    /// Takes notice that the file has ended, and says what is wrong with it.
    fn finish(self: Box<Self>) -> Defects;
}

/// What is wrong with a file: the first few defects in words, and how many there are.
///
/// A defect is a sentence about the file, which it calls `it`: `it is empty`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defects {
    told: Vec<String>,
    count: u64,
}

impl Defects {
    /// How many are told. A file that is all wrong has thousands.
    pub const MAX_TOLD: usize = 3;

    /// Adds one.
    pub fn add(&mut self, defect: fmt::Arguments<'_>) {
        self.count += 1;
        if self.told.len() < Self::MAX_TOLD {
            self.told.push(defect.to_string());
        }
    }

    /// Returns whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first of them, in words.
    pub fn told(&self) -> &[String] {
        &self.told
    }
}

/// All that is told, and how much is not.
impl fmt::Display for Defects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told.join("; "))?;
        match self.count - self.told.len() as u64 {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_defects_are_told_and_all_are_counted() {
        let mut defects = Defects::default();
        assert!(defects.is_empty());
        for number in 1..=3 {
            defects.add(format_args!("lacks {number}"));
        }
        assert_eq!(defects.to_string(), "lacks 1; lacks 2; lacks 3");
        for number in 4..=1000 {
            defects.add(format_args!("lacks {number}"));
        }
        assert_eq!(defects.to_string(), "lacks 1; lacks 2; lacks 3; and 997 more");
        assert_eq!((defects.count(), defects.told().len()), (1000, Defects::MAX_TOLD));
    }
}
