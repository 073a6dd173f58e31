//! Finds the messages in what comes in: MessagePack values back to back, in pieces of any size.
//!
//! Nothing on the wire says how long a message is but the lengths inside it. One that announces more than its receiver
//! can have asked for is refused as soon as it announces that, before its bytes have come.

use bytes::{Bytes, BytesMut};
use worldkeeper_core::msgpack::{DecodeError, Scanner};

use crate::ProtocolError;

/// Bytes that came in and belong to no message yet.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: BytesMut,
    /// How far the message at the front of the buffer has been looked at.
    scanner: Scanner,
}

impl Default for Frames {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), scanner: Scanner::with_floats() }
    }
}

impl Frames {
    /// Takes bytes that came in.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Takes the next message; `None` until all of it has come.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Bytes>, ProtocolError> {
        let scanned = self.scanner.scan(&self.buffer);
        let least = self.scanner.least_len();
        if least > limit as u64 {
            return Err(ProtocolError::TooLong { least, limit });
        }
        match scanned {
            Ok(None) => {
                // Room for the rest at once: to grow piece by piece would copy what is there again and again. It is within
                // the limit, and memory that nothing is written to costs nothing.
                let len = usize::try_from(least).expect("it is at most the limit");
                self.buffer.reserve(len.saturating_sub(self.buffer.len()));
                Ok(None)
            }
            Ok(Some(len)) => {
                self.scanner = Scanner::with_floats();
                Ok(Some(self.buffer.split_to(len).freeze()))
            }
            Err(source) => Err(self.malformed(source)),
        }
    }

    /// Shows what stands where a message should be: mostly it is text that a login script has printed.
    fn malformed(&self, source: DecodeError) -> ProtocolError {
        ProtocolError::malformed(&self.buffer, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_their_bytes_are_cut() {
        let messages: [&[u8]; 3] =
            [b"\x82\xa1i\x01\xa1r\xc0", b"\x94\x01\x02\xc0\xcb\0\0\0\0\0\0\0\0", b"\xda\x00\x03abc"];
        let stream = messages.concat();
        for piece in 1..=stream.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for bytes in stream.chunks(piece) {
                frames.receive(bytes);
                while let Some(message) = frames.next(100).unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, messages, "in pieces of {piece}");
            assert_eq!(frames.len(), 0);
        }
    }

    #[test]
    fn a_length_that_is_too_long_is_refused_before_anything_of_it_has_come() {
        for announced in
            [&b"\xdb\xff\xff\xff\xff"[..], b"\xdd\xff\xff\xff\xff", b"\x91\xdf\xff\xff\xff\xff", b"\xda\x00\x62"]
        {
            let mut frames = Frames::default();
            frames.receive(announced);
            let error = frames.next(100).unwrap_err();
            assert!(matches!(error, ProtocolError::TooLong { limit: 100, .. }), "{error}");
        }
        let mut frames = Frames::default();
        frames.receive(b"\xda\x00\x61");
        assert_eq!(frames.next(100).unwrap(), None, "just as long as it may be");
    }

    #[test]
    fn a_long_message_is_not_moved_while_it_comes_and_its_room_is_used_again() {
        let mut frames = Frames::default();
        // A bin 32 of a million zeros.
        let mut head = vec![0xc6];
        head.extend(1_000_000_u32.to_be_bytes());
        let mut room = None;
        for _ in 0..3 {
            frames.receive(&head);
            assert_eq!(frames.next(1 << 20).unwrap(), None);
            let place = *room.get_or_insert(frames.buffer.as_ptr());
            assert_eq!(frames.buffer.as_ptr(), place);
            for _ in 0..10 {
                frames.receive(&vec![0; 100_000]);
                assert_eq!(frames.buffer.as_ptr(), place);
            }
            assert_eq!(frames.next(1 << 20).unwrap().unwrap().len(), 1_000_005);
        }
    }
}
