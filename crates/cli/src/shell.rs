//! Splits a command line into words as a POSIX shell would, without being one: nothing is expanded or run.

/// Why a command line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordsError {
    /// A quotation mark without its partner.
    #[error("a quotation mark is not closed")]
    OpenQuote,
    /// A backslash with nothing behind it.
    #[error("nothing follows the last backslash")]
    LoneBackslash,
}

/// Splits as Python's `shlex.split` does, which borg uses.
pub(crate) fn split(line: &str) -> Result<Vec<String>, WordsError> {
    let mut words = Vec::new();
    // `None` between words; an empty word can only come from quotes.
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(characters.next().ok_or(WordsError::LoneBackslash)?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or(WordsError::OpenQuote)? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or(WordsError::OpenQuote)? {
                        '"' => break,
                        '\\' => match characters.next().ok_or(WordsError::OpenQuote)? {
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
    fn what_a_shell_would_ask_on_is_refused() {
        for (line, expected) in [
            ("a 'b", WordsError::OpenQuote),
            ("a \"b", WordsError::OpenQuote),
            ("a \"b\\", WordsError::OpenQuote),
            ("a\\", WordsError::LoneBackslash),
        ] {
            assert_eq!(split(line), Err(expected), "{line:?}");
        }
    }
}
