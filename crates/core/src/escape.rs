//! Text from files, archives and other programs, made fit for a terminal and a log.

use std::borrow::Cow;

/// Replaces what could steer a terminal, break a line or turn text around. Everything else stays as it is.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Like [`escape`], for bytes that are perhaps no text.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            escaped.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    escaped
}

/// Controls, line and paragraph separators, marks of direction, and what has no width.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_what_steers_a_terminal_goes() {
        for (text, expected) in [
            ("wörld/☃ \"it's\"\\", "wörld/☃ \"it's\"\\"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\u{0}"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
        ] {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(escape_bytes(b"r.\xff\xc3\xa4\n"), "r.\\xffä\\n");
    }
}
