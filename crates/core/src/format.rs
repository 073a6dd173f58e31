//! What is known of the formats that games keep their worlds in: the seam through which that reaches whoever reads files.
//!
//! A format is asked once for each file that is read, with its name and what it begins with. Most files are none of its
//! business and cost no more than that question. For those that are, it can say three things. It sends a [`Judge`], who
//! sees the bytes as they pass: nothing is read for his sake, and he keeps little, however long the file is. It makes a
//! [`Plan`] of where the file is best cut, so that what a game rewrites is stored again and what lies beside it is not.
//! And of a file that somebody writes to it names the parts that must be read again.
//!
//! All of it is plain numbers and bytes: who knows a format knows nothing of archives, and who makes archives nothing of
//! formats.

mod judge;
mod plan;

use std::fmt;
use std::ops::Range;

pub use judge::{Defects, Judge};
pub use plan::{Known, Last, Plan, RangeReader};

/// A format that files of games' worlds have. Knows nothing of archives.
pub trait FileFormat: fmt::Debug + Send + Sync {
    /// Who can tell whether the file at `path` is whole; `None` if it has another format, or nothing can be told.
    ///
    /// `head` is what the file begins with: as much as the first read gave, nothing only if it is empty.
    fn judge(&self, path: &[u8], head: &[u8]) -> Option<Box<dyn Judge>>;

    /// Where the file at `path` is best cut; `None` if it has another format, makes no sense, or cannot be read.
    ///
    /// The same bytes and the same knowledge give the same plan. Of the file no more is read than the plan needs.
    fn plan(&self, path: &[u8], file: &mut dyn RangeReader, known: &Known<'_>) -> Option<Plan> {
        let _ = (path, file, known);
        None
    }

    /// The name of the file beside it that a file belongs to, by its own name: neither is worth anything without the other, as
    /// they were at one moment.
    fn main_of<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        let _ = name;
        None
    }

    /// Which ranges of a file of `len` bytes must be read again, after its head has turned from `before` into `now`.
    ///
    /// For files whose plan has a [head](Plan::head_len). If nothing differs, there are none, and what was read fits
    /// together. Ranges are in order, do not overlap, and lie between the head, which whoever asks has read again, and
    /// `len`; each is something that [can be seen to be whole](Self::is_whole). Of a head that was not known before
    /// (`before` is empty), all of them.
    fn again(&self, before: &[u8], now: &[u8], len: u64) -> Vec<Range<u64>> {
        let _ = (before, now, len);
        Vec::new()
    }

    /// Which of those ranges may have held something else for a while, and hold again what they did, without the head saying
    /// so: those with the newest of its time stamps.
    fn newest(&self, head: &[u8], len: u64) -> Vec<Range<u64>> {
        let _ = (head, len);
        Vec::new()
    }

    /// Returns whether the bytes of one of the [ranges](Self::again) fit together, as far as they can tell: `false` says
    /// that they were read while somebody wrote them, or are damaged.
    fn is_whole(&self, range: &[u8]) -> bool {
        let _ = range;
        true
    }
}
