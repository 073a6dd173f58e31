//! Sizes as borg writes them: two of its exceptions carry numbers of bytes as text.

const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/// Formats a number of bytes: `0 B`, `10.00 MB`.
///
/// Source: borg 1.4 `helpers/parseformat.py`, `format_file_size`.
pub fn format(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64;
    let mut unit = 0;
    while (size * 100.0).round() / 100.0 >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.2} {}", UNITS[unit])
}

/// The number of bytes, as far as the text tells.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ')?;
    let power = UNITS.iter().position(|known| *known == unit)?;
    let bytes = number.parse::<f64>().ok()? * 1000f64.powi(power as i32);
    bytes.is_finite().then_some(bytes.round().max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_borg_writes_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (999_990, "999.99 kB"),
            (999_999, "1.00 MB"),
            (10_000_000, "10.00 MB"),
            (1_234_567_890_123, "1.23 TB"),
        ] {
            assert_eq!(format(bytes), text);
        }
        assert_eq!(parse("10.00 MB"), Some(10_000_000));
        assert_eq!(parse("512 B"), Some(512));
        for wrong in ["", "10", "10 MiB", "x MB", "inf B", "-1 B x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
