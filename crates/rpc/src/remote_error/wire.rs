//! The part of a reply that says what went wrong.
//!
//! | key             | value                                                        |
//! |-----------------|--------------------------------------------------------------|
//! | exception_class | name                                                         |
//! | exception_args  | list of text, bytes, integers, nil                           |
//! | exception_full  | list of lines with the traceback, line ends included         |
//! | exception_short | list of lines                                                |
//! | exception_trace | whether the client should show the traceback                 |
//! | sysinfo         | text, perhaps empty                                          |
//!
//! All but the class may be missing: a reply in the old form has nothing else.

use worldkeeper_core::msgpack::{DecodeError, Decoder, Encoder};

use super::{Arg, RemoteError};

/// Pairs that an error adds to its reply.
pub(crate) const FIELDS: usize = 6;
/// Borg's own have two at most.
const MAX_ARGS: usize = 16;

impl RemoteError {
    /// One of which the class alone is known.
    pub(crate) fn named(name: &[u8]) -> Self {
        Self {
            name: text(name),
            args: Vec::new(),
            short: Box::default(),
            full: Box::default(),
            has_traceback: true,
            sysinfo: Box::default(),
        }
    }

    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.raw("exception_class").raw(&self.name);
        encoder.raw("exception_args").array(self.args.len());
        for arg in &self.args {
            arg.encode(encoder);
        }
        encoder.raw("exception_full").array(1).raw(self.full.as_bytes());
        encoder.raw("exception_short").array(1).raw(self.short.as_bytes());
        encoder.raw("exception_trace").bool(self.has_traceback);
        encoder.raw("sysinfo").raw(self.sysinfo.as_bytes());
    }

    /// Takes the value of a key, if it is one of an error.
    pub(crate) fn take_field(&mut self, key: &[u8], decoder: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        match key {
            b"exception_class" => self.name = text(decoder.raw()?),
            b"exception_args" => self.args = args(decoder)?,
            b"exception_full" => self.full = lines(decoder, "")?.into(),
            b"exception_short" => self.short = lines(decoder, "\n")?.into(),
            b"exception_trace" => self.has_traceback = decoder.bool()?,
            b"sysinfo" => self.sysinfo = text(decoder.raw()?).into(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn args(decoder: &mut Decoder<'_>) -> Result<Vec<Arg>, DecodeError> {
    let mut args = Vec::new();
    for number in 0..decoder.array()? {
        if number < MAX_ARGS {
            args.push(Arg::decode(decoder)?);
        } else {
            decoder.skip()?;
        }
    }
    Ok(args)
}

/// Joined at once, so that a list of nothings takes no more than it is long.
fn lines(decoder: &mut Decoder<'_>, separator: &str) -> Result<String, DecodeError> {
    let mut joined = String::new();
    for number in 0..decoder.array()? {
        if number > 0 {
            joined += separator;
        }
        joined += &String::from_utf8_lossy(decoder.raw()?);
    }
    Ok(joined)
}
