//! How a stream is cut: borg's chunker parameters, their text form and their limits.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use thiserror::Error;
use worldkeeper_core::MAX_DATA_SIZE;

/// How a stream is cut into chunks. A value of this type is always within borg's limits.
///
/// The text form is borg's `--chunker-params`: `default`, `buzhash,19,23,21,4095`, the same without the word
/// `buzhash`, `fixed,65536` or `fixed,65536,512`.
///
/// Source: borg 1.4 `helpers/parseformat.py`, `ChunkerParams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkerParams {
    /// Cuts where the content says so, so that an insertion moves the cuts with it.
    #[non_exhaustive]
    Buzhash {
        /// A chunk has at least `2^min_exp` bytes, unless it is the last.
        min_exp: u32,
        /// A chunk has at most `2^max_exp` bytes.
        max_exp: u32,
        /// A cut is where this many low bits of the hash are zero: after `2^mask_bits` bytes on average.
        mask_bits: u32,
        /// How many bytes the hash covers; odd.
        window: u32,
    },
    /// Cuts at multiples of a block size.
    #[non_exhaustive]
    Fixed {
        /// In bytes.
        block: u32,
        /// Size of a first chunk before the blocks, in bytes; 0 for none.
        header: u32,
    },
}

impl ChunkerParams {
    /// Borg's default for files: chunks of 512 KiB to 8 MiB, 2 MiB on average.
    pub const DEFAULT: Self = Self::Buzhash { min_exp: 19, max_exp: 23, mask_bits: 21, window: 4095 };

    /// What borg always uses for the stream of an archive's items: chunks of 32 KiB to 512 KiB.
    pub const ITEMS: Self = Self::Buzhash { min_exp: 15, max_exp: 19, mask_bits: 17, window: 4095 };

    /// Content-defined chunking, if borg would accept these numbers.
    pub fn buzhash(min_exp: u32, max_exp: u32, mask_bits: u32, window: u32) -> Result<Self, ParamsError> {
        if !(min_exp <= mask_bits && mask_bits <= max_exp) {
            return Err(ParamsError::Order { min_exp, mask_bits, max_exp });
        }
        if min_exp < MIN_EXP {
            return Err(ParamsError::MinTooSmall(min_exp));
        }
        if max_exp > MAX_EXP {
            return Err(ParamsError::MaxTooLarge(max_exp));
        }
        if window.is_multiple_of(2) {
            return Err(ParamsError::WindowEven(window));
        }
        // Borg's option takes more, and its chunker then fails on the first file.
        let room = ((1_u32 << max_exp) - (1 << min_exp)).saturating_sub(1);
        if window > room {
            return Err(ParamsError::WindowTooLarge { window, room });
        }
        Ok(Self::Buzhash { min_exp, max_exp, mask_bits, window })
    }

    /// Blocks of one size after an optional header, if borg would accept these numbers.
    pub fn fixed(block: u32, header: u32) -> Result<Self, ParamsError> {
        if block < MIN_BLOCK {
            return Err(ParamsError::BlockTooSmall(block));
        }
        match block.max(header) {
            size if size as usize > MAX_DATA_SIZE => Err(ParamsError::BlockTooLarge(size)),
            _ => Ok(Self::Fixed { block, header }),
        }
    }

    /// Length in bytes below which only the last chunk of a stream can be; `None` if no chunk is too short to be another.
    pub fn min_chunk_size(&self) -> Option<u32> {
        match *self {
            Self::Buzhash { min_exp, .. } => Some(1 << min_exp),
            Self::Fixed { .. } => None,
        }
    }

    /// Length of the longest chunk these parameters can make, in bytes.
    pub fn max_chunk_size(&self) -> usize {
        match *self {
            Self::Buzhash { max_exp, .. } => 1 << max_exp,
            Self::Fixed { block, .. } => block as usize,
        }
    }
}

/// Smallest exponent of the minimum chunk size: 64 bytes.
const MIN_EXP: u32 = 6;
/// Largest exponent of the maximum chunk size: 8 MiB.
const MAX_EXP: u32 = 23;
/// Smallest block, in bytes.
const MIN_BLOCK: u32 = 64;

impl Default for ChunkerParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for ChunkerParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buzhash { min_exp, max_exp, mask_bits, window } => {
                write!(f, "buzhash,{min_exp},{max_exp},{mask_bits},{window}")
            }
            Self::Fixed { block, header: 0 } => write!(f, "fixed,{block}"),
            Self::Fixed { block, header } => write!(f, "fixed,{block},{header}"),
        }
    }
}

impl FromStr for ChunkerParams {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, ParamsError> {
        let lower = text.trim().to_lowercase();
        let words: Vec<&str> = lower.split(',').collect();
        match words[..] {
            ["default"] => Ok(Self::DEFAULT),
            ["fixed", block] => Self::fixed(number(block)?, 0),
            ["fixed", block, header] => Self::fixed(number(block)?, number(header)?),
            ["buzhash", min, max, mask, window] | [min, max, mask, window] => {
                Self::buzhash(number(min)?, number(max)?, number(mask)?, number(window)?)
            }
            _ => Err(ParamsError::Form(text.to_owned())),
        }
    }
}

/// Reads one number of the text form; spaces around it are allowed, as in borg.
fn number(word: &str) -> Result<u32, ParamsError> {
    word.trim().parse().map_err(|source| ParamsError::Number { word: word.to_owned(), source })
}

