//! A copy of a key as a web page, to be printed: a QR code, and below it the same to be typed in.
//!
//! The page loads nothing, and runs nothing. What is scanned from it is the text of a key file, as `key import` and stock
//! borg take it.

use std::fmt::Write as _;

use qrcode::types::QrError;
use qrcode::{Color, EcLevel, QrCode};
use worldkeeper_crypto::{KeyFile, PaperKey};

/// Makes the page.
///
/// # Errors
///
/// If the key is too long for a QR code; none of borg's is.
pub(super) fn page(key_file: &KeyFile) -> Result<String, QrError> {
    let text = key_file.to_string();
    // So that a fold or a stain does no harm, unless it has to be a long one.
    let code = QrCode::with_error_correction_level(&text, EcLevel::M)
        .or_else(|_| QrCode::with_error_correction_level(&text, EcLevel::L))?;
    Ok(format!(
        include_str!("page.html"),
        id = key_file.repository_id,
        side = code.width() + 2 * QUIET_ZONE,
        path = path(&code),
        text = text,
        paper = PaperKey(key_file),
    ))
}

/// The dark modules as one path, each run of them in a row as a rectangle.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(code.width()).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|left, right| left == right) {
            if run[0] == Color::Dark {
                let (x, y, len) = (x + QUIET_ZONE, y + QUIET_ZONE, run.len());
                write!(path, "M{x} {y}h{len}v1h-{len}z").expect("a text takes what is written");
            }
            x += run.len();
        }
    }
    path
}

/// What must stay empty around the code, in modules.
const QUIET_ZONE: usize = 4;

#[cfg(test)]
mod tests {
    use rqrr::PreparedImage;
    use worldkeeper_core::RepositoryId;
    use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob};

    use super::*;

    /// The pixels of a module's side.
    const SCALE: usize = 4;

    fn key_file(mode: EncryptionMode) -> KeyFile {
        let repository_id = RepositoryId([0xab; 32]);
        let mut drawn = 1_u32;
        let mut random = |bytes: &mut [u8]| {
            bytes.fill_with(|| {
                drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (drawn >> 24) as u8
            });
        };
        let key = Key::generate(mode, repository_id, &mut random);
        KeyFile { repository_id, blob: KeyBlob::seal(&key, "p", &mut random) }
    }

    /// What somebody scans who holds a camera to the page.
    fn scanned(page: &str) -> String {
        let between = |from: &str, to: &str| page.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
        let side: usize = between("viewBox=\"0 0 ", " ").parse().unwrap();
        let mut is_dark = vec![false; side * side];
        for rectangle in between("<path d=\"", "\"").split('M').filter(|rectangle| !rectangle.is_empty()) {
            let mut numbers = rectangle.split([' ', 'h', 'v', '-', 'z']).filter_map(|number| number.parse().ok());
            let (x, y, len): (usize, usize, usize) =
                (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap());
            is_dark[y * side + x..][..len].fill(true);
        }
        let pixel = |x, y| if is_dark[y / SCALE * side + x / SCALE] { 20 } else { 240 };
        let mut image = PreparedImage::prepare_from_greyscale(side * SCALE, side * SCALE, pixel);
        let codes = image.detect_grids();
        assert_eq!(codes.len(), 1);
        codes[0].decode().unwrap().1
    }

    #[test]
    fn what_is_scanned_is_the_key_file() {
        for mode in EncryptionMode::ALL.into_iter().filter(|mode| *mode != EncryptionMode::None) {
            let key_file = key_file(mode);
            let page = page(&key_file).unwrap();
            let text = scanned(&page);
            assert_eq!(text, key_file.to_string());
            assert_eq!(text.parse(), Ok(key_file.clone()));
            assert!(page.contains(&text) && page.contains(&PaperKey(&key_file).to_string()), "it can be typed, too");
        }
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let page = page(&key_file(EncryptionMode::RepokeyBlake2)).unwrap();
        for word in ["http", "src=", "href=", "url(", "<script", "@import", "{id}", "{{"] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
