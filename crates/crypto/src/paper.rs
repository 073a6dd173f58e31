//! A key on paper: short lines of hex digits, each with check digits, to be typed in again.
//!
//! ```text
//! To restore key use borg key import --paper /path/to/repo
//!
//! BORG PAPER KEY v1
//! id: 20 / 11192f 4cc20d 41654d / 76a8bd c48d86 - b3
//!  1: 86a961 6c676f 726974 686da6 736861 323536 - 14
//! ```
//!
//! The id line has the number of lines that follow, the first 9 bytes of the repository's id, and the first 6 bytes of
//! the SHA-256 of the packed key blob. Behind `-` is the first byte of a SHA-256: in the id line of what stands before
//! it without spaces, in all others of the line's number (u16, big endian) and its 18 bytes.
//!
//! Source: borg 1.4 `crypto/keymanager.py`, `export_paperkey`, `import_paperkey`.

use std::fmt;

use sha2::{Digest, Sha256};
use worldkeeper_core::RepositoryId;

use crate::blob::{KeyBlob, KeyBlobError};
use crate::key_file::KeyFile;

/// Shows a key as it goes on paper.
#[derive(Clone, Copy, Debug)]
pub struct PaperKey<'a>(pub &'a KeyFile);

/// Reads the lines of a key on paper, one at a time, so that one with a slip can be typed again.
#[derive(Debug)]
pub struct PaperReader {
    repository_id: RepositoryId,
    head: Option<Head>,
    /// What the lines so far hold.
    packed: Vec<u8>,
    /// How many lines there were behind the id line.
    lines: u16,
}

/// Why a line is not taken. It can be given again, except where the whole is wrong: then the id line is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// Another line's turn.
    #[error("line {expected} is expected")]
    OtherLine {
        /// What it begins with.
        expected: String,
    },
    /// Not of the form that the lines have.
    #[error("a line of {form:?} is expected")]
    Form {
        /// The form.
        form: &'static str,
    },
    /// A slip.
    #[error("the check digits of the line do not match it")]
    CheckDigits,
    /// It is another repository's.
    #[error("the key is for a repository whose id begins with {0}")]
    OtherRepository(String),
    /// Each line matches its check digits; all together do not match theirs.
    #[error("the lines do not belong together")]
    Together,
    /// They match, and hold no key.
    #[error("the lines hold no key")]
    Blob(#[from] KeyBlobError),
}

/// What the id line says.
#[derive(Debug)]
struct Head {
    lines: u16,
    checksum: String,
}

impl fmt::Display for PaperKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packed = self.0.blob.encode();
        let lines = packed.chunks(LINE);
        let (count, repository, checksum) = (lines.len(), id_prefix(self.0.repository_id), checksum(&packed));
        let check = id_check_digits(&format!("{count}/{repository}/{checksum}"));
        writeln!(f, "{INTRODUCTION}\n\n{TITLE}")?;
        writeln!(f, "id: {count} / {} / {} - {check}", grouped(&repository), grouped(&checksum))?;
        // A key blob has some hundred bytes.
        for (number, bytes) in (1_u16..).zip(lines) {
            writeln!(f, "{number:2}: {} - {}", grouped(&hex::encode(bytes)), check_digits(number, bytes))?;
        }
        Ok(())
    }
}

impl PaperReader {
    /// Expects the key of a repository.
    pub fn new(repository_id: RepositoryId) -> Self {
        Self { repository_id, head: None, packed: Vec::new(), lines: 0 }
    }

    /// What the next line begins with: `id`, or its number.
    pub fn expects(&self) -> String {
        if self.head.is_none() { "id".to_owned() } else { (self.lines + 1).to_string() }
    }

