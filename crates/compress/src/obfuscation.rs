//! How much padding hides the size of a payload: borg's `obfuscate`.

use std::fmt;

use worldkeeper_core::MAX_DATA_SIZE;

/// How much padding a payload gets; borg's numbers for it are its text form.
///
/// | level      | padding                                                                                       |
/// |------------|-----------------------------------------------------------------------------------------------|
/// | 1 to 6     | the payload's size times 0.001 · 10^level / r for a random r in 0..1: mostly little, at times much |
/// | 110 to 123 | random, less than 2^(level - 100) bytes: 1 KiB to 8 MiB                                        |
/// | 250        | up to the next size that Padmé has, at most 12 % more; not random                              |
///
/// Source: borg 1.4 `compress.pyx`, `ObfuscateSize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Obfuscation {
    Relative(u8),
    Random(u8),
    Padme,
}

impl Obfuscation {
    /// The obfuscation with this number, if borg has it.
    pub(crate) fn from_level(level: u8) -> Option<Self> {
        match level {
            1..=6 => Some(Self::Relative(level)),
            110..=123 => Some(Self::Random(level)),
            250 => Some(Self::Padme),
            _ => None,
        }
    }

    /// How many bytes to put behind a payload of `size` bytes. `random` is asked once, if at all, for 0 or more and
    /// less than 1.
    pub(crate) fn padding<E>(self, size: usize, random: impl FnOnce() -> Result<f64, E>) -> Result<usize, E> {
        let padding = match self {
            Self::Relative(level) => {
                let factor = 0.001 * f64::from(10_u32.pow(u32::from(level))) / random()?.max(SMALLEST_DIVISOR);
                (size as f64 * factor) as usize
            }
            Self::Random(level) => (f64::from(1_u32 << (level - 100)) * random()?) as usize,
            Self::Padme => padme(size),
        };
        Ok(padding.min((MAX_DATA_SIZE - HEADROOM).saturating_sub(size)))
    }
}

impl fmt::Display for Obfuscation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(level) | Self::Random(level) => write!(f, "{level}"),
            Self::Padme => f.write_str("250"),
        }
    }
}

/// Keeps the padding finite.
const SMALLEST_DIVISOR: f64 = 0.0001;

/// How far padding stays away from the largest object, in bytes; what encryption adds fits in there.
const HEADROOM: usize = 1024;

/// What is missing to the next size that is a floating point number with as many bits of mantissa as its exponent
/// takes itself.
///
/// Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019.
fn padme(size: usize) -> usize {
    let Some(exponent) = size.checked_ilog2().filter(|&exponent| exponent > 0) else { return 0 };
    let mantissa_bits = exponent.ilog2() + 1;
    size.wrapping_neg() & ((1 << (exponent - mantissa_bits)) - 1)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde::Deserialize;
    use worldkeeper_testkit::fixtures;

    use super::*;

    /// The padding of `size` bytes when the random number is `random`.
    fn padding(level: u8, size: usize, random: f64) -> usize {
        let obfuscation = Obfuscation::from_level(level).unwrap();
        let Ok(padding) = obfuscation.padding(size, || Ok::<_, Infallible>(random));
        padding
    }

    #[test]
    fn padme_as_stock_does_it() {
        #[derive(Deserialize)]
        struct Vectors {
            padme_padding: Padme,
        }
        #[derive(Deserialize)]
        struct Padme {
            pairs: Vec<(usize, usize)>,
        }
        let pairs = fixtures::json::<Vectors>("vectors/compression.json").padme_padding.pairs;
        assert_eq!(pairs.len(), 32);
        for (size, expected) in pairs {
            assert_eq!(Obfuscation::Padme.padding(size, || Err("Padmé is not random")), Ok(expected), "{size} bytes");
        }
    }

    #[test]
    fn relative_and_random_as_stock_does_it() {
        // What borg 1.4.5 adds when its random number is this one.
        assert_eq!(padding(1, 1000, 0.5), 20);
        assert_eq!(padding(1, 1000, 0.001), 10_000);
        assert_eq!(padding(2, 12_345, 0.9), 1371);
        assert_eq!(padding(3, 61, 0.123), 495);
        assert_eq!(padding(3, 900, 0.0), 9_000_000);
        assert_eq!(padding(4, 1000, 0.25), 40_000);
        assert_eq!(padding(5, 77, 0.7), 11_000);
        assert_eq!(padding(6, 3, 0.999), 3003);
        assert_eq!(padding(6, 1000, 0.0), 20_969_455);
        assert_eq!(padding(110, 61, 0.0), 0);
        assert_eq!(padding(110, 61, 0.999_999), 1023);
        assert_eq!(padding(115, 2, 0.5), 16_384);
        assert_eq!(padding(123, 100_000, 0.75), 6_291_456);
        assert_eq!(padding(123, 20_000_000, 0.75), 970_455);
    }

    #[test]
    fn the_largest_object_is_not_exceeded() {
        for level in (1..=6).chain(110..=123).chain([250]) {
            for size in [MAX_DATA_SIZE - 1025, MAX_DATA_SIZE - 1024, MAX_DATA_SIZE - 1023, MAX_DATA_SIZE, usize::MAX] {
                let room = (MAX_DATA_SIZE - 1024).saturating_sub(size);
                assert!(padding(level, size, 0.999) <= room, "level {level}, {size} bytes");
            }
        }
        assert_eq!(padding(6, 1 << 20, 0.0), MAX_DATA_SIZE - 1024 - (1 << 20));
    }

    #[test]
    fn levels_that_borg_does_not_have() {
        let levels = (0..=u8::MAX).filter(|&level| Obfuscation::from_level(level).is_some());
        assert!(levels.eq((1..=6).chain(110..=123).chain([250])));
    }

    #[test]
    fn without_randomness_there_is_no_padding() {
        for level in [1, 6, 110, 123] {
            let obfuscation = Obfuscation::from_level(level).unwrap();
            assert_eq!(obfuscation.padding(1000, || Err("broken")), Err("broken"));
        }
    }
}
