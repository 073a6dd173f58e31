//! Whom to ask before a host is trusted.

use crate::commands::{SshKeyProblem, TrustProblem};

/// What to do about a host that is not trusted.
pub(super) fn trust(error: &TrustProblem) -> Option<String> {
    match error {
        TrustProblem::NoHost => Some("name the host: worldkeeper trust-host HOST".to_owned()),
        TrustProblem::NotConfirmed { host, fingerprint } => Some(format!(
            "compare with what the host's owner tells you, then: worldkeeper trust-host {host} {fingerprint}"
        )),
        TrustProblem::NoMatch { host, .. } => Some(format!(
            "its keys are listed above; if none is what you were told, somebody may be between you and {host}"
        )),
        TrustProblem::Changed { .. } => {
            Some("if the host's owner says that its key was changed on purpose, say the same with --replace".to_owned())
        }
        TrustProblem::Host { .. } => Some("a host is written as HOST, HOST:PORT or [ADDRESS]:PORT".to_owned()),
        _ => None,
    }
}

/// What to do about a key that cannot be made.
pub(super) fn ssh_key(error: &SshKeyProblem) -> Option<String> {
    match error {
        SshKeyProblem::Key { path, .. } => {
            Some(format!("if nobody is let in with it any more, remove {path}, and another one is made"))
        }
        SshKeyProblem::InUse => Some("try again".to_owned()),
        _ => None,
    }
}
