//! Recorded sessions of stock's client with stock's server.

use serde::Deserialize;
use serde_json::Value as Json;
use worldkeeper_testkit::fixtures;

/// All of them.
pub(crate) const SESSIONS: [&str; 22] = [
    "borg1.2.4-compact.json",
    "borg1.2.4-create.json",
    "borg1.2.4-delete.json",
    "borg1.2.4-init.json",
    "borg1.2.4-list-archive.json",
    "borg1.4.5-break-lock.json",
    "borg1.4.5-check.json",
    "borg1.4.5-compact.json",
    "borg1.4.5-create.json",
    "borg1.4.5-create2.json",
    "borg1.4.5-delete.json",
    "borg1.4.5-extract.json",
    "borg1.4.5-info.json",
    "borg1.4.5-init.json",
    "borg1.4.5-key-export.json",
    "borg1.4.5-list-archive.json",
    "borg1.4.5-list-repo.json",
    "borg1.4.5-missing.json",
    "borg1.4.5-norepo.json",
    "borg1.4.5-prune.json",
    "borg1.4.5-rename.json",
    "borg1.4.5-with-lock.json",
];

/// Single calls and what stock's server answers.
pub(crate) const ERRORS: &str = "errors-borg1.4.5.json";

/// A session: requests and replies in their order, and the lines of the error stream.
pub(crate) struct Session {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) replies: Vec<Vec<u8>>,
    pub(crate) lines: Vec<String>,
}

#[derive(Deserialize)]
struct Recording {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    dir: String,
    hex: Option<String>,
    line: Option<String>,
}

/// A call by itself, and its reply.
#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(rename = "case")]
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) reply: Json,
    pub(crate) reply_hex: String,
}

impl Session {
    pub(crate) fn read(name: &str) -> Self {
        let recording: Recording = fixtures::json(&format!("vectors/rpc/{name}"));
        let bytes = |dir: &str| {
            let messages = recording.messages.iter().filter(|message| message.dir == dir);
            messages.filter_map(|message| Some(hex::decode(message.hex.as_ref()?).unwrap())).collect()
        };
        Self {
            requests: bytes("client->server"),
            replies: bytes("server->client"),
            lines: recording.messages.iter().filter_map(|message| message.line.clone()).collect(),
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }
    fixtures::json::<Cases>(&format!("vectors/rpc/{ERRORS}")).cases
}
