//! The lines that a server writes, as stock's writes them.

use serde_json::{Map, Value};

use super::{LogMessage, Progress};

impl LogMessage {
    /// As a client that has negotiated takes it; `time` in seconds since 1970.
    pub fn to_json_line(&self, time: f64) -> String {
        let mut line = object("log_message", time);
        line.insert("message".to_owned(), self.message.clone().into());
        line.insert("levelname".to_owned(), self.level.name().into());
        line.insert("name".to_owned(), self.logger.clone().into());
        if let Some(msgid) = &self.msgid {
            line.insert("msgid".to_owned(), msgid.clone().into());
        }
        finish(line)
    }

    /// As any other client takes it; a message of several lines becomes as many.
    pub fn to_legacy_lines(&self) -> String {
        let (level, logger) = (self.level.name(), self.logger.as_str());
        let mut lines = String::new();
        for line in self.message.lines() {
            lines.extend(["$LOG ", level, " ", logger, " Remote: ", line, "\n"]);
        }
        lines
    }
}

impl Progress {
    /// As a client that has negotiated takes it; others are sent none. `time` in seconds since 1970.
    pub fn to_json_line(&self, time: f64) -> String {
        let mut line = object("progress_percent", time);
        line.insert("operation".to_owned(), self.operation.into());
        line.insert("msgid".to_owned(), self.msgid.clone().into());
        line.insert("finished".to_owned(), self.finished.into());
        if !self.finished {
            line.insert("message".to_owned(), self.message.clone().into());
            line.insert("info".to_owned(), Value::Null);
        }
        if let Some((current, total)) = self.steps {
            line.insert("current".to_owned(), current.into());
            line.insert("total".to_owned(), total.into());
        }
        finish(line)
    }
}

fn object(kind: &str, time: f64) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), kind.into()), ("time".to_owned(), time.into())])
}

fn finish(line: Map<String, Value>) -> String {
    format!("{}\n", Value::Object(line))
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Line, Lines};
    use super::*;

    #[test]
    fn what_is_written_is_read_alike() {
        let message = LogMessage {
            level: Level::Warning,
            logger: "borg.repository".to_owned(),
            message: "☃ is \"cold\"".to_owned(),
            msgid: None,
        };
        for line in [message.to_json_line(1.25), message.to_legacy_lines()] {
            assert_eq!(Lines::default().receive(line.as_bytes()), [Line::Log(message.clone())]);
        }
        let named = LogMessage { msgid: Some("repository.open".to_owned()), ..message };
        let line = named.to_json_line(1.25);
        assert_eq!(Lines::default().receive(line.as_bytes()), [Line::Log(named)]);

        let going_on = Progress {
            operation: 1,
            msgid: Some("repository.check".to_owned()),
            message: Some("Checking segments 10.0%".to_owned()),
            steps: Some((2, 10)),
            finished: false,
        };
        let done = Progress { message: None, steps: None, finished: true, ..going_on.clone() };
        for progress in [going_on, done] {
            let line = progress.to_json_line(1.25);
            assert_eq!(Lines::default().receive(line.as_bytes()), [Line::Progress(progress)]);
        }
    }

    #[test]
    fn a_line_holds_no_line_end_but_its_own() {
        let message =
            LogMessage { level: Level::Error, logger: "borg".to_owned(), message: "one\ntwo".to_owned(), msgid: None };
        assert_eq!(message.to_json_line(0.0).matches('\n').count(), 1);
        assert_eq!(message.to_legacy_lines(), "$LOG ERROR borg Remote: one\n$LOG ERROR borg Remote: two\n");
    }
}
