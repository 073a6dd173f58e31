//! What is said in the place of an answer: too much, too little, something else, or something of the wrong kind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_remote::{Ended, Incoming};
use worldkeeper_rpc::Call;
use worldkeeper_testkit::fixtures;
use worldkeeper_testkit::random::Random;

/// How many answers of a case are tampered with; those behind are what they should be.
const ATTACKS: usize = 6;

/// So many answers at most come before the first lie: opening takes five, a commit eight more.
const MOST_CALM: usize = 15;

/// What a client was told.
#[derive(Default)]
pub(super) struct Said {
    /// In answer to each GET.
    gets: BTreeMap<ChunkId, Vec<u8>>,
    /// In answer to all others.
    rest: Vec<u8>,
    /// Something in answer to a COMMIT that says that it is done.
    pub(super) done: bool,
    /// That a PUT was refused, in so many words.
    pub(super) refused: bool,
}

impl Said {
    /// Returns whether these bytes were said in answer to a GET of this object.
    pub(super) fn gave(&self, id: &ChunkId, bytes: &[u8]) -> bool {
        self.gets.get(id).is_some_and(|said| contains(said, bytes))
    }

    /// Returns whether this was among the ids that were listed.
    pub(super) fn listed(&self, id: &ChunkId) -> bool {
        contains(&self.rest, &id.0)
    }
}

/// Decides what is said.
pub(super) struct Attacker {
    random: Random,
    recorded: Arc<Vec<Vec<u8>>>,
    said: Arc<Mutex<Said>>,
    /// How many answers were tampered with, in all cases.
    replies: Arc<AtomicUsize>,
    left: usize,
    /// How many answers come before the first of these.
    calm: usize,
    /// The number of the request that is answered.
    msgid: u64,
}

/// What stock's server was recorded to answer.
pub(super) fn recorded() -> Vec<Vec<u8>> {
    const SESSIONS: [&str; 6] = ["create", "check", "list-archive", "missing", "norepo", "prune"];
    let mut replies = Vec::new();
    for name in SESSIONS {
        let recording: serde_json::Value = fixtures::json(&format!("vectors/rpc/borg1.4.5-{name}.json"));
        let messages = recording["messages"].as_array().expect("a recording has messages").iter();
        let messages = messages.filter(|message| message["dir"] == "server->client");
        replies.extend(messages.filter_map(|message| hex::decode(message["hex"].as_str()?).ok()));
    }
    assert!(replies.len() > 50);
    replies
}

impl Attacker {
    pub(super) fn new(
        mut random: Random,
        recorded: Arc<Vec<Vec<u8>>>,
        said: Arc<Mutex<Said>>,
        replies: Arc<AtomicUsize>,
    ) -> Self {
        let calm = random.below(MOST_CALM);
        Self { random, recorded, said, replies, left: ATTACKS, calm, msgid: 0 }
    }

    /// What is sent where this would be the answer.
    pub(super) fn answer(&mut self, call: Option<&Call>, honest: &[u8]) -> Vec<Incoming> {
        self.msgid = if call.is_some() { self.msgid + 1 } else { 1 };
        self.calm = self.calm.saturating_sub(1);
        let is_honest = self.left == 0 || self.calm > 0 || self.random.below(3) != 0;
        let sent = if is_honest {
            vec![Incoming::Output(Bytes::copy_from_slice(honest))]
        } else {
            self.left -= 1;
            self.replies.fetch_add(1, Ordering::SeqCst);
            self.attack(honest.to_vec())
        };
        self.note(call, is_honest && contains(honest, b"exception_class"), &sent);
        sent
    }

    fn note(&self, call: Option<&Call>, is_refusal: bool, sent: &[Incoming]) {
        let mut said = self.said.lock().unwrap();
        let outputs = sent.iter().filter_map(|incoming| match incoming {
            Incoming::Output(bytes) => Some(bytes.as_ref()),
            _ => None,
        });
        let output = outputs.collect::<Vec<_>>().concat();
        said.done |=
            matches!(call, Some(Call::Commit(_))) && (contains(&output, b"\xa1r\xc0") || output.ends_with(b"\xc0"));
        said.refused |= matches!(call, Some(Call::Put { .. })) && is_refusal;
        match call {
            Some(Call::Get { id }) => said.gets.entry(*id).or_default().extend(output),
            _ => said.rest.extend(output),
        }
    }

    /// After something that leaves the client waiting for more, the link ends: each answer is in whole messages, or the last.
    fn attack(&mut self, honest: Vec<u8>) -> Vec<Incoming> {
        let number = self.msgid;
        let recorded = Arc::clone(&self.recorded);
        match self.random.below(14) {
            0 => self.last(|attacker| attacker.mutated(honest)),
            1 => self.last(|attacker| {
                let reply = attacker.random.pick(&recorded).clone();
                attacker.mutated(reply)
            }),
            2 => {
                let reply = self.random.pick(&recorded).clone();
                self.pieces(reply)
            }
            3 => {
                let value = self.value(4);
                self.pieces(reply(number, &value))
            }
            4 => {
                let wrong = *self.random.pick(&[0, number - 1, number + 1, number + 2, u64::MAX]);
                self.pieces(reply(wrong, b"\xc0"))
            }
            5 => self.pieces([&honest[..], &honest].concat()),
            6 => self.last(|attacker| {
                let announced = *attacker.random.pick(&LONG);
                [&reply(number, announced)[..], &attacker.noise(200)].concat()
            }),
            7 => self.last(|attacker| {
                let nested = vec![*attacker.random.pick(b"\x91\x81\x9f\x8f"); attacker.random.below(100_000)];
                reply(number, &nested)
            }),
            8 => {
                let exception = self.exception(number);
                self.pieces(exception)
            }
            9 => {
                let mut sent = self.errors();
                sent.extend(self.pieces(honest));
                sent
            }
            10 => self.last(|attacker| honest[..attacker.random.below(honest.len())].to_vec()),
            11 => self.pieces([&b"Last login: Monday\n"[..], &honest].concat()),
            12 => self.last(|attacker| attacker.noise(100)),
            // Of the right kind, and another one than was asked for.
            _ => {
                let noise = self.noise(300);
                let mut encoder = Encoder::new();
                encoder.raw(&noise);
                self.pieces(reply(number, &encoder.finish()))
            }
        }
    }

