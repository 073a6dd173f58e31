//! What can be typed after `trust-host`.

/// Which host, and by which key.
#[derive(Debug, clap::Args)]
pub(crate) struct TrustHost {
    /// HOST, HOST:PORT or `[ADDRESS]:PORT`; that of the repository if none is named
    pub(crate) host: Option<String>,
    /// What its owner has told you, SHA256:... . Without, the host's keys are shown, and on a terminal you are asked
    pub(crate) fingerprint: Option<String>,
    /// Forgets the keys that were pinned for it until now: for a host whose key was changed on purpose
    #[arg(long)]
    pub(crate) replace: bool,
}

impl TrustHost {
    /// Returns whether a host is named: what is typed first may be the fingerprint of the repository's.
    pub(crate) fn names_host(&self) -> bool {
        self.host.as_deref().is_some_and(|host| !host.starts_with("SHA256:"))
    }
}
