//! Cuts the error stream into lines, however it comes and however much of it.

use super::Line;

/// The longest line that is kept whole.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Lines of a server's error stream. A line ends with a newline, or with a carriage return as progress does.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line that has not ended yet.
    open: Vec<u8>,
    /// The rest of the line is dropped, it was too long.
    is_cut: bool,
}

impl Lines {
    /// Takes bytes of the stream and returns the lines that end in them. Empty lines are left out; of a line that is
    /// too long, the rest is.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, is_end) = match piece.split_last() {
                Some((b'\n' | b'\r', text)) => (text, true),
                _ => (piece, false),
            };
            if !self.is_cut {
                let room = MAX_LINE_BYTES - self.open.len();
                self.open.extend_from_slice(&text[..text.len().min(room)]);
                self.is_cut = text.len() > room;
            }
            if is_end {
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// The line that has not ended, when the stream has.
    pub fn finish(&mut self) -> Option<Line> {
        self.is_cut = false;
        let line = std::mem::take(&mut self.open);
        if line.is_empty() { None } else { Some(Line::parse(&line)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn lines_are_found_however_the_stream_is_cut() {
        let stream = b"one\r\ntwo\rthree\n\nfour";
        for piece in 1..=stream.len() {
            let mut lines = Lines::default();
            let mut found: Vec<_> = stream.chunks(piece).flat_map(|bytes| lines.receive(bytes)).collect();
            found.extend(lines.finish());
            assert_eq!(found, ["one", "two", "three", "four"].map(text), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory_without_end() {
        let mut lines = Lines::default();
        for _ in 0..200 {
            assert_eq!(lines.receive(&[b'x'; 1000]), []);
            assert!(lines.open.capacity() <= 2 * MAX_LINE_BYTES);
        }
        assert_eq!(lines.receive(b"tail\nnext\n"), [text(&"x".repeat(MAX_LINE_BYTES)), text("next")]);
    }
}
