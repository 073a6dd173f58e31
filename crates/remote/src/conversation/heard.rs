//! Lines of a server that somebody listens to, until they are taken. Bounded, whatever it says and however slow the listener is.

use std::collections::VecDeque;

use worldkeeper_rpc::stderr::Line;

/// What waits at most: so many lines, and so many bytes of text. What is more is not heard.
const MAX_LINES: usize = 10_000;
const MAX_BYTES: usize = 4 << 20;

/// Lines in their order.
#[derive(Debug, Default)]
pub(super) struct Heard {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Heard {
    pub(super) fn push(&mut self, line: Line) {
        let bytes = self.bytes + len(&line);
        if self.lines.len() < MAX_LINES && bytes <= MAX_BYTES {
            self.bytes = bytes;
            self.lines.push_back(line);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.bytes -= len(&line);
        Some(line)
    }
}

fn len(line: &Line) -> usize {
    match line {
        Line::Log(message) => message.message.len(),
        Line::Text(text) => text.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_is_said_little_is_kept() {
        let mut heard = Heard::default();
        let line = |len| Line::Text("x".repeat(len));
        (0..1_000).for_each(|_| heard.push(line(64 << 10)));
        assert_eq!((heard.lines.len(), heard.bytes), (64, MAX_BYTES));
        while heard.pop().is_some() {}
        assert_eq!(heard.bytes, 0);
        (0..20_000).for_each(|_| heard.push(line(1)));
        assert_eq!(heard.lines.len(), MAX_LINES);
    }
}
