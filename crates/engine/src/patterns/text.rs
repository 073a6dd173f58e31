//! Bytes as text that can be matched letter by letter, and the lines of a file of patterns.

use std::borrow::Cow;

/// What bytes that are no UTF-8 stand as: the first of 256 code points that no name uses, at the very end of a plane
/// for private use. Stock takes lone surrogates, which text cannot hold here; one letter for each such byte it is there
/// too.
const STAND_INS: u32 = 0x0010_ff00;

/// Bytes as text.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|&byte| char::from_u32(STAND_INS + u32::from(byte))));
    }
    Cow::Owned(text)
}

/// The bytes that [`decode`] made text of.
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for letter in text.chars() {
        // Bytes below 0x80 are always UTF-8.
        match u32::from(letter).checked_sub(STAND_INS) {
            Some(byte @ 0x80..=0xff) => bytes.push(byte as u8),
            _ => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The lines that say something, with their numbers: no empty ones, no comments, no space around.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split('\n').enumerate();
    // Python's text files end a line at a lone \r, too.
    let lines =
        lines.flat_map(|(index, line)| line.split('\r').map(move |line| (index + 1, line.trim_matches(is_space))));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Returns whether Python's `str.strip` takes a letter away.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}
