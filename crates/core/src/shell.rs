//! Command lines, split into words and put together again as a POSIX shell would, without being one: nothing is expanded
//! or run.

use std::borrow::Cow;

/// Why a command line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A quotation mark without its partner.
    #[error("a quotation mark is not closed")]
    OpenQuote,
    /// A backslash with nothing behind it.
    #[error("nothing follows the last backslash")]
    LoneBackslash,
}

/// Splits as Python's `shlex.split` does, which borg uses.
pub fn split(line: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    // `None` between words; an empty word can only come from quotes.
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(characters.next().ok_or(SplitError::LoneBackslash)?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or(SplitError::OpenQuote)? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or(SplitError::OpenQuote)? {
                        '"' => break,
                        '\\' => match characters.next().ok_or(SplitError::OpenQuote)? {
                            escaped @ ('"' | '\\') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Writes a word so that a POSIX shell takes it for itself. Source: Python's `shlex.quote`.
pub fn quote(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r#"'"'"'"#)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_shlex() {
        // Each checked with Python 3.11's shlex.split.
        for (line, expected) in [
            ("", &[][..]),
            ("  pass  show\tborg\n", &["pass", "show", "borg"]),
            ("cat 'my file'", &["cat", "my file"]),
            (r#"sh -c "echo \"a\" \$b""#, &["sh", "-c", r#"echo "a" \$b"#]),
            (r"a\ b c\\d", &["a b", r"c\d"]),
            (r"a''b '' ''", &["ab", "", ""]),
            ("echo $HOME `x` ;|&", &["echo", "$HOME", "`x`", ";|&"]),
            (r"'a\'", &[r"a\"]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_quoted_is_one_word_again() {
        for (word, expected) in [
            ("--restrict-to-path=/srv/a", "--restrict-to-path=/srv/a"),
            ("", "''"),
            ("a b", "'a b'"),
            ("~/$x", "'~/$x'"),
            ("it's", r#"'it'"'"'s'"#),
        ] {
            assert_eq!(quote(word), expected);
            assert_eq!(split(&quote(word)).unwrap(), [word]);
        }
    }

    #[test]
    fn what_a_shell_would_ask_on_is_refused() {
        for (line, expected) in [
            ("a 'b", SplitError::OpenQuote),
            ("a \"b", SplitError::OpenQuote),
            ("a \"b\\", SplitError::OpenQuote),
            ("a\\", SplitError::LoneBackslash),
        ] {
            assert_eq!(split(line), Err(expected), "{line:?}");
        }
    }
}
