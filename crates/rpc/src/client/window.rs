//! How much may be under way.

use crate::Call;

/// How much may be unanswered at a time. Both limits hold, but one request is always allowed.
///
/// What is counted is what goes to the server. Answers wait in the pipe until they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests.
    pub requests: usize,
    /// Bytes of requests: objects are up to 20 MiB long, so that a number of requests alone would be no limit.
    pub bytes: usize,
}

impl Default for Window {
    /// What keeps a line of 1 Gbit/s busy over 100 ms there and back, and, where objects are small, ten times as many requests
    /// as stock's client allows.
    fn default() -> Self {
        Self { requests: 1000, bytes: 16 << 20 }
    }
}

/// What a request takes of the window: its long parts, and something for the rest.
pub(super) fn weight(call: &Call) -> usize {
    const REST: usize = 256;
    REST + match call {
        Call::Put { data, .. } => data.0.len(),
        Call::SaveKey { keydata } => keydata.0.len(),
        Call::Open(open) => open.path.len(),
        _ => 0,
    }
}