    /// Takes the next line, with what it begins with or without; gives the key with the last one. Empty lines and what
    /// stands above the id line are passed over.
    pub fn line(&mut self, line: &str) -> Result<Option<KeyFile>, PaperError> {
        let line = line.trim_ascii();
        if line.is_empty() || (self.head.is_none() && [INTRODUCTION, TITLE].contains(&line)) {
            return Ok(None);
        }
        let content = match line.split_once(':') {
            Some((label, _)) if !label.trim_ascii().eq_ignore_ascii_case(&self.expects()) => {
                return Err(PaperError::OtherLine { expected: self.expects() });
            }
            Some((_, content)) => content,
            None => line,
        };
        let compact: String = content.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        let compact = compact.to_ascii_lowercase();
        match &self.head {
            None => {
                self.head = Some(self.read_id_line(&compact)?);
                return Ok(None);
            }
            Some(head) => {
                let number = self.lines + 1;
                self.packed.extend(read_line(number, &compact)?);
                self.lines = number;
                if number < head.lines {
                    return Ok(None);
                }
            }
        }
        let (packed, head) = (std::mem::take(&mut self.packed), self.head.take());
        self.lines = 0;
        if head.is_none_or(|head| head.checksum != checksum(&packed)) {
            return Err(PaperError::Together);
        }
        Ok(Some(KeyFile { repository_id: self.repository_id, blob: KeyBlob::decode(&packed)? }))
    }

    fn read_id_line(&self, compact: &str) -> Result<Head, PaperError> {
        let form = PaperError::Form { form: "20 / 11192f 4cc20d 41654d / 76a8bd c48d86 - b3" };
        let parts = compact.split_once('-').and_then(|(data, check)| {
            let (lines, rest) = data.split_once('/')?;
            let (repository, checksum) = rest.split_once('/')?;
            Some((data, check, lines, repository, checksum))
        });
        let Some((data, check, lines, repository, checksum)) = parts else { return Err(form) };
        if id_check_digits(data) != check {
            return Err(PaperError::CheckDigits);
        }
        if repository != id_prefix(self.repository_id) {
            return Err(PaperError::OtherRepository(repository.to_owned()));
        }
        match lines.parse() {
            Ok(lines @ 1..=MAX_LINES) => Ok(Head { lines, checksum: checksum.to_owned() }),
            _ => Err(form),
        }
    }
}

fn read_line(number: u16, compact: &str) -> Result<Vec<u8>, PaperError> {
    let form = PaperError::Form { form: "86a961 6c676f 726974 686da6 736861 323536 - 14" };
    let Some((data, check)) = compact.split_once('-') else { return Err(form) };
    let bytes = hex::decode(data).map_err(|_| form)?;
    if check_digits(number, &bytes) == check { Ok(bytes) } else { Err(PaperError::CheckDigits) }
}

fn id_prefix(id: RepositoryId) -> String {
    hex::encode(&id.0[..9])
}

fn checksum(packed: &[u8]) -> String {
    hex::encode(&Sha256::digest(packed)[..6])
}

fn id_check_digits(data: &str) -> String {
    hex::encode(&Sha256::digest(data)[..1])
}

fn check_digits(number: u16, bytes: &[u8]) -> String {
    let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(bytes).finalize();
    hex::encode(&digest[..1])
}

/// Puts a space behind every six digits.
fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 6 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

const INTRODUCTION: &str = "To restore key use borg key import --paper /path/to/repo";
const TITLE: &str = "BORG PAPER KEY v1";
/// The bytes in a line.
const LINE: usize = 18;
/// Nobody types more; a key has about thirty.
const MAX_LINES: u16 = 999;

