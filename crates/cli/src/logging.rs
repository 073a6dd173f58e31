//! The log: one line for each entry, with its time and level, in plain words.
//!
//! The daemon's log is its standard output, which is where Docker looks. A command by hand answers on standard output,
//! so its log goes to standard error. On a terminal the lines are short, and a level is only named where something is
//! out of the ordinary.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use jiff::Zoned;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use worldkeeper_remote::serve::{self, ErrorStream};

use crate::escape::escape;

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// To standard output.
    Output,
    /// To standard error.
    Error,
}

/// Starts the log. `screen` holds the progress bars, which stand aside while a line is written.
pub(crate) fn start(level: Level, stream: Stream, screen: MultiProgress) {
    let terminal = match stream {
        Stream::Output => io::stdout().is_terminal(),
        Stream::Error => io::stderr().is_terminal(),
    };
    // Other people's crates tell at debug what is sent and received, which may hold what is nobody's business.
    let filter = Targets::new().with_default(level.min(Level::INFO)).with_target("worldkeeper", level);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(if terminal { Lines::Short } else { Lines::Full })
        .with_writer(Screen { stream, bars: screen });
    tracing_subscriber::registry().with(filter).with(lines).init();
}

/// Starts the log of a server: its client is told, as far as it wants to be.
pub(crate) fn start_for_client(errors: ErrorStream) {
    let filter = Targets::new().with_target("worldkeeper", Level::DEBUG);
    tracing_subscriber::registry().with(filter).with(ForClient(errors)).init();
}

/// Hands entries over to the client's error stream.
struct ForClient(ErrorStream);

impl<S: Subscriber> Layer<S> for ForClient {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => serve::Level::Error,
            Level::WARN => serve::Level::Warning,
            Level::INFO => serve::Level::Info,
            _ => serve::Level::Debug,
        };
        let is_repository = event.metadata().target().starts_with("worldkeeper_repository");
        let logger = if is_repository { "borg.repository" } else { "borg.remote" };
        let mut text = String::new();
        if DefaultFields::new().format_fields(Writer::new(&mut text), event).is_ok() {
            self.0.log(level, logger, &escape(&text));
        }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug)]
enum Lines {
    /// `2026-11-20T10:00:00+01:00 INFO the text`
    Full,
    /// `10:00:00 the text`
    Short,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        ctx.field_format().format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{}", line(*self, &Zoned::now(), *event.metadata().level(), &text))
    }
}

fn line(lines: Lines, now: &Zoned, level: Level, text: &str) -> String {
    let text = escape(text);
    match lines {
        Lines::Full => format!("{} {level} {text}", now.strftime("%Y-%m-%dT%H:%M:%S%:z")),
        Lines::Short => {
            let (mark, end) = match level {
                Level::ERROR => ("\x1b[31merror: ", "\x1b[0m"),
                Level::WARN => ("\x1b[33mwarning: ", "\x1b[0m"),
                Level::INFO => ("", ""),
                _ => ("\x1b[2m", "\x1b[0m"),
            };
            format!("{} {mark}{text}{end}", now.strftime("%H:%M:%S"))
        }
    }
}

/// Writes whole lines to a stream, while the progress bars stand aside.
struct Screen {
    stream: Stream,
    bars: MultiProgress,
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| match self.stream {
            Stream::Output => io::stdout().write_all(bytes),
            Stream::Error => io::stderr().write_all(bytes),
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_whatever_is_in_it() {
        let now: Zoned = "2026-11-20T10:00:00+01:00[Europe/Berlin]".parse().unwrap();
        let full = line(Lines::Full, &now, Level::WARN, "cannot read a\nb\x1b[2J");
        assert_eq!(full, "2026-11-20T10:00:00+01:00 WARN cannot read a\\nb\\u{1b}[2J");
        assert_eq!(line(Lines::Short, &now, Level::INFO, "all is well"), "10:00:00 all is well");
        assert_eq!(line(Lines::Short, &now, Level::ERROR, "no"), "10:00:00 \x1b[31merror: no\x1b[0m");
    }
}
