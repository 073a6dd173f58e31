//! SQLite databases, by what they begin with: Luanti, Vintage Story, ARK, Project Zomboid, and plugins of every game.
//!
//! Only the file itself is judged. A `-wal` or `-journal` beside it is a part of the database, and lies in the archive as
//! a file of its own; what it would add or take back is not known here, but that both must be of one moment. And it is cut at
//! its pages, which are what is written.

mod plan;

use worldkeeper_core::{Defects, FileFormat, Judge, Known, Plan, RangeReader};

/// SQLite's database file.
#[derive(Clone, Copy, Debug)]
pub struct Sqlite;

impl FileFormat for Sqlite {
    fn judge(&self, _: &[u8], head: &[u8]) -> Option<Box<dyn Judge>> {
        head.starts_with(MAGIC).then(|| Box::new(Database { header: [0; HEADER_LEN], len: 0 }) as Box<dyn Judge>)
    }

    fn plan(&self, _: &[u8], file: &mut dyn RangeReader, _: &Known<'_>) -> Option<Plan> {
        plan::plan(file)
    }

    fn main_of<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        let main = name.strip_suffix(b"-wal").or_else(|| name.strip_suffix(b"-journal"));
        main.filter(|main| !main.is_empty())
    }
}

const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_LEN: usize = 100;

/// The front of a database.
///
/// | bytes  | field             | encoding | meaning                                                    |
/// |--------|-------------------|----------|------------------------------------------------------------|
/// | 0..16  | magic             | text     | `SQLite format 3\0`                                        |
/// | 16..18 | page size         | u16 BE   | a power of two from 512 on; 1 stands for 65,536            |
/// | 18, 19 | versions          | u8       | to write and to read: 1 with a rollback journal, 2 a WAL   |
/// | 24..28 | change counter    | u32 BE   | rises with each change                                     |
/// | 28..32 | page count        | u32 BE   | counts if it is not 0, and 92..96 is the change counter    |
/// | 92..96 | version valid for | u32 BE   | the change counter when the page count was written         |
///
/// Source: <https://www.sqlite.org/fileformat2.html>, section 1.3.
struct Database {
    header: [u8; HEADER_LEN],
    len: u64,
}

impl Judge for Database {
    fn look(&mut self, bytes: &[u8]) {
        if let Ok(filled) = usize::try_from(self.len)
            && let Some(rest) = self.header.get_mut(filled..)
        {
            let len = rest.len().min(bytes.len());
            rest[..len].copy_from_slice(&bytes[..len]);
        }
        self.len += bytes.len() as u64;
    }

    fn finish(self: Box<Self>) -> Defects {
        let mut defects = Defects::default();
        if self.len < HEADER_LEN as u64 {
            defects.add(format_args!("it ends within its header, after {} bytes", self.len));
            return defects;
        }
        let page_size = page_size(&self.header);
        if !is_possible(page_size) {
            defects.add(format_args!("it has pages of {page_size} bytes, which no database has"));
            return defects;
        }
        let (pages, rest) = (self.len / u64::from(page_size), self.len % u64::from(page_size));
        if rest != 0 {
            defects.add(format_args!("it ends within a page: its {} bytes are no multiple of {page_size}", self.len));
        }
        match self.page_count() {
            Some(count) if u64::from(count) > pages => {
                defects.add(format_args!("it lacks pages: it counts {count} of them, and has {pages}"));
            }
            _ => {}
        }
        defects
    }
}

impl Database {
    /// How many pages there are, as far as this file alone can say. With a WAL the last of them may lie there.
    fn page_count(&self) -> Option<u32> {
        let counts_here = self.header[18] == 1 && self.header[19] == 1;
        let (count, is_current) = (self.word(28), self.word(24) == self.word(92));
        (counts_here && is_current && count > 0).then_some(count)
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.header[at], self.header[at + 1], self.header[at + 2], self.header[at + 3]])
    }
}

/// How long the pages of a database are, in bytes.
fn page_size(header: &[u8; HEADER_LEN]) -> u32 {
    match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => size.into(),
    }
}

/// Returns whether databases have such pages.
fn is_possible(page_size: u32) -> bool {
    page_size >= 512 && page_size.is_power_of_two()
}