/// Why chunker parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// No algorithm that we know, or the wrong number of values for it.
    #[error(
        "`{0}` is not a way to cut chunks, expected default, buzhash,MIN_EXP,MAX_EXP,MASK_BITS,WINDOW or fixed,BLOCK[,HEADER]"
    )]
    Form(String),
    /// A value is no number of 32 bits.
    #[error("`{word}` is not a number that can describe chunks")]
    Number {
        /// What stands there instead.
        word: String,
        /// What is wrong with it.
        source: ParseIntError,
    },
    /// The exponents contradict each other.
    #[error("MIN_EXP {min_exp}, MASK_BITS {mask_bits} and MAX_EXP {max_exp} must not decrease in this order")]
    Order {
        /// Exponent of the minimum size.
        min_exp: u32,
        /// Bits of the hash that must be zero.
        mask_bits: u32,
        /// Exponent of the maximum size.
        max_exp: u32,
    },
    /// Chunks would be too small.
    #[error("MIN_EXP {0} is below {MIN_EXP}, chunks must have at least 64 bytes")]
    MinTooSmall(u32),
    /// Chunks would be too large.
    #[error("MAX_EXP {0} is above {MAX_EXP}, chunks must have at most 8 MiB")]
    MaxTooLarge(u32),
    /// With an even window, equal bytes cancel each other out of the hash.
    #[error("WINDOW {0} is even, it must be odd")]
    WindowEven(u32),
    /// No window fits between the minimum and the maximum size.
    #[error("WINDOW {window} is too large for these exponents, at most {room} bytes fit")]
    WindowTooLarge {
        /// The window that was asked for, in bytes.
        window: u32,
        /// The largest that fits, in bytes.
        room: u32,
    },
    /// Blocks would be too small.
    #[error("BLOCK {0} is below {MIN_BLOCK} bytes")]
    BlockTooSmall(u32),
    /// A block or header would not fit into an object.
    #[error("BLOCK and HEADER must not exceed {MAX_DATA_SIZE} bytes, one is {0}")]
    BlockTooLarge(u32),
}

/// Parses any text and checks that what is accepted survives its own text form; for fuzzing.
pub fn fuzz_params(text: &str) {
    if let Ok(params) = text.parse::<ChunkerParams>() {
        assert_eq!(params.to_string().parse(), Ok(params));
        assert!(params.max_chunk_size() <= MAX_DATA_SIZE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `text` is accepted and written as `expected`.
    #[track_caller]
    fn accepts(text: &str, expected: &str) {
        assert_eq!(text.parse::<ChunkerParams>().unwrap().to_string(), expected);
    }

    /// Checks that `text` is refused with a message that contains `reason`.
    #[track_caller]
    fn refuses(text: &str, reason: &str) {
        let message = text.parse::<ChunkerParams>().unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }

    #[test]
    fn borgs_option_text() {
        // Each accepted by borg 1.4.5 with this result.
        accepts("default", "buzhash,19,23,21,4095");
        accepts(" Default ", "buzhash,19,23,21,4095");
        accepts("19,23,21,4095", "buzhash,19,23,21,4095");
        accepts("BUZHASH,19, 23,21,4095", "buzhash,19,23,21,4095");
        accepts("buzhash,10,23,16,4095", "buzhash,10,23,16,4095");
        accepts("fixed,4096", "fixed,4096");
        accepts("fixed,4096,0", "fixed,4096");
        accepts("fixed,4096,512", "fixed,4096,512");
        accepts("FIXED,64", "fixed,64");
        accepts("fixed,20971479,20971479", "fixed,20971479,20971479");
    }

    #[test]
    fn borgs_limits() {
        for text in ["", "rabin", "fixed", "default,1", "buzhash", "19,23,21", "x,19,23,21,4095", "fixed,64,64,64,64"] {
            refuses(text, "is not a way to cut chunks");
        }
        for text in ["x,19,23,21", "buzhash,19,23,21", "fixed,1,2,3", "fixed,", "fixed,4294967296", "fixed,64,-1"] {
            refuses(text, "is not a number");
        }
        refuses("10,23,9,4095", "must not decrease");
        refuses("10,20,21,4095", "must not decrease");
        refuses("5,23,21,4095", "MIN_EXP 5");
        refuses("6,24,21,4095", "MAX_EXP 24");
        refuses("10,20,16,4094", "WINDOW 4094 is even");
        refuses("10,20,16,0", "WINDOW 0 is even");
        refuses("fixed,63", "BLOCK 63");
        refuses("fixed,20971480", "20971480");
        refuses("fixed,64,20971480", "20971480");
    }

    #[test]
    fn the_window_must_fit_between_minimum_and_maximum() {
        // Where borg's chunker says "too small max_size".
        accepts("6,7,6,63", "buzhash,6,7,6,63");
        refuses("6,7,6,65", "WINDOW 65 is too large");
        refuses("6,6,6,1", "WINDOW 1 is too large");
        accepts("10,23,16,8387583", "buzhash,10,23,16,8387583");
        refuses("10,23,16,8387585", "WINDOW 8387585 is too large");
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "(default|buzhash|fixed|[0-9]{1,9})(,-?[0-9]{1,8}){0,5}|\\PC{0,20}") {
            fuzz_params(&text);
        }
    }
}