    /// Bytes, and then the end.
    fn last(&mut self, bytes: impl FnOnce(&mut Self) -> Vec<u8>) -> Vec<Incoming> {
        let bytes = bytes(self);
        let mut sent = self.pieces(bytes);
        let ends =
            [Ended::Exited(0), Ended::Exited(2), Ended::Killed("SIGKILL".into()), Ended::Lost("it is gone".into())];
        sent.push(Incoming::Ended(self.random.pick(&ends).clone()));
        sent
    }

    /// Bytes in one piece or two.
    fn pieces(&mut self, bytes: Vec<u8>) -> Vec<Incoming> {
        let mut bytes = Bytes::from(bytes);
        let first = bytes.split_to(self.random.below(bytes.len() + 1));
        [first, bytes].into_iter().filter(|piece| !piece.is_empty()).map(Incoming::Output).collect()
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        let len = self.random.below(most);
        (0..len).map(|_| self.random.below(256) as u8).collect()
    }

    fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.random.below(4) {
            let at = self.random.below(bytes.len());
            let end = at + self.random.below(bytes.len() - at + 1).min(32);
            match self.random.below(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.random.below(8),
                1 if at < bytes.len() => bytes[at] = *self.random.pick(&MARKERS),
                2 => _ = bytes.drain(at..end),
                3 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => bytes.truncate(at),
            }
        }
        bytes
    }

    /// A value of any kind.
    fn value(&mut self, depth: usize) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self.random.below(if depth == 0 { 6 } else { 8 }) {
            0 => _ = encoder.nil(),
            1 => _ = encoder.bool(self.random.below(2) == 0),
            2 => _ = encoder.uint(*self.random.pick(&[0, 1, 0x7fff_ffff, 1 << 32, u64::MAX])),
            3 => _ = encoder.int(*self.random.pick(&[-1, -129, i64::MIN])),
            4 => _ = encoder.float(*self.random.pick(&[0.0, -1.5, f64::NAN, f64::INFINITY])),
            5 => _ = encoder.raw(self.noise(64)),
            6 => {
                let len = self.random.below(5);
                encoder.array(len);
                for _ in 0..len {
                    let value = self.value(depth - 1);
                    encoder.packed(&value);
                }
            }
            _ => {
                let len = self.random.below(4);
                encoder.map(len);
                for _ in 0..2 * len {
                    let value = self.value(depth - 1);
                    encoder.packed(&value);
                }
            }
        }
        encoder.finish()
    }

    /// An exception: one of borg's with arguments that it never has, or one of nobody's.
    fn exception(&mut self, number: u64) -> Vec<u8> {
        const CLASSES: [&str; 8] = [
            "ObjectNotFound",
            "LockTimeout",
            "StorageQuotaExceeded",
            "IntegrityError",
            "DoesNotExist",
            "PathNotAllowed",
            "",
            "\x1b]0;owned\x07",
        ];
        let class = *self.random.pick(&CLASSES);
        let arguments = self.value(2);
        let mut encoder = Encoder::new();
        encoder.map(6).raw("i").uint(number).raw("exception_class").raw(class).raw("exception_args").packed(&arguments);
        for key in ["exception_full", "exception_short", "sysinfo"] {
            encoder.raw(key).raw("\x1b[31mred\n\r\u{202e}text\0");
        }
        encoder.finish()
    }

    /// Far more on the error stream than anybody has to say.
    fn errors(&mut self) -> Vec<Incoming> {
        let text = *self.random.pick(&TEXTS);
        let piece = Bytes::from(text.repeat(1 + self.random.below(200)));
        vec![Incoming::Errors(piece); self.random.below(8)]
    }
}

/// An answer in the form that is spoken today, with this value.
fn reply(number: u64, value: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.map(2).raw("i").uint(number).raw("r").packed(value);
    encoder.finish()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

/// The heads of values that are far too long.
const LONG: [&[u8]; 6] = [
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\x01\x40\x00\x00",
    b"\xdd\x00\x10\x00\x00",
];

/// What begins something in MessagePack.
const MARKERS: [u8; 14] = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0xa0, 0xc0, 0xc1, 0xc6, 0xcf, 0xdb, 0xdd, 0xdf, 0xff];

/// What may stand on an error stream.
const TEXTS: [&[u8]; 5] = [
    b"{\"type\": \"log_message\", \"levelname\": \"ERROR\", \"message\": \"\\u001b[2J\"}\n",
    b"no end of line ",
    b"\x1b[31m\xff\xfe\n",
    b"{\"type\": \"progress_percent\", \"current\": 1e308, \"total\": -1}\n",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
];
