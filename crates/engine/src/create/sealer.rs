//! The middle of the pipeline: names chunks and seals those that are new.
//!
//! Naming and sealing are digests above all, and those of several chunks go side by side: so a sealer has some chunks
//! under way, each at a place of its own, and moves all of them on together. What is to be done with a large chunk between
//! its digests (to compress, encrypt and check it) is any sealer's to do.

use crossbeam_channel::Sender;
use worldkeeper_core::ChunkId;
use worldkeeper_crypto::{Awaited, Key};

use super::CreateOptions;
use super::jobs::{Lead, Next, Wants, Work};
use super::shared::Shared;
use super::step::{SealedChunk, Step, Steps};
use crate::objects::{ChunkSealer, Unfinished};
use crate::pipeline::Buffer;
use crate::session::{Session, SessionError};

/// A chunk to be named and sealed.
pub(super) struct Job {
    /// Its place among the steps.
    pub number: u64,
    pub plain: Plain,
}

/// The plaintext of a chunk.
pub(super) enum Plain {
    /// As it was read.
    Bytes(Buffer),
    /// So many zeros, of a hole.
    Zeros(usize),
}

impl Plain {
    /// In bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Zeros(len) => *len,
        }
    }
}

/// Names and seals, until there are no more jobs, or the run ends.
pub(super) struct Sealer<'a> {
    session: &'a Session,
    shared: &'a Shared,
    steps: Sender<Steps>,
    /// Steps that wait for company, and the bytes of their chunks.
    done: Steps,
    done_bytes: usize,
    key: &'a Key,
    chunks: ChunkSealer<'a>,
    /// How many digests pay side by side.
    lanes: usize,
    /// There are others, who take what is handed over; else it would be waited for in vain.
    has_help: bool,
    /// How many bytes it takes at most while it has some: others want something to do, too.
    share: usize,
    #[expect(clippy::vec_box, reason = "each is moved a dozen times, and large")]
    under_way: Vec<Box<UnderWay>>,
    /// The way to compress costs more than all the rest.
    is_laborious: bool,
    /// A huge hole is one chunk many times over.
    last_zeros: Option<(ChunkId, usize)>,
}

/// A chunk on its way.
pub(super) struct UnderWay {
    /// Its place among the steps.
    pub number: u64,
    chunk: Buffer,
    stage: Stage,
}

enum Stage {
    /// Its id is in the making.
    Naming(Awaited),
    /// It is new, and to be compressed and encrypted.
    Named(ChunkId),
    /// Its MACs are in the making, or are made, and it is to be checked.
    Sealing { id: ChunkId, unfinished: Unfinished },
}

impl UnderWay {
    /// Returns whether all of its digests are made.
    fn is_digested(&self) -> bool {
        match &self.stage {
            Stage::Naming(id) => id.is_finished(),
            Stage::Named(_) => true,
            Stage::Sealing { unfinished, .. } => unfinished.is_digested(),
        }
    }

    /// How many digests are in the making.
    fn streams(&self) -> usize {
        match &self.stage {
            Stage::Naming(_) => 1,
            Stage::Named(_) => 0,
            Stage::Sealing { unfinished, .. } => unfinished.streams(),
        }
    }

    /// The digests in the making, and what each of them is made of.
    fn digests(&mut self) -> impl Iterator<Item = (&mut Awaited, &[u8])> {
        let (id, macs) = match &mut self.stage {
            Stage::Naming(id) => (Some((id, &self.chunk[..])), None),
            Stage::Named(_) => (None, None),
            Stage::Sealing { unfinished, .. } => (None, Some(unfinished.digests())),
        };
        id.into_iter().chain(macs.into_iter().flatten())
    }
}

#[cfg(test)]
impl UnderWay {
    /// One that is to be encrypted.
    pub(super) fn named(number: u64) -> Box<Self> {
        Box::new(Self {
            number,
            chunk: crate::pipeline::Buffers::new(0).take(1),
            stage: Stage::Named(ChunkId([0; 32])),
        })
    }
}

/// Nobody wants any more.
pub(super) struct Ended;

