//! The dialect of INI that Python's `ConfigParser` reads and writes, without interpolation.
//!
//! Keys ignore case and end at `=` or `:`; lines that are indented further than the key go on with its value;
//! `#` and `;` begin a comment on a line of its own. What is not understood is kept and written back, comments are not.

use std::fmt;

/// Sections and their values, in the order of the file.
#[derive(Clone, Default)]
pub(super) struct Ini {
    sections: Vec<Section>,
}

#[derive(Clone)]
struct Section {
    name: String,
    /// Values of several lines have them joined by `\n`.
    values: Vec<(String, String)>,
}

/// Why a text is no INI file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IniError {
    #[error("line {line} stands before the first section")]
    NoSection { line: usize },
    #[error("line {line} is neither a section nor a value")]
    Syntax { line: usize },
    #[error("line {line} repeats a section or a key")]
    Duplicate { line: usize },
}

impl Ini {
    pub(super) fn parse(text: &str) -> Result<Self, IniError> {
        let mut ini = Self::default();
        // Indentation of the last key or section; lines that are indented further continue it.
        let mut indentation = 0;
        let mut in_value = false;
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            let content = line.trim();
            if content.starts_with(['#', ';']) {
                continue;
            }
            let indented = line.len() - line.trim_start().len();
            if in_value && (content.is_empty() || indented > indentation) {
                let value = ini.sections.last_mut().and_then(|section| section.values.last_mut());
                if let Some((_, value)) = value {
                    value.push('\n');
                    value.push_str(content);
                }
                continue;
            }
            if content.is_empty() {
                continue;
            }
            indentation = indented;
            if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let name = name.0;
                if ini.has_section(name) {
                    return Err(IniError::Duplicate { line: number });
                }
                ini.sections.push(Section { name: name.to_owned(), values: Vec::new() });
                in_value = false;
                continue;
            }
            let section = ini.sections.last_mut().ok_or(IniError::NoSection { line: number })?;
            let (key, value) = content.split_once(['=', ':']).ok_or(IniError::Syntax { line: number })?;
            let key = key.trim_end().to_lowercase();
            if key.is_empty() {
                return Err(IniError::Syntax { line: number });
            }
            if section.values.iter().any(|(name, _)| *name == key) {
                return Err(IniError::Duplicate { line: number });
            }
            section.values.push((key, value.trim().to_owned()));
            in_value = true;
        }
        for (_, value) in ini.sections.iter_mut().flat_map(|section| &mut section.values) {
            value.truncate(value.trim_end().len());
        }
        Ok(ini)
    }

    pub(super) fn has_section(&self, section: &str) -> bool {
        self.sections.iter().any(|found| found.name == section)
    }

    pub(super) fn value(&self, section: &str, key: &str) -> Option<&str> {
        let section = self.sections.iter().find(|found| found.name == section)?;
        section.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets a value, making the section and the key if need be.
    pub(super) fn set(&mut self, section: &str, key: &str, value: String) {
        let at = self.sections.iter().position(|found| found.name == section).unwrap_or_else(|| {
            self.sections.push(Section { name: section.to_owned(), values: Vec::new() });
            self.sections.len() - 1
        });
        let values = &mut self.sections[at].values;
        match values.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => values.push((key.to_owned(), value)),
        }
    }

    /// Removes a value; returns whether it was there.
    pub(super) fn remove(&mut self, section: &str, key: &str) -> bool {
        let Some(section) = self.sections.iter_mut().find(|found| found.name == section) else { return false };
        let before = section.values.len();
        section.values.retain(|(name, _)| name != key);
        section.values.len() < before
    }
}

/// Writes the file as Python does: further lines of a value begin with a TAB.
impl fmt::Display for Ini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "[{}]", section.name)?;
            for (key, value) in &section.values {
                writeln!(f, "{key} = {}", value.replace('\n', "\n\t"))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The key blob is among the values, so only their names are shown.
impl fmt::Debug for Ini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |section: &Section| section.values.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        f.debug_map().entries(self.sections.iter().map(|section| (&section.name, names(section)))).finish()
    }
}
