//! What a line says.

use serde_json::Value;
use worldkeeper_core::escape::{escape, escape_bytes};

use super::{Level, Line, LogMessage, Progress};

impl Line {
    /// Reads a line, without its end. What cannot be read is text.
    pub fn parse(line: &[u8]) -> Self {
        let known = match line {
            [b'{', ..] => json(line),
            _ => std::str::from_utf8(line).ok().and_then(legacy),
        };
        known.unwrap_or_else(|| Self::Text(escape_bytes(line)))
    }
}

fn json(line: &[u8]) -> Option<Line> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |key: &str| value[key].as_str().map(|text| escape(text).into_owned());
    Some(match value["type"].as_str()? {
        "log_message" => Line::Log(LogMessage {
            level: Level::from_name(value["levelname"].as_str().unwrap_or_default()),
            logger: text("name").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            msgid: text("msgid"),
        }),
        "progress_percent" | "progress_message" => Line::Progress(Progress {
            operation: value["operation"].as_i64().unwrap_or_default(),
            msgid: text("msgid"),
            message: text("message"),
            steps: value["current"].as_u64().zip(value["total"].as_u64()),
            finished: value["finished"].as_bool().unwrap_or_default(),
        }),
        other => Line::UnknownType(escape(other).into_owned()),
    })
}

/// `$LOG LEVEL Remote: text` or `$LOG LEVEL logger Remote: text`.
fn legacy(line: &str) -> Option<Line> {
    let (level, rest) = line.strip_prefix("$LOG ")?.split_once(' ')?;
    let (logger, message) = if rest.starts_with("Remote:") { ("", rest) } else { rest.split_once(' ')? };
    let message = message.strip_prefix("Remote:").unwrap_or(message);
    Some(Line::Log(LogMessage {
        level: Level::from_name(level),
        logger: escape(logger).into_owned(),
        message: escape(message.trim()).into_owned(),
        msgid: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(level: Level, logger: &str, message: &str) -> Line {
        Line::Log(LogMessage { level, logger: logger.to_owned(), message: message.to_owned(), msgid: None })
    }

    #[test]
    fn a_log_line_is_read_in_every_form() {
        for (line, expected) in [
            (
                r#"{"type": "log_message", "time": 1.5, "message": "Gone.", "levelname": "ERROR", "name": "borg.repository"}"#,
                log(Level::Error, "borg.repository", "Gone."),
            ),
            ("$LOG INFO borg.repository Remote: Gone.", log(Level::Info, "borg.repository", "Gone.")),
            ("$LOG WARNING Remote: Gone.", log(Level::Warning, "", "Gone.")),
            ("$LOG LOUD Remote: Gone.", log(Level::Critical, "", "Gone.")),
            (r#"{"type": "log_message"}"#, log(Level::Critical, "", "")),
        ] {
            assert_eq!(Line::parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_log_line_is_shown_as_it_is() {
        for line in ["Connection to host closed.", "{not json", "{}", "[1]", "$LOG", "$LOG INFO", "{\"type\": 3}"] {
            assert_eq!(Line::parse(line.as_bytes()), Line::Text(line.to_owned()));
        }
        assert_eq!(Line::parse(br#"{"type": "question_prompt"}"#), Line::UnknownType("question_prompt".to_owned()));
    }

    #[test]
    fn nothing_in_a_line_steers_a_terminal() {
        let line = r#"{"type": "log_message", "message": "a\u001b[2Jb\nc", "levelname": "INFO", "name": "x\u0007"}"#;
        assert_eq!(Line::parse(line.as_bytes()), log(Level::Info, "x\\u{7}", "a\\u{1b}[2Jb\\nc"));
        assert_eq!(Line::parse(b"\x1b]0;title\x07 \xff"), Line::Text("\\u{1b}]0;title\\u{7} \\xff".to_owned()));
        assert_eq!(Line::parse(b"$LOG INFO a\x1b Remote: b\x1b"), log(Level::Info, "a\\u{1b}", "b\\u{1b}"));
    }
}
