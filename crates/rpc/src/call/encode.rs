//! Writes a request: in the order of borg's own signatures, so that the bytes are stock's.

use worldkeeper_core::ChunkId;
use worldkeeper_core::msgpack::Encoder;

use super::{Call, Page};
use crate::MsgId;
use crate::message::Message;

impl Call {
    /// Writes the request as a client of 1.1 or newer does.
    pub(crate) fn encode(&self, msgid: MsgId) -> Message {
        let mut message = Message::default();
        let encoder = message.encoder();
        encoder.map(3).raw("i").uint(msgid.0).raw("m").raw(self.method().name()).raw("a");
        match self {
            Self::Open(open) => {
                encoder.map(7).raw("path").raw(&open.path).raw("create").bool(open.create).raw("lock_wait");
                or_nil(encoder, open.lock_wait, |encoder, wait| _ = encoder.int(wait));
                encoder.raw("lock").bool(open.lock).raw("exclusive");
                or_nil(encoder, open.exclusive, |encoder, exclusive| _ = encoder.bool(exclusive));
                encoder.raw("append_only").bool(open.append_only);
                encoder.raw("make_parent_dirs").bool(open.make_parent_dirs);
            }
            Self::Get { id } => _ = encoder.map(1).raw("id").raw(id.0),
            Self::Put { id, data, wait } => {
                encoder.map(2 + usize::from(wait.is_some())).raw("id").raw(id.0).raw("data");
                message.payload(data);
                awaited(message.encoder(), *wait);
            }
            Self::Delete { id, wait } => {
                encoder.map(1 + usize::from(wait.is_some())).raw("id").raw(id.0);
                awaited(encoder, *wait);
            }
            Self::List(page) | Self::Scan(page) => paged(encoder, page),
            Self::Commit(commit) => {
                encoder.map(4).raw("save_space").bool(commit.save_space).raw("compact").bool(commit.compact);
                encoder.raw("threshold").float(commit.threshold);
                encoder.raw("cleanup_commits").bool(commit.cleanup_commits);
            }
            Self::Check(check) => {
                encoder.map(3).raw("repair").bool(check.repair).raw("save_space").bool(check.save_space);
                encoder.raw("max_duration").uint(check.max_duration);
            }
            Self::SaveKey { keydata } => {
                encoder.map(1).raw("keydata");
                message.payload(keydata);
            }
            Self::CommitNonceReservation { next_unreserved, start_nonce } => {
                encoder.map(2).raw("next_unreserved").uint(*next_unreserved).raw("start_nonce");
                or_nil(encoder, *start_nonce, |encoder, nonce| _ = encoder.uint(nonce));
            }
            Self::Len | Self::Rollback | Self::Destroy | Self::LoadKey | Self::GetFreeNonce | Self::BreakLock => {
                encoder.map(0);
            }
        }
        message
    }
}

fn awaited(encoder: &mut Encoder, wait: Option<bool>) {
    if let Some(wait) = wait {
        encoder.raw("wait").bool(wait);
    }
}

fn paged(encoder: &mut Encoder, page: &Page) {
    encoder.map(2).raw("limit");
    or_nil(encoder, page.limit, |encoder, limit| _ = encoder.uint(limit));
    encoder.raw("marker");
    or_nil(encoder, page.marker, |encoder, ChunkId(id)| _ = encoder.raw(id));
}

fn or_nil<T>(encoder: &mut Encoder, value: Option<T>, write: impl FnOnce(&mut Encoder, T)) {
    match value {
        Some(value) => write(encoder, value),
        None => _ = encoder.nil(),
    }
}
