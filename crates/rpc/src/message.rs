//! Puts messages together without copying the objects in them.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use worldkeeper_core::msgpack::Encoder;

/// What an object holds; shown by its length alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Below this, an own piece costs more than a copy.
const COPIED_BYTES: usize = 4096;

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Message {
    pieces: Vec<Bytes>,
    encoder: Encoder,
}

impl Message {
    /// What the next value is written with.
    pub(crate) fn encoder(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// Writes a payload, which becomes a piece of its own if it is long.
    pub(crate) fn payload(&mut self, payload: &Payload) {
        let bytes = &payload.0;
        self.encoder.raw_head(bytes.len());
        if bytes.len() < COPIED_BYTES {
            self.encoder.packed(bytes);
        } else {
            self.flush();
            self.pieces.push(bytes.clone());
        }
    }

    fn flush(&mut self) {
        let written = std::mem::take(&mut self.encoder).finish();
        if !written.is_empty() {
            self.pieces.push(written.into());
        }
    }
}

/// Messages that are to be sent, and the pieces they consist of.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    messages: VecDeque<VecDeque<Bytes>>,
    /// How many messages have been begun: how many of them a peer may know of.
    begun: u64,
    /// Something of the front message has been handed out.
    is_front_begun: bool,
}

impl Outbox {
    /// Queues a message and says how long it is.
    pub(crate) fn push(&mut self, mut message: Message) -> usize {
        message.flush();
        let len = message.pieces.iter().map(Bytes::len).sum();
        self.messages.push_back(message.pieces.into());
        len
    }

    /// The next piece to be sent.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let front = self.messages.front_mut()?;
        let piece = front.pop_front()?;
        if !self.is_front_begun {
            self.begun += 1;
        }
        self.is_front_begun = !front.is_empty();
        if front.is_empty() {
            self.messages.pop_front();
        }
        Some(piece)
    }

    /// How many messages have been handed out, the last perhaps in part.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Returns whether all has been handed out.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &Bytes) -> Message {
        let mut message = Message::default();
        message.encoder().array(2);
        message.payload(&Payload(payload.clone()));
        message.encoder().nil();
        message
    }

    #[test]
    fn a_long_payload_is_handed_out_as_it_is() {
        let payload = Bytes::from(vec![7; COPIED_BYTES]);
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(message(&payload)), 1 + 3 + COPIED_BYTES + 1);
        let pieces: Vec<_> = std::iter::from_fn(|| outbox.pop()).collect();
        assert_eq!(pieces[0], b"\x92\xda\x10\x00"[..]);
        assert_eq!(pieces[1].as_ptr(), payload.as_ptr(), "not copied");
        assert_eq!(pieces[2], b"\xc0"[..]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_message_counts_as_begun_with_its_first_piece() {
        let mut outbox = Outbox::default();
        outbox.push(message(&vec![7; COPIED_BYTES].into()));
        outbox.push(message(&Bytes::from_static(b"short")));
        let begun: Vec<_> = std::iter::from_fn(|| outbox.pop().map(|_| outbox.begun())).collect();
        assert_eq!(begun, [1, 1, 1, 2]);
    }
}
