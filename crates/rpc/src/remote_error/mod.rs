//! What the server refused or failed in: one of borg's exceptions, kept by name with its arguments.
//!
//! A client rebuilds the exceptions it knows from their name and arguments, and shows of all others what the server says
//! about them. Names that are not known here survive; [`RemoteError::class`] tells those that are.

mod arg;
mod class;
mod repository;
mod size;
mod wire;

use std::fmt;

use worldkeeper_core::escape::escape;

pub use arg::Arg;
pub use class::Class;
pub use repository::AsSeen;
pub use size::format as format_size;
pub(crate) use wire::FIELDS;

/// An exception as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    /// The name of its class.
    pub name: String,
    /// What it was made with.
    pub args: Vec<Arg>,
    /// In a line or two, for the person at the client. Not escaped.
    pub short: Box<str>,
    /// With the traceback. Not escaped.
    pub full: Box<str>,
    /// Whether the client should show the traceback.
    pub has_traceback: bool,
    /// About the server's system. Not escaped.
    pub sysinfo: Box<str>,
}

impl RemoteError {
    /// One of borg's own exceptions.
    pub fn borg(class: Class, args: impl IntoIterator<Item = Arg>) -> Self {
        let args: Vec<_> = args.into_iter().collect();
        let short: Box<str> = class.message(&args).into();
        let full = format!("{}: {short}\n", class.name()).into();
        let has_traceback = class.has_traceback();
        Self { name: class.name().to_owned(), args, short, full, has_traceback, sysinfo: Box::default() }
    }

    /// One of Python's, which borg does not catch.
    pub fn python(name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        // Python shows a missing key as it would be written in a program.
        let shown = if name == "KeyError" { format!("'{text}'") } else { text.clone() };
        let short: Box<str> = format!("{name}: {shown}\n").into();
        let args = vec![Arg::from(text)];
        Self { name: name.to_owned(), args, full: short.clone(), short, has_traceback: true, sysinfo: Box::default() }
    }

    /// Which of borg's own it is.
    pub fn class(&self) -> Option<Class> {
        Class::from_name(&self.name)
    }

    /// An argument as text; empty if there is none.
    pub fn text(&self, number: usize) -> String {
        self.args.get(number).map(Arg::to_string).unwrap_or_default()
    }
}

/// Its name and what it says, fit for a terminal.
impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = escape(&self.name);
        let short = self.short.trim();
        let short = short.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(short);
        if short.is_empty() { f.write_str(&name) } else { write!(f, "{name}: {}", escape(short)) }
    }
}

impl std::error::Error for RemoteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_cannot_steer_a_terminal() {
        let error = RemoteError::python("ValueError", "\x1b[2J\nboo");
        assert_eq!(error.to_string(), "ValueError: \\u{1b}[2J\\nboo");
        let error = RemoteError { name: "\x07".to_owned(), short: Box::default(), ..error };
        assert_eq!(error.to_string(), "\\u{7}");
    }
}