impl<'a> Sealer<'a> {
    pub(super) fn new(
        session: &'a Session,
        options: &CreateOptions,
        shared: &'a Shared,
        steps: Sender<Steps>,
        share: usize,
    ) -> Self {
        let chunks = session.sealer(options.compression).verified(options.verify).with_buffers(&shared.buffers);
        let key = session.key();
        Self {
            session,
            shared,
            steps,
            done: Vec::new(),
            done_bytes: 0,
            key,
            chunks,
            lanes: key.lanes(),
            has_help: options.sealers > 1,
            share,
            under_way: Vec::new(),
            is_laborious: options.compression.is_laborious(),
            last_zeros: None,
        }
    }

    pub(super) fn run(mut self) {
        let shared = self.shared;
        while let Some(work) = shared.jobs.wait() {
            let done = match work {
                Work::Lead(job, lead) => self.work(job, Some(&lead)),
                Work::Help(jobs) => self.work(jobs, None),
                Work::Hand(hand) => hand.work(|chunk| self.by_hand(chunk)).and_then(|()| self.hand_over()),
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Works as long as there is something to do.
    fn work(&mut self, jobs: impl IntoIterator<Item = Job>, lead: Option<&Lead<'_>>) -> Result<(), Ended> {
        jobs.into_iter().try_for_each(|job| self.take(job))?;
        // Nobody waits twice for the same company.
        let mut is_patient = true;
        loop {
            while let Some(lead) = lead {
                let (streams, has_room) = (self.streams(), self.has_room());
                let is_lonely = has_room && is_patient && !self.under_way.is_empty();
                let wants = Wants { job: has_room, hand: streams * 2 < self.lanes, waits: is_lonely };
                let next = lead.next(wants);
                is_patient = next.is_some() || !is_lonely && is_patient;
                match next {
                    Some(Next::Job(job)) => self.take(job)?,
                    Some(Next::Back(chunk)) => self.under_way.push(chunk),
                    Some(Next::Hand(hand)) => {
                        hand.work(|chunk| self.by_hand(chunk))?;
                        self.hand_over()?;
                    }
                    None => break,
                }
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
            if self.shared.jobs.is_closed() {
                return Err(Ended);
            }
            self.move_on(lead)?;
        }
    }

    /// Begins a job.
    fn take(&mut self, Job { number, plain }: Job) -> Result<(), Ended> {
        // A large chunk can take seconds: none is begun that nobody wants any more.
        if let Err(stopped) = self.session.check_stop() {
            self.send(number, Err(stopped))?;
            return self.hand_over();
        }
        match plain {
            Plain::Bytes(chunk) => {
                let stage = Stage::Naming(Awaited::new(self.key.id_digester(), chunk.len()));
                self.under_way.push(Box::new(UnderWay { number, chunk, stage }));
                Ok(())
            }
            Plain::Zeros(size) => {
                let sealed = self.zeros(size);
                self.send(number, sealed)?;
                self.hand_over()
            }
        }
    }

    /// Returns whether more would go side by side, or next where small ones come to their ends.
    fn has_room(&self) -> bool {
        let bytes = self.under_way.iter().map(|chunk| chunk.chunk.len()).sum::<usize>();
        let (streams, lanes) = (self.streams(), self.lanes);
        let are_small = lanes > 1 && bytes < SMALL_TOGETHER && streams < lanes * NEXT;
        self.under_way.is_empty() || bytes < self.share && (streams < lanes || are_small)
    }

    /// How many digests are in the making.
    fn streams(&self) -> usize {
        self.under_way.iter().map(|chunk| chunk.streams()).sum()
    }

    /// Moves on as many as go side by side, the oldest first, as long as there are enough; and goes on with those that are
    /// done with their digests.
    fn move_on(&mut self, lead: Option<&Lead<'_>>) -> Result<(), Ended> {
        self.under_way.sort_unstable_by_key(|chunk| chunk.number);
        Awaited::go_on(self.under_way.iter_mut().flat_map(|chunk| chunk.digests()), self.lanes, AT_ONCE);
        for done in self.under_way.extract_if(.., |chunk| chunk.is_digested()).collect::<Vec<_>>() {
            self.done(done, lead)?;
        }
        self.hand_over()
    }

    /// Goes on with a chunk whose digests have all of it.
    fn done(&mut self, mut done: Box<UnderWay>, lead: Option<&Lead<'_>>) -> Result<(), Ended> {
        if let Stage::Naming(id) = &done.stage {
            let id = ChunkId(id.digest().expect("it is made"));
            if self.is_known(&id) {
                let size = done.chunk.len() as u32;
                return self.send(done.number, Ok(SealedChunk { id, size, object: None }));
            }
            done.stage = Stage::Named(id);
        }
        if let Some(lead) = lead.filter(|_| self.has_help && done.chunk.len() >= HANDED_OVER) {
            lead.hand_over(done);
        } else if let Some(chunk) = self.by_hand(done)? {
            self.under_way.push(chunk);
        }
        Ok(())
    }

    /// Does with a chunk what is done between digests, and behind them; returns it if it needs more of them.
    pub(super) fn by_hand(&mut self, mut under_way: Box<UnderWay>) -> Result<Option<Box<UnderWay>>, Ended> {
        let number = under_way.number;
        if let Stage::Named(id) = under_way.stage {
            // To compress can take seconds, too, and what is named together is compressed one after the other.
            if self.shared.jobs.is_closed() {
                return Err(Ended);
            }
            match self.begin(&under_way.chunk) {
                Ok(unfinished) => under_way.stage = Stage::Sealing { id, unfinished },
                Err(error) => return self.send(number, Err(error)).map(|()| None),
            }
        }
        if !under_way.is_digested() {
            return Ok(Some(under_way));
        }
        let UnderWay { chunk, stage, .. } = *under_way;
        let Stage::Sealing { id, unfinished } = stage else { unreachable!("who is named goes on here") };
        let sealed = self.chunks.finish(unfinished, &id, &chunk);
        let sealed = sealed.map(|object| SealedChunk { id, size: chunk.len() as u32, object: Some(object) });
        self.send(number, sealed).map(|()| None)
    }

    /// Compresses and encrypts, and tells whether that was much.
    fn begin(&mut self, chunk: &[u8]) -> Result<Unfinished, SessionError> {
        let unfinished = self.chunks.begin(chunk)?;
        if self.is_laborious || chunk.len() >= HANDED_OVER {
            self.shared.laborious(self.is_laborious || unfinished.is_compressed());
        }
        Ok(unfinished)
    }

    /// Names and seals a piece of a hole.
    fn zeros(&mut self, size: usize) -> Result<SealedChunk, SessionError> {
        let (id, _) = match self.last_zeros {
            Some(last) if last.1 == size => last,
            _ => *self.last_zeros.insert((self.key.id_hash(&vec![0; size]), size)),
        };
        let object = if self.is_known(&id) { None } else { Some(self.chunks.seal_chunk(&id, &vec![0; size])?) };
        Ok(SealedChunk { id, size: size as u32, object })
    }

    fn is_known(&self, id: &ChunkId) -> bool {
        super::read(&self.shared.index).get(id).is_some()
    }

    /// Hands a step over, now or with the next ones.
    fn send(&mut self, number: u64, sealed: Result<SealedChunk, SessionError>) -> Result<(), Ended> {
        self.done_bytes += sealed.as_ref().map_or(0, |chunk| chunk.size as usize);
        self.done.push((number, sealed.map(Step::Chunk)));
        if self.done_bytes >= TOGETHER { self.hand_over() } else { Ok(()) }
    }

    /// Hands over what waits for company.
    fn hand_over(&mut self) -> Result<(), Ended> {
        if self.done.is_empty() {
            return Ok(());
        }
        self.shared.jobs.sealed(std::mem::take(&mut self.done_bytes));
        self.steps.send(std::mem::take(&mut self.done)).map_err(|_| Ended)
    }
}

/// So many times what goes side by side is under way where chunks are small, so that whoever comes to an end leaves its lane to
/// another,
const NEXT: usize = 4;
/// up to so many bytes, which stay in the processor's cache.
const SMALL_TOGETHER: usize = 512 * 1024;
/// From how many bytes on what is done is handed over at once.
const TOGETHER: usize = 64 * 1024;
/// From how many bytes on it pays to let another thread do what is no digest. Smaller ones say nothing of what the others need,
/// and there may be any number of them.
const HANDED_OVER: usize = 64 * 1024;
/// How many bytes each digest takes before others may join.
const AT_ONCE: usize = 128 * 1024;
