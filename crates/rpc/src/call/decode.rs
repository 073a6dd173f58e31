//! Reads the arguments of each method.

use worldkeeper_core::msgpack::{DecodeError, Decoder};

use super::args::{Args, count, flag, id, or_nil, raw, share};
use super::{Call, Check, Commit, Open, Page};
use crate::{Method, RemoteError};

impl Call {
    /// The call of a method with these arguments; `None` for the two that the session itself answers.
    ///
    /// # Errors
    ///
    /// What a server answers if an argument is missing or of the wrong type.
    pub(crate) fn decode(method: Method, args: &Args<'_>) -> Result<Option<Self>, RemoteError> {
        Ok(Some(match method {
            Method::Negotiate | Method::InjectException => return Ok(None),
            Method::Open => Self::Open(Open {
                path: args.required("path", raw)?,
                create: args.or("create", false, flag)?,
                lock_wait: args.or("lock_wait", None, or_nil!(seconds))?,
                lock: args.or("lock", true, flag)?,
                exclusive: args.or("exclusive", None, or_nil!(flag))?,
                append_only: args.or("append_only", false, flag)?,
                make_parent_dirs: args.or("make_parent_dirs", false, flag)?,
            }),
            Method::Len => Self::Len,
            Method::Get => Self::Get { id: args.required("id", id)? },
            Method::Put => Self::Put {
                id: args.required("id", id)?,
                data: args.payload("data")?,
                wait: args.or("wait", None, or_nil!(flag))?,
            },
            Method::Delete => {
                Self::Delete { id: args.required("id", id)?, wait: args.or("wait", None, or_nil!(flag))? }
            }
            Method::List => Self::List(page(args)?),
            Method::Scan => Self::Scan(page(args)?),
            Method::Commit => {
                let default = Commit::default();
                Self::Commit(Commit {
                    save_space: args.or("save_space", default.save_space, flag)?,
                    compact: args.or("compact", default.compact, flag)?,
                    threshold: args.or("threshold", default.threshold, share)?,
                    cleanup_commits: args.or("cleanup_commits", default.cleanup_commits, flag)?,
                })
            }
            Method::Rollback => Self::Rollback,
            Method::Check => Self::Check(Check {
                repair: args.or("repair", false, flag)?,
                save_space: args.or("save_space", false, flag)?,
                max_duration: args.or("max_duration", 0, count)?,
            }),
            Method::Destroy => Self::Destroy,
            Method::SaveKey => Self::SaveKey { keydata: args.payload("keydata")? },
            Method::LoadKey => Self::LoadKey,
            Method::GetFreeNonce => Self::GetFreeNonce,
            Method::CommitNonceReservation => Self::CommitNonceReservation {
                next_unreserved: args.required("next_unreserved", count)?,
                start_nonce: args.required("start_nonce", or_nil!(count))?,
            },
            Method::BreakLock => Self::BreakLock,
        }))
    }
}

fn page(args: &Args<'_>) -> Result<Page, RemoteError> {
    Ok(Page { limit: args.or("limit", None, or_nil!(count))?, marker: args.or("marker", None, or_nil!(id))? })
}

fn seconds(decoder: &mut Decoder<'_>) -> Result<i64, DecodeError> {
    decoder.int_as()
}
