//! How much is sent in a second: a token bucket as pure state, and the limit it goes by, which may change while it does.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many bytes may be sent in a second. Clones are one limit: what one of them sets holds for all.
#[derive(Clone, Debug, Default)]
pub struct UploadLimit(Arc<AtomicU64>);

impl UploadLimit {
    /// The lowest rate, in bytes per second: below, nothing would ever be done. A lower one counts as this.
    pub const MIN_RATE: u64 = 1 << 10;

    /// A limit of so many bytes per second, or none.
    pub fn new(rate: Option<NonZeroU64>) -> Self {
        let limit = Self::default();
        limit.set(rate);
        limit
    }

    /// Changes it, for what is being sent, too.
    pub fn set(&self, rate: Option<NonZeroU64>) {
        self.0.store(rate.map_or(0, |rate| rate.get().max(Self::MIN_RATE)), Ordering::Relaxed);
    }

    /// Bytes per second, if there is a limit.
    pub fn rate(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed))
    }
}

/// A token bucket that may be in debt: a piece is sent as soon as there is no debt, and its bytes are paid for with time.
///
/// What was not sent while it could be is saved for [`SAVED`] at most: enough to make up for a wait that took longer than it
/// should, too little for a burst that a game would notice.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// What may be sent, in billionths of a byte, so that no rate and no time is rounded; below zero is debt.
    tokens: i128,
    /// Until when time was counted.
    at: Duration,
}

/// For how long what is not sent is saved, and the longest wait: at any rate a piece takes no longer.
pub(crate) const SAVED: Duration = Duration::from_millis(100);

/// The largest piece, in bytes.
pub(crate) const MAX_PIECE: usize = 64 << 10;

const BILLION: i128 = 1_000_000_000;

impl Bucket {
    /// An empty one, without debt.
    pub(crate) fn new(now: Duration) -> Self {
        Self { tokens: 0, at: now }
    }

    /// How long to wait before a piece is sent, on the monotonic clock that `now` is from; never longer than [`SAVED`].
    pub(crate) fn wait(&mut self, rate: Option<NonZeroU64>, now: Duration) -> Duration {
        let elapsed_ns = nanos(now.saturating_sub(self.at));
        self.at = now;
        let Some(rate) = rate else {
            self.tokens = 0;
            return Duration::ZERO;
        };
        let rate = i128::from(rate.get());
        // A debt made at a higher rate is forgiven as far as it would take longer now than a piece does.
        let most = rate * nanos(SAVED);
        self.tokens = self.tokens.saturating_add(rate.saturating_mul(elapsed_ns)).clamp(-most, most);
        let wait_ns = -self.tokens.min(0);
        Duration::from_nanos(u64::try_from((wait_ns + rate - 1) / rate).expect("at most a tenth of a second"))
    }

    /// Counts a piece that is being sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub((bytes as i128).saturating_mul(BILLION));
    }
}

