//! Reading ahead: what will be asked for soon is asked for now.
//!
//! What was announced waits in a queue. As much of it is asked for as the budget allows for objects that are on their way or
//! have come and were not taken; whatever is taken makes room for more. Far from the server it is what is on its way that counts, so
//! of small objects there are many; how small they are has to be known beforehand.

use std::collections::{HashMap, VecDeque};

use worldkeeper_core::ChunkId;
use worldkeeper_core::repository::Announced;
use worldkeeper_rpc::{Call, Client, MsgId, Outcome, Payload, Reply};

/// Objects that may be on their way or wait to be taken.
const MAX_OBJECTS: usize = 512;
/// And what they may take, by what was announced.
const MAX_BYTES: usize = 24 << 20;
/// What an object may have of which that is not known: less is no reason to ask for more of them.
const UNKNOWN_BYTES: usize = MAX_BYTES / 64;
/// What is held at most, whatever was announced: a server can send what it likes.
const MAX_HELD: usize = 4 * MAX_BYTES;
/// Announced ids that are remembered: a hint, not a promise.
const MAX_WANTED: usize = 1 << 17;

/// What was announced, and how far it is.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    wanted: VecDeque<Announced>,
    /// How often each is in the queue, less those that were asked for in another way meanwhile.
    open: HashMap<ChunkId, u32>,
    by_request: HashMap<MsgId, Request>,
    objects: HashMap<ChunkId, State>,
    /// Those that are here, in the order in which they came, and some that were taken.
    here: VecDeque<ChunkId>,
    /// Bytes of the objects that have come, and those that are expected of others.
    held: usize,
    coming: usize,
    /// A middle size of objects.
    usual: usize,
    /// The last one whose size was announced had more than twice that: as some have since others were compressed anew.
    is_understated: bool,
}

/// What was asked for.
#[derive(Debug)]
struct Request {
    /// Which object; `None` where nobody wants it any more.
    id: Option<ChunkId>,
    /// What it was expected to have, and what was announced.
    bytes: usize,
    csize: Option<u32>,
}

#[derive(Debug)]
enum State {
    Coming,
    Here(Outcome),
}

impl ReadAhead {
    /// Notes what will be asked for.
    pub(super) fn want(&mut self, objects: &mut dyn Iterator<Item = Announced>) {
        let room = MAX_WANTED.saturating_sub(self.wanted.len());
        for announced in objects.take(room) {
            self.wanted.push_back(announced);
            *self.open.entry(announced.id).or_default() += 1;
        }
    }

    /// Notes that an object is asked for that is not on its way. Where there is no room for more, what waits longest to be
    /// taken makes some: perhaps nobody will.
    pub(super) fn missed(&mut self, id: &ChunkId) {
        self.skip(id);
        if self.objects.len() >= MAX_OBJECTS || self.held > MAX_BYTES / 2 {
            while let Some(oldest) = self.here.pop_front() {
                if self.drop_held(&oldest) {
                    break;
                }
            }
        }
    }

