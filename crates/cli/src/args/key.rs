//! What can be typed after `key`.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with the key.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Writes a copy of the key, still under its passphrase, to be stored elsewhere
    Export {
        /// The file to write; standard output if none is named
        path: Option<PathBuf>,
        #[command(flatten)]
        form: KeyForm,
    },
    /// Puts a copy of the key back, one of stock borg's too
    Import {
        /// The file to read, `-` for standard input
        #[arg(required_unless_present = "paper")]
        path: Option<PathBuf>,
        /// What was written with `export --paper`; without a file, typed in line by line
        #[arg(long)]
        paper: bool,
    },
    /// Says that a copy of the key is stored elsewhere: until then it is asked for
    Confirm {
        /// What `key export` has printed
        fingerprint: String,
    },
    /// Puts the key under another passphrase, which comes from BORG_NEW_PASSPHRASE or a file
    ChangePassphrase {
        /// A file with the new passphrase, readable by its owner alone
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

/// What a copy of the key looks like; the text of a key file, if nothing is said.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct KeyForm {
    /// As lines with check digits, to be printed and typed in again
    #[arg(long)]
    pub(crate) paper: bool,
    /// As a web page with a QR code, to be printed, and scanned or typed in again
    #[arg(long, conflicts_with = "paper")]
    pub(crate) qr_html: bool,
}
