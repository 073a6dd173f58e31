//! Files that a crash left without content: the length was written and the data was not, or neither was.

use worldkeeper_core::{Defects, Judge};

/// Sees whether there is anything but zeros.
#[derive(Debug)]
pub(crate) struct Blank {
    len: u64,
    is_blank: bool,
}

impl Blank {
    pub(crate) fn new() -> Self {
        Self { len: 0, is_blank: true }
    }

    /// Takes the next bytes; looks at them only as long as there was nothing else.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.is_blank = self.is_blank && bytes.iter().all(|byte| *byte == 0);
    }

    /// Adds what is wrong if there was nothing else.
    pub(crate) fn tell(&self, defects: &mut Defects) {
        match self.len {
            _ if !self.is_blank => {}
            0 => defects.add(format_args!("it is empty")),
            len => defects.add(format_args!("it holds nothing but zeros, {len} bytes of them")),
        }
    }
}

/// Of a file of which nothing else can be told.
impl Judge for Blank {
    fn look(&mut self, bytes: &[u8]) {
        self.see(bytes);
    }

    fn finish(self: Box<Self>) -> Defects {
        let mut defects = Defects::default();
        self.tell(&mut defects);
        defects
    }
}
