//! Tables, aligned for terminals and as Markdown has them, so that they can be copied into a document.

use std::fmt;

/// Rows of words below headings. The first column is text, the others are figures.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(ToOwned::to_owned).to_vec()] }
    }

    /// Adds a row; cells that are missing stay empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width =
            |column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or_default().max(3);
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            f.write_str("|")?;
            for (column, width) in widths.iter().enumerate() {
                let cell = cell(row, column);
                if column == 0 { write!(f, " {cell:width$} |")? } else { write!(f, " {cell:>width$} |")? }
            }
            writeln!(f)?;
            if number == 0 {
                f.write_str("|")?;
                for (column, width) in widths.iter().enumerate() {
                    let line = "-".repeat(*width);
                    if column == 0 { write!(f, "-{line}-|")? } else { write!(f, "-{line}:|")? }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_they_hold() {
        let mut table = Table::new(["", "wall, s", "×"]);
        table.row(["worldkeeper".to_owned(), "1.20".to_owned()]);
        table.row(["borg".to_owned(), "12345.60".to_owned(), "10.3".to_owned()]);
        let expected = "\
            |             |  wall, s |    × |\n\
            |-------------|---------:|-----:|\n\
            | worldkeeper |     1.20 |      |\n\
            | borg        | 12345.60 | 10.3 |\n";
        assert_eq!(table.to_string(), expected);
    }
}
