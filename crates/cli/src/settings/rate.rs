//! Rates as people write them: `5MiB` per second, `40Mbit`, or KiB as a bare number, as borg takes it.

use std::num::NonZeroU64;

use worldkeeper_remote::UploadLimit;

/// The units, and how many bits each has. Lines are sold in bits, files are counted in bytes.
const UNITS: [(&str, u64); 9] = [
    ("kib", 8 << 10),
    ("mib", 8 << 20),
    ("gib", 8 << 30),
    ("kb", 8_000),
    ("mb", 8_000_000),
    ("gb", 8_000_000_000),
    ("kbit", 1_000),
    ("mbit", 1_000_000),
    ("gbit", 1_000_000_000),
];

const MIN: u64 = UploadLimit::MIN_RATE;

/// Not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RateError {
    /// Not of the form.
    #[error(
        "expected how much is sent in a second, like 5MiB, 500KiB or 40Mbit, or a number of KiB, or 0 for no limit"
    )]
    Form,
    /// Less than can be worked with.
    #[error("a rate is at least 1KiB in a second")]
    TooLow,
}

/// Reads a rate, in bytes per second; `None` is no limit. What is before the unit may have a fraction, `/s` may be behind it.
pub(super) fn parse(text: &str) -> Result<Option<NonZeroU64>, RateError> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("/s").unwrap_or(&text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let bits = match unit.trim_start() {
        "" => 8 << 10,
        unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or(RateError::Form)?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // A fraction of more digits changes nothing, and a rate of more digits is no limit to anything.
    if whole.is_empty() || whole.len() > 9 || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return Err(RateError::Form);
    }
    let digits = |text: &str| text.parse::<u128>().map_err(|_| RateError::Form);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).expect("at most nine digits"));
    let bytes = (digits(whole)? * scale + digits(fraction)?) * u128::from(bits) / 8 / scale;
    match u64::try_from(bytes).expect("below 10^9 gigabytes") {
        0 if whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0') => Ok(None),
        0..MIN => Err(RateError::TooLow),
        bytes => Ok(NonZeroU64::new(bytes)),
    }
}

/// Writes a rate for people, and so that [`parse`] reads about the same.
pub(super) fn to_text(rate: Option<NonZeroU64>) -> String {
    let Some(rate) = rate else { return "none".to_owned() };
    let (unit, bytes) = [("GiB", 1_u64 << 30), ("MiB", 1 << 20)]
        .into_iter()
        .find(|(_, bytes)| rate.get() >= *bytes)
        .unwrap_or(("KiB", 1 << 10));
    let hundredths = (u128::from(rate.get()) * 100 / u128::from(bytes)) as u64;
    let fraction = match hundredths % 100 {
        0 => String::new(),
        rest => format!(".{rest:02}").trim_end_matches('0').to_owned(),
    };
    format!("{}{fraction}{unit}/s", hundredths / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, bytes, written) in [
            ("5MiB", 5 << 20, "5MiB/s"),
            (" 500 KiB/s ", 500 << 10, "500KiB/s"),
            ("512", 512 << 10, "512KiB/s"),
            ("1.5mib", 3 << 19, "1.5MiB/s"),
            ("2GB", 2_000_000_000, "1.86GiB/s"),
            ("40Mbit", 5_000_000, "4.76MiB/s"),
            ("10Mbit/s", 1_250_000, "1.19MiB/s"),
            ("1kib", 1_024, "1KiB/s"),
            ("999999999GiB", 999_999_999 << 30, "999999999GiB/s"),
        ] {
            let rate = parse(text).unwrap();
            assert_eq!((rate.map(NonZeroU64::get), to_text(rate).as_str()), (Some(bytes), written), "{text}");
        }
        for text in ["0", "0MiB", "0.0"] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
        assert_eq!(to_text(None), "none");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "+1",
            "5M",
            "5MB/m",
            "fast",
            "1..5",
            "1.5.5",
            ".5",
            "5.",
            "1e3",
            "5 MiB x",
            "ü",
            "1000000000",
        ] {
            assert_eq!(parse(text), Err(RateError::Form), "{text:?}");
        }
        for text in ["1kbit", "0.5", "0.000000001gib", "1000bit"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