/// Body of a fuzz target: whatever is typed, it ends, and what was read is on paper what was typed.
pub fn fuzz_paper(text: &str) {
    // Whose it is, it says itself.
    let prefix = text.split('/').nth(1).map(|part| part.replace(' ', "")).and_then(|part| hex::decode(part).ok());
    let mut id = [0; 32];
    if let Some(prefix) = prefix.filter(|prefix| prefix.len() == 9) {
        id[..9].copy_from_slice(&prefix);
    }
    let mut reader = PaperReader::new(RepositoryId(id));
    for line in text.lines() {
        if let Ok(Some(key_file)) = reader.line(line) {
            let mut again = PaperReader::new(RepositoryId(id));
            let paper = PaperKey(&key_file).to_string();
            let read = paper.lines().try_fold(None, |found, line| Ok::<_, PaperError>(again.line(line)?.or(found)));
            assert_eq!(read, Ok(Some(key_file)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{EncryptionMode, Key};

    const ID: RepositoryId = RepositoryId([0xab; 32]);

    fn key_file() -> KeyFile {
        let key = Key::generate(EncryptionMode::Keyfile, ID, &mut |bytes| bytes.fill(1));
        KeyFile { repository_id: ID, blob: KeyBlob::seal(&key, "p", &mut |salt| salt.fill(1)) }
    }

    /// What the last line gives.
    fn read(text: &str) -> Result<Option<KeyFile>, PaperError> {
        let mut reader = PaperReader::new(ID);
        text.lines().try_fold(None, |found, line| Ok(reader.line(line)?.or(found)))
    }

    #[test]
    fn it_is_read_however_it_is_typed() {
        let key_file = key_file();
        let text = PaperKey(&key_file).to_string();
        let bare = text.lines().filter_map(|line| Some(line.split_once(": ")?.1)).collect::<Vec<_>>().join("\n");
        let shouted = bare.to_ascii_uppercase();
        let upper = text.replace(" - ", "-").replace("id:", "ID :");
        for typed in [&text, &bare, &shouted, &upper, &text.replace('\n', "\r\n\n"), &bare.replace(' ', "")] {
            assert_eq!(read(typed), Ok(Some(key_file.clone())), "{typed}");
        }
    }

    #[test]
    fn a_slip_is_noticed_in_its_line_which_can_be_typed_again() {
        let key_file = key_file();
        let text = PaperKey(&key_file).to_string();
        let lines: Vec<_> = text.lines().skip(3).collect();
        let mut reader = PaperReader::new(ID);
        let mut found = None;
        for line in lines {
            assert_eq!(Some(reader.expects().as_str()), line.split_once(':').map(|(label, _)| label.trim()));
            let last = line.len() - 1;
            let other = if line.ends_with('0') { "1" } else { "0" };
            assert_eq!(reader.line(&format!("{}{other}", &line[..last])), Err(PaperError::CheckDigits));
            assert!(matches!(reader.line("99: 00 - 00"), Err(PaperError::OtherLine { .. })));
            assert!(matches!(reader.line("hello"), Err(PaperError::Form { .. })));
            found = reader.line(line).unwrap();
        }
        assert_eq!(found, Some(key_file));
        assert_eq!(reader.expects(), "id");
    }

    #[test]
    fn lines_of_two_papers_do_not_make_a_key() {
        let (first, second) = (key_file(), {
            let key = Key::generate(EncryptionMode::Keyfile, ID, &mut |bytes| bytes.fill(1));
            KeyFile { repository_id: ID, blob: KeyBlob::seal(&key, "q", &mut |salt| salt.fill(1)) }
        });
        let (first, second) = (PaperKey(&first).to_string(), PaperKey(&second).to_string());
        let mixed: Vec<_> = first.lines().take(9).chain(second.lines().skip(9)).collect();
        assert_eq!(read(&mixed.join("\n")), Err(PaperError::Together));
        let mut reader = PaperReader::new(RepositoryId([1; 32]));
        let id_line = first.lines().nth(3).unwrap();
        assert_eq!(reader.line(id_line), Err(PaperError::OtherRepository("ab".repeat(9))));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, digits in "[0-9a-f /:-]{0,60}") {
            let _ = read(&text);
            let _ = read(&digits);
            let mut reader = PaperReader::new(ID);
            let id_line = format!("9/{}/0", id_prefix(ID));
            prop_assert_eq!(reader.line(&format!("{id_line}-{}", id_check_digits(&id_line))), Ok(None));
            let _ = reader.line(&digits);
        }
    }
}
