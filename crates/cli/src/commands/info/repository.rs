//! What is to be said of a repository.

use serde_json::{Value, json};
use worldkeeper_core::RepositoryError;
use worldkeeper_engine::{RepositoryStats, Session};
use worldkeeper_repository::Space;

use super::{basics, sizes, sizes_header, state_directory};
use crate::open::OpenRepository;
use crate::place::Place;
use crate::words;

/// What is seen of it without its key.
pub(super) enum Held {
    /// In a directory.
    Here { space: Space, is_append_only: bool },
    /// Behind a server, which lets nobody ask for this.
    There { server_version: String },
}

impl Held {
    pub(super) fn of(repository: &OpenRepository) -> Result<Self, RepositoryError> {
        Ok(match repository {
            OpenRepository::Local(repository) => {
                Self::Here { space: repository.space()?, is_append_only: repository.is_append_only() }
            }
            OpenRepository::Remote(repository) => Self::There { server_version: repository.server_version() },
        })
    }

    /// As stock gives it; what stock does not say stands under `storage`.
    pub(super) fn json(&self, place: &Place, session: &Session, stats: &RepositoryStats) -> anyhow::Result<Value> {
        let mut document = basics(place, session, stats)?;
        document["security_dir"] = state_directory(place, session).into();
        match self {
            Self::Here { space, is_append_only } => {
                document["storage"] = json!({
                    "append_only": is_append_only,
                    "disk_bytes": space.used,
                    "quota_bytes": (space.quota > 0).then_some(space.quota),
                    "quota_used_bytes": space.quota_used,
                });
            }
            Self::There { server_version } => document["server"] = json!({ "borg_version": server_version }),
        }
        Ok(document)
    }

    pub(super) fn text(&self, session: &Session, stats: &RepositoryStats) -> Vec<String> {
        let fact = |name: &str, value: String| format!("{name:<15}{value}");
        let mut lines = vec![
            fact("repository", session.location()),
            fact("id", session.id().to_string()),
            fact("encryption", session.mode().to_string()),
        ];
        match self {
            Self::Here { space, is_append_only } => {
                let quota = match (space.quota, space.quota_used) {
                    (0, _) => "none".to_owned(),
                    (quota, Some(used)) => format!("{} of {} used", words::bytes(used), words::bytes(quota)),
                    (quota, None) => words::bytes(quota),
                };
                lines.extend([
                    fact("append-only", if *is_append_only { "yes" } else { "no" }.to_owned()),
                    fact("quota", quota),
                    fact("on disk", words::bytes(space.used)),
                ]);
            }
            Self::There { server_version } => lines.push(fact("server", format!("borg {server_version}"))),
        }
        lines.extend([
            fact("chunks", format!("{}, referred to {} times", stats.unique_chunks, stats.chunks)),
            String::new(),
            sizes_header(),
            sizes("all archives", [stats.size, stats.csize, stats.unique_csize]),
        ]);
        lines
    }
}
