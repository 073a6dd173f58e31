//! What is to be said of an archive.

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use worldkeeper_archive::ArchiveMetadata;
use worldkeeper_core::msgpack;
use worldkeeper_engine::{ArchiveInfo, ArchiveStats, Monitor, Session, SessionError, archive_stats};

use super::{sizes, sizes_header};
use crate::commands::items::json_whole_moment;
use crate::escape::escape_bytes;
use crate::{json, words};

/// An archive, and what was counted in it.
pub(super) struct About {
    info: ArchiveInfo,
    metadata: ArchiveMetadata,
    stats: ArchiveStats,
}

impl About {
    pub(super) fn of(session: &mut Session, info: &ArchiveInfo, monitor: &dyn Monitor) -> Result<Self, SessionError> {
        let open = session.open_archive(info)?;
        let stats = archive_stats(session, info, &open, monitor)?;
        Ok(Self { info: info.clone(), metadata: open.metadata, stats })
    }

    /// As stock gives it.
    ///
    /// Source: borg 1.4 `archive.py`, `Archive.info`.
    pub(super) fn json(&self, zone: &TimeZone) -> Value {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(json::lossy).unwrap_or_default();
        let metadata = &self.metadata;
        json!({
            "name": json::lossy(self.info.name.as_bytes()),
            "id": self.info.id.to_string(),
            "start": json_whole_moment(metadata.time, zone),
            "end": json_whole_moment(self.end(), zone),
            "duration": self.seconds(),
            "stats": {
                "original_size": self.stats.size,
                "compressed_size": self.stats.csize,
                "deduplicated_size": self.stats.unique_csize,
                "nfiles": self.stats.files,
            },
            "limits": {"max_archive_size": self.stats.max_size_share},
            "command_line": metadata.cmdline.iter().map(|word| json::lossy(word)).collect::<Value>(),
            "cwd": text(&metadata.cwd),
            "hostname": text(&metadata.hostname),
            "username": text(&metadata.username),
            "comment": text(&metadata.comment),
            "chunker_params": metadata.chunker_params.as_ref().map_or_else(|| "".into(), chunker_params),
        })
    }

    pub(super) fn text(&self, zone: &TimeZone) -> Vec<String> {
        let metadata = &self.metadata;
        let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(escape_bytes).unwrap_or_default();
        let moment = |moment| words::moment(moment, zone);
        let command: Vec<_> = metadata.cmdline.iter().map(|word| quoted(&escape_bytes(word))).collect();
        let facts = [
            ("archive", escape_bytes(self.info.name.as_bytes())),
            ("id", self.info.id.to_string()),
            ("comment", text(&metadata.comment)),
            ("made by", format!("{} on {}", text(&metadata.username), text(&metadata.hostname))),
            ("start", moment(metadata.time)),
            ("end", moment(self.end())),
            ("duration", format!("{:.2} s", self.seconds())),
            ("command", command.join(" ")),
            ("in", text(&metadata.cwd)),
            ("files", self.stats.files.to_string()),
        ];
        let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
        let mut lines: Vec<_> = facts.map(|(name, value)| format!("{name:<15}{value}")).collect();
        let sums = [self.stats.size, self.stats.csize, self.stats.unique_csize];
        lines.extend([String::new(), sizes_header(), sizes("this archive", sums)]);
        lines
    }

    /// When it was done; archives that do not say so were done at once, for all that is known.
    fn end(&self) -> jiff::Timestamp {
        self.metadata.time_end.unwrap_or(self.metadata.time)
    }

    fn seconds(&self) -> f64 {
        (self.end().as_microsecond() - self.metadata.time.as_microsecond()) as f64 / 1e6
    }
}

/// A word of a command line, so that a shell reads it as one.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r#"'"'"'"#))
}

/// How files were cut. Old archives leave out the name of the only algorithm there was.
fn chunker_params(params: &msgpack::Value) -> Value {
    let msgpack::Value::Array(list) = params else { return Value::Null };
    let name = if matches!(list.first(), Some(msgpack::Value::Raw(_))) { None } else { Some("buzhash".into()) };
    let word = |value: &msgpack::Value| match value {
        msgpack::Value::Raw(word) => json::lossy(word).into(),
        msgpack::Value::Int(number) => i64::try_from(*number).map_or(Value::Null, Into::into),
        _ => Value::Null,
    };
    name.into_iter().chain(list.iter().map(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_pythons_shlex_does() {
        for (word, expected) in [
            ("--comment=a", "--comment=a"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r#"'it'"'"'s'"#),
            ("/data/world:x@1", "/data/world:x@1"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn old_archives_name_no_algorithm() {
        let numbers = [19, 23, 21, 4095].map(msgpack::Value::Int);
        let expected = json!(["buzhash", 19, 23, 21, 4095]);
        assert_eq!(chunker_params(&msgpack::Value::Array(numbers.to_vec())), expected);
        let named = [&[msgpack::Value::Raw(b"buzhash".to_vec())], &numbers[..]].concat();
        assert_eq!(chunker_params(&msgpack::Value::Array(named)), expected);
        assert_eq!(chunker_params(&msgpack::Value::Int(1)), Value::Null);
    }
}
