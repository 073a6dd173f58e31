//! An error as one line.

use std::error::Error;

/// An error and its causes, for where there is room for one line only.
pub fn error_text(error: &(dyn Error + '_)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::DiskError;

    #[test]
    fn causes_follow_and_are_not_repeated() {
        let error = DiskError::new("open", "/a", io::Error::other("it is gone"));
        assert_eq!(error_text(&error), "cannot open /a: it is gone");
        let wrapped = io::Error::other(error);
        assert_eq!(error_text(&wrapped), "cannot open /a: it is gone", "an io::Error shows what it wraps");
    }
}
