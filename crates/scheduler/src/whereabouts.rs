//! Whether the game uses what is backed up, and who sees it.

use worldkeeper_docker::Container;

/// Where the game is, seen from what is backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It uses what is backed up, as far as it can be told where we are.
    Here,
    /// It certainly uses nothing of it: what is wrong, in words for people.
    Elsewhere(String),
    /// This time there is no answer. What was found last still counts.
    Unknown,
}

/// Sees whether what is backed up is what the game uses.
pub trait Lookout: Send + Sync {
    /// Where the game is that these containers are of. May ask an engine, and wait for its answer.
    fn whereabouts(&self, containers: &[Container]) -> Whereabouts;
}
