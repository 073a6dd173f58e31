//! Deals many streams out to the lanes of a kernel: each takes one, and the next when it has none left.

use zeroize::ZeroizeOnDrop;

use super::NOT_LAST;
use super::stream::Stream;

/// A compression function for `N` streams at once.
pub(super) trait Kernel<const N: usize>: Copy {
    /// With fewer streams than these, one after the other is faster.
    const WORTHWHILE: usize;

    /// Compresses the blocks of each lane: whole ones, and as many in each.
    fn compress(self, states: &mut States<N>, blocks: &[&[u8]; N]);
}

/// The states of `N` streams: words of the same kind lie side by side.
#[repr(align(64))]
pub(super) struct States<const N: usize> {
    /// As in `Blake2b`.
    pub(super) words: [[u64; N]; 8],
    /// As in `Blake2b`.
    pub(super) counters: [u64; N],
    /// How the blocks are marked.
    pub(super) marks: [u64; N],
}

impl<const N: usize> States<N> {
    pub(super) fn new() -> Self {
        Self { words: [[0; N]; 8], counters: [0; N], marks: [NOT_LAST; N] }
    }

    /// Takes a stream's state into a lane.
    fn take(&mut self, lane: usize, stream: &mut Stream<'_>) {
        let (state, counter) = stream.state();
        for (words, word) in self.words.iter_mut().zip(state) {
            words[lane] = *word;
        }
        self.counters[lane] = *counter;
    }

    /// Gives a stream its state back.
    fn give_back(&self, lane: usize, stream: &mut Stream<'_>) {
        let (state, counter) = stream.state();
        for (words, word) in self.words.iter().zip(state) {
            *word = words[lane];
        }
        *counter = self.counters[lane];
    }
}

impl<const N: usize> Drop for States<N> {
    fn drop(&mut self) {
        (self.words, self.counters) = ([[0; N]; 8], [0; N]);
        zeroize::optimization_barrier(self);
    }
}

impl<const N: usize> ZeroizeOnDrop for States<N> {}

/// Compresses all streams, as many at once as there are lanes. With a `width` that is more than worthwhile, only until so
/// many lanes are not in use any more; what is left then [can be gone on with](Stream::suspend).
pub(super) fn deal_out<'a, const N: usize, K: Kernel<N>>(
    kernel: K,
    mut streams: impl Iterator<Item = Stream<'a>>,
    width: usize,
) {
    let width = width.min(N);
    let mut states = States::new();
    let mut lanes: [Option<Stream<'a>>; N] = [const { None }; N];
    loop {
        for (lane, stream) in lanes.iter_mut().enumerate().filter(|(_, stream)| stream.is_none()) {
            *stream = next_with_blocks(&mut streams);
            if let Some(stream) = stream {
                states.take(lane, stream);
            }
        }
        let runs = lanes.each_ref().map(|stream| stream.as_ref().and_then(Stream::run));
        let running = runs.iter().flatten();
        let Some(shortest) = running.clone().map(|run| run.blocks).min_by_key(|blocks| blocks.len()) else { break };
        if running.count() < width.max(K::WORTHWHILE) {
            break;
        }
        // A lane without a stream takes what another one takes, and nobody looks at what becomes of it.
        let mut blocks = [shortest; N];
        for (lane, run) in runs.iter().enumerate() {
            if let Some(run) = run {
                blocks[lane] = &run.blocks[..shortest.len()];
                states.marks[lane] = run.mark;
                states.counters[lane] = states.counters[lane].wrapping_sub(run.padding);
            }
        }
        kernel.compress(&mut states, &blocks);
        let len = shortest.len();
        for (lane, stream) in lanes.iter_mut().enumerate() {
            if let Some(stream) = stream {
                stream.advance(len);
            }
            if let Some(mut done) = stream.take_if(|stream| stream.run().is_none()) {
                states.give_back(lane, &mut done);
                done.finish();
            }
        }
    }
    for (lane, stream) in lanes.into_iter().enumerate() {
        if let Some(mut stream) = stream {
            states.give_back(lane, &mut stream);
            if width > K::WORTHWHILE { stream.suspend() } else { stream.finish_plainly() }
        }
    }
}

/// Passes over the streams that need no compression.
fn next_with_blocks<'a>(streams: &mut impl Iterator<Item = Stream<'a>>) -> Option<Stream<'a>> {
    loop {
        let stream = streams.next()?;
        if stream.run().is_some() {
            return Some(stream);
        }
        stream.finish();
    }
}
