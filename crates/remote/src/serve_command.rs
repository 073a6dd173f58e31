//! What is run on the other machine.

use worldkeeper_core::shell;

/// `borg serve`, as stock borg calls it.
///
/// Source: borg 1.4 `remote.py`, `RemoteRepository.borg_cmd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeCommand {
    /// How borg is called there (`BORG_REMOTE_PATH`): given to the shell there as it is, so that `~/bin/borg` and
    /// `sudo borg` mean what they say.
    pub program: String,
    /// Options of `serve`; each stays one word.
    pub options: Vec<String>,
}

impl ServeCommand {
    /// The words that follow the host in a command line; the shell there gets them with blanks between.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> {
        let options = self.options.iter().map(|option| shell::quote(option).into_owned());
        [self.program.clone(), "serve".to_owned()].into_iter().chain(options)
    }

    /// The line for the shell there.
    pub(crate) fn line(&self) -> String {
        self.words().collect::<Vec<_>>().join(" ")
    }
}

impl Default for ServeCommand {
    fn default() -> Self {
        Self { program: "borg".to_owned(), options: Vec::new() }
    }
}
