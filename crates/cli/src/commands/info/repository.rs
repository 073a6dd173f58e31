//! What is to be said of a repository.

use serde_json::{Value, json};
use worldkeeper_core::RepositoryError;
use worldkeeper_engine::{RepositoryStats, Session};
use worldkeeper_repository::{LocalRepository, Space};

use super::{basics, sizes, sizes_header, state_directory};
use crate::place::Place;
use crate::words;

/// What is seen of it without its key.
pub(super) struct Held {
    space: Space,
    is_append_only: bool,
}

impl Held {
    pub(super) fn of(repository: &LocalRepository) -> Result<Self, RepositoryError> {
        Ok(Self { space: repository.space()?, is_append_only: repository.is_append_only() })
    }

    /// As stock gives it; what stock does not say stands under `storage`.
    pub(super) fn json(&self, place: &Place, session: &Session, stats: &RepositoryStats) -> anyhow::Result<Value> {
        let mut document = basics(place, session, stats)?;
        document["security_dir"] = state_directory(place, session).into();
        document["storage"] = json!({
            "append_only": self.is_append_only,
            "disk_bytes": self.space.used,
            "quota_bytes": (self.space.quota > 0).then_some(self.space.quota),
            "quota_used_bytes": self.space.quota_used,
        });
        Ok(document)
    }

    pub(super) fn text(&self, session: &Session, stats: &RepositoryStats) -> Vec<String> {
        let quota = match (self.space.quota, self.space.quota_used) {
            (0, _) => "none".to_owned(),
            (quota, Some(used)) => format!("{} of {} used", words::bytes(used), words::bytes(quota)),
            (quota, None) => words::bytes(quota),
        };
        let fact = |name: &str, value: String| format!("{name:<15}{value}");
        vec![
            fact("repository", session.location()),
            fact("id", session.id().to_string()),
            fact("encryption", session.mode().to_string()),
            fact("append-only", if self.is_append_only { "yes" } else { "no" }.to_owned()),
            fact("quota", quota),
            fact("on disk", words::bytes(self.space.used)),
            fact("chunks", format!("{}, referred to {} times", stats.unique_chunks, stats.chunks)),
            String::new(),
            sizes_header(),
            sizes("all archives", [stats.size, stats.csize, stats.unique_csize]),
        ]
    }
}
