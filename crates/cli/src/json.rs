//! JSON as Python writes it: what reads stock's output reads ours, byte for byte.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// A value on one line.
pub(crate) fn line(value: &impl Serialize) -> String {
    text(value, Line)
}

/// A value on lines of its own, indented by four.
pub(crate) fn document(value: &impl Serialize) -> String {
    text(value, Document(PrettyFormatter::with_indent(b"    ")))
}

/// Bytes as text; for those that are no UTF-8 stands a `?` each, as in stock.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

fn text(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).expect("our own values have text as keys");
    String::from_utf8(bytes).expect("all that is not ASCII is escaped")
}

/// Everything on one line, with a space behind each comma and colon.
struct Line;

impl Formatter for Line {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        write_ascii(writer, fragment)
    }
}

/// As [`PrettyFormatter`], in ASCII.
struct Document(PrettyFormatter<'static>);

impl Formatter for Document {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        write_ascii(writer, fragment)
    }
}

/// Writes text whose quotes and controls are escaped already, and escapes what is not ASCII.
fn write_ascii<W: ?Sized + Write>(writer: &mut W, fragment: &str) -> io::Result<()> {
    for character in fragment.chars() {
        if character.is_ascii() {
            writer.write_all(&[character as u8])?;
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_what_python_writes() {
        let value = json!({"path": "é\u{1}\"\u{1f30d}\u{7f}\n", "changes": [1, null, {"a": true}], "none": []});
        let expected = "{\"changes\": [1, null, {\"a\": true}], \"none\": [], \
                        \"path\": \"\\u00e9\\u0001\\\"\\ud83c\\udf0d\u{7f}\\n\"}";
        assert_eq!(line(&value), expected);
        assert_eq!(
            document(&json!({"a": [1], "b": "é", "c": []})).lines().collect::<Vec<_>>(),
            ["{", "    \"a\": [", "        1", "    ],", "    \"b\": \"\\u00e9\",", "    \"c\": []", "}",]
        );
        assert_eq!(lossy(b"a\xff\xc3\xa9\xe2\x82"), "a?é??");
    }
}