    /// Counts an announcement less.
    fn skip(&mut self, id: &ChunkId) {
        if let Some(count) = self.open.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(id);
            }
        }
    }

    /// Returns whether it is on its way, or here.
    pub(super) fn is_coming(&self, id: &ChunkId) -> bool {
        self.objects.contains_key(id)
    }

    /// Takes what has come; `None` as long as it is on its way, `Some(None)` if nobody has asked for it, or somebody has
    /// taken it.
    #[expect(clippy::option_option, reason = "the outer is the wait, the inner what it ends with")]
    pub(super) fn take(&mut self, id: &ChunkId) -> Option<Option<Outcome>> {
        match self.objects.get(id) {
            Some(State::Coming) => None,
            Some(State::Here(_)) => {
                let Some(State::Here(outcome)) = self.objects.remove(id) else { unreachable!("it is here") };
                self.held -= size(&outcome);
                if self.objects.is_empty() {
                    self.here.clear();
                }
                Some(Some(outcome))
            }
            None => Some(None),
        }
    }

    /// Forgets what is known of an object; one that is on its way is dropped when it comes.
    pub(super) fn forget(&mut self, id: &ChunkId) {
        if !self.drop_held(id) && self.objects.remove(id).is_some() {
            for request in self.by_request.values_mut().filter(|request| request.id == Some(*id)) {
                request.id = None;
            }
        }
    }

    /// Drops an object that is here; returns whether it was.
    fn drop_held(&mut self, id: &ChunkId) -> bool {
        let is_here = matches!(self.objects.get(id), Some(State::Here(_)));
        if is_here && let Some(State::Here(outcome)) = self.objects.remove(id) {
            self.held -= size(&outcome);
        }
        is_here
    }

    /// Takes an answer, if it is to something asked for here; else gives it back.
    pub(super) fn arrived(&mut self, msgid: MsgId, outcome: Outcome) -> Option<Outcome> {
        let Some(Request { id, bytes, csize }) = self.by_request.remove(&msgid) else { return Some(outcome) };
        self.coming -= bytes;
        let id = id?;
        let size = size(&outcome);
        if let Some(csize) = csize {
            self.is_understated = size / 2 > csize as usize;
        }
        self.usual = if self.usual == 0 { size } else { (self.usual * 7 + size) / 8 };
        if self.held + size > MAX_HELD && self.held > 0 {
            // Who wants it will ask for it.
            self.objects.remove(&id);
            return None;
        }
        self.held += size;
        self.objects.insert(id, State::Here(outcome));
        self.here.push_back(id);
        if self.here.len() > 2 * MAX_OBJECTS {
            // Most of them were taken.
            self.here.retain(|id| self.objects.contains_key(id));
        }
        None
    }

    /// Asks for as much as there is room for.
    pub(super) fn ask_more(&mut self, client: &mut Client) {
        while let Some(announced) = self.wanted.front().copied() {
            let id = announced.id;
            // Nobody waits for it any more, or it is on its way already: once more would be too much.
            if !self.open.contains_key(&id) || self.objects.contains_key(&id) {
                self.wanted.pop_front();
                self.skip(&id);
                continue;
            }
            let bytes = self.expected(announced);
            let is_too_much = self.held + self.coming + bytes > MAX_BYTES && !self.objects.is_empty();
            let is_full = self.objects.len() >= MAX_OBJECTS || is_too_much;
            let call = Call::Get { id };
            if is_full || !client.has_room(&call) {
                break;
            }
            let Ok(msgid) = client.request(&call) else { break };
            self.wanted.pop_front();
            self.skip(&id);
            self.coming += bytes;
            self.by_request.insert(msgid, Request { id: Some(id), bytes, csize: announced.csize });
            self.objects.insert(id, State::Coming);
        }
        if self.wanted.is_empty() {
            self.open.clear();
        }
    }

    /// How many bytes it will have, as far as can be told.
    fn expected(&self, announced: Announced) -> usize {
        match announced.csize {
            Some(csize) if self.is_understated => self.usual.max(csize as usize),
            Some(csize) => csize as usize,
            None if self.usual == 0 => 1 << 20,
            None => self.usual.max(UNKNOWN_BYTES),
        }
    }
}

fn size(outcome: &Outcome) -> usize {
    match outcome {
        Ok(Reply::Data(Payload(bytes))) => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ChunkId {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        ChunkId(id)
    }

    #[test]
    fn what_was_taken_leaves_nothing_behind() {
        let mut ahead = ReadAhead::default();
        let arrive = |ahead: &mut ReadAhead, number: u32| {
            ahead.by_request.insert(MsgId(number.into()), Request { id: Some(id(number)), bytes: 0, csize: None });
            ahead.objects.insert(id(number), State::Coming);
            let object = Payload(vec![1; 100].into());
            assert!(ahead.arrived(MsgId(number.into()), Ok(Reply::Data(object))).is_none());
        };
        // One is never taken, so that there is no moment without any.
        arrive(&mut ahead, 0);
        for number in 1..10_000 {
            arrive(&mut ahead, number);
            assert!(matches!(ahead.take(&id(number)), Some(Some(Ok(_)))));
            assert!(ahead.here.len() <= 2 * MAX_OBJECTS, "object {number}");
        }
        assert_eq!((ahead.held, ahead.objects.len(), ahead.by_request.len()), (100, 1, 0));
        assert!(ahead.here.contains(&id(0)));
    }

    #[test]
    fn what_a_server_sends_beyond_all_measure_is_not_held() {
        let mut ahead = ReadAhead::default();
        let object = Payload(vec![1; 1 << 20].into());
        for number in 0..500 {
            ahead.by_request.insert(MsgId(number), Request { id: Some(id(number as u32)), bytes: 0, csize: None });
            ahead.objects.insert(id(number as u32), State::Coming);
            assert!(ahead.arrived(MsgId(number), Ok(Reply::Data(object.clone()))).is_none());
        }
        assert_eq!((ahead.held, ahead.objects.len()), (MAX_HELD, MAX_HELD >> 20));
        assert!(matches!(ahead.take(&id(0)), Some(Some(Ok(_)))));
        assert!(matches!(ahead.take(&id(499)), Some(None)), "who wants it asks for it");
    }

    #[test]
    fn what_had_more_than_was_announced_is_believed_no_longer() {
        let mut ahead = ReadAhead::default();
        let announced = Announced { id: id(0), csize: Some(10) };
        for (len, expected) in [(10, 10), (1 << 20, 1 << 17), (15, 10)] {
            ahead.by_request.insert(MsgId(0), Request { id: Some(id(0)), bytes: 0, csize: Some(10) });
            assert!(ahead.arrived(MsgId(0), Ok(Reply::Data(Payload(vec![1; len].into())))).is_none());
            assert_eq!(ahead.expected(announced) & !0xff, expected & !0xff, "{len} bytes");
            assert!(matches!(ahead.take(&id(0)), Some(Some(Ok(_)))));
        }
    }
}