/// The longest piece to send at once, in bytes: less at a low rate, so that a piece is not followed by a long silence.
pub(crate) fn piece(rate: Option<NonZeroU64>) -> usize {
    let tenth = rate.map_or(u64::MAX, |rate| rate.get() / 10);
    usize::try_from(tenth).unwrap_or(usize::MAX).clamp(1, MAX_PIECE)
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use worldkeeper_testkit::gate;
    use worldkeeper_testkit::random::Random;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(bytes: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(bytes)
    }

    /// Sends for so long, in the largest pieces, and returns how much was.
    fn send_for(bucket: &mut Bucket, rate: Option<NonZeroU64>, now: &mut Duration, duration: Duration) -> u64 {
        let end = *now + duration;
        let mut sent = 0;
        loop {
            *now += bucket.wait(rate, *now);
            if *now >= end {
                return sent;
            }
            bucket.sent(piece(rate));
            sent += piece(rate) as u64;
        }
    }

    #[test]
    fn the_rate_is_kept_at_every_size() {
        for bytes in [10, 1_024, 12_345, 5 << 20, 123_456_789, 1 << 40] {
            let (mut now, rate) = (Duration::from_secs(77), rate(bytes));
            let mut bucket = Bucket::new(now);
            // No more than 20,000 pieces, however fast.
            let duration = (10 * SECOND).min(SECOND.mul_f64(20_000.0 * piece(rate) as f64 / bytes as f64));
            let sent = send_for(&mut bucket, rate, &mut now, duration) as f64;
            let expected = bytes as f64 * duration.as_secs_f64();
            let piece = piece(rate) as f64;
            assert!(sent >= expected - piece && sent <= expected + piece, "{bytes}: {sent}, expected {expected}");
        }
    }

    #[test]
    fn what_was_not_sent_is_saved_for_a_tenth_of_a_second() {
        let rate = rate(1_000_000);
        let mut bucket = Bucket::new(Duration::ZERO);
        let mut now = Duration::from_hours(1);
        let mut burst = 0;
        while bucket.wait(rate, now).is_zero() {
            bucket.sent(1_000);
            burst += 1;
        }
        assert_eq!(burst, 101, "100 saved, and the one that makes a debt");
        now += Duration::from_millis(1);
        assert_eq!(bucket.wait(rate, now), Duration::ZERO);
    }

    #[test]
    fn a_change_holds_at_once_and_leaves_no_debt_behind() {
        let mut now = Duration::ZERO;
        let mut bucket = Bucket::new(now);
        assert_eq!(bucket.wait(None, now), Duration::ZERO);
        bucket.sent(1 << 30);
        assert_eq!(bucket.wait(None, now), Duration::ZERO, "no limit, no debt");
        bucket.sent(1 << 30);
        // Sent when there was no limit, so all but a little of it is forgiven.
        assert_eq!(bucket.wait(rate(1 << 10), now), SAVED);
        now += SAVED;
        assert_eq!(bucket.wait(rate(1 << 10), now), Duration::ZERO);
        bucket.sent(102);
        assert!(bucket.wait(rate(1 << 20), now) < Duration::from_millis(1), "a higher rate pays faster");
        assert_eq!(bucket.wait(rate(u64::MAX), Duration::MAX), Duration::ZERO);
    }

    #[test]
    fn a_piece_takes_a_tenth_of_a_second_or_is_64_kib() {
        for (bytes, expected) in
            [(Some(1), 1), (Some(20), 2), (Some(10_240), 1_024), (Some(1 << 40), 65_536), (None, 65_536)]
        {
            assert_eq!(piece(bytes.and_then(NonZeroU64::new)), expected);
        }
    }

    #[test]
    fn limits_are_shared() {
        let limit = UploadLimit::new(rate(5_000));
        let other = limit.clone();
        other.set(None);
        assert_eq!(limit.rate(), None);
        other.set(rate(7_000));
        assert_eq!(limit.rate(), rate(7_000));
        other.set(rate(7));
        assert_eq!(limit.rate(), rate(1_024), "the lowest there is");
    }

    /// Whatever is sent when, at rates that change: never more than time allows, and nobody waits longer than a piece takes.
    #[test]
    fn gate_rate_never_more_than_time_allows() {
        let (seed, cases) = (gate::seed(), gate::amount(200, 20_000));
        for case in 0..cases {
            let mut random = Random::new(seed.wrapping_add(case as u64));
            let mut now = Duration::from_millis(random.below(1_000_000) as u64);
            let mut bucket = Bucket::new(now);
            // What time has allowed, in billionths of a byte, with what may be saved and what may be forgiven.
            let (mut allowed, mut sent) = (0_i128, 0_i128);
            for _ in 0..=random.below(20) {
                let rate = 1_u64 << (10 + random.below(30));
                let limit = NonZeroU64::new(rate);
                allowed += i128::from(rate) * nanos(SAVED) + piece(None) as i128 * BILLION;
                for _ in 0..random.below(50) {
                    let idle = Duration::from_micros(*random.pick(&[0, 0, 0, 100_000, 300_000]));
                    let wait = bucket.wait(limit, now);
                    assert!(wait <= SAVED, "seed {seed}, case {case}: a wait of {wait:?}");
                    allowed += i128::from(rate) * nanos(wait + idle);
                    now += wait + idle;
                    assert_eq!(bucket.wait(limit, now), Duration::ZERO, "seed {seed}, case {case}");
                    let bytes = random.below(piece(limit)) + 1;
                    bucket.sent(bytes);
                    sent += bytes as i128 * BILLION;
                    assert!(sent <= allowed, "seed {seed}, case {case}: too much is sent at {rate} bytes per second");
                }
            }
        }
    }
}
