//! A passphrase from a command's output.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use worldkeeper_core::shell::{self, SplitError};
use zeroize::Zeroizing;

use super::file::LIMIT;

/// Why a command gives no passphrase. What it printed is never part of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The text cannot be split into a program and its arguments.
    #[error("the command cannot be split into words")]
    Words(#[from] SplitError),
    /// There is no program in it.
    #[error("the command is empty, or no text")]
    Empty,
    /// It cannot be started, or its output not read.
    #[error("cannot {action} {program}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It failed by its own account.
    #[error("{program} failed ({status})")]
    Failed {
        /// The program.
        program: String,
        /// What became of it.
        status: ExitStatus,
    },
    /// It did not end.
    #[error("{program} did not end within {} s and was killed", timeout.as_secs())]
    Timeout {
        /// The program.
        program: String,
        /// What it had.
        timeout: Duration,
    },
    /// It ended well and said nothing, or something that is no passphrase.
    #[error("the output of {program} is {what}")]
    Output {
        /// The program.
        program: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Runs `command` with nothing but `environment` and reads what it prints. There is no shell: nothing is expanded.
/// Standard error is passed on, since it may ask something.
pub(super) fn read<'a>(
    command: &OsStr,
    environment: impl Iterator<Item = (&'a OsStr, &'a OsStr)>,
    timeout: Duration,
) -> Result<Zeroizing<String>, CommandError> {
    let words = shell::split(command.to_str().ok_or(CommandError::Empty)?)?;
    let (program, arguments) = words.split_first().ok_or(CommandError::Empty)?;
    let io = |action| move |source| CommandError::Io { action, program: program.clone(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        // It stays in our process group: as process 1 we collect the dead of other groups, and would take it for one.
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io("start"))?;
    let output = output(&mut child, timeout);
    if output.is_none() {
        // It may just have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().map_err(io("wait for"))?;
    let bytes = output
        .ok_or_else(|| CommandError::Timeout { program: program.clone(), timeout })?
        .map_err(io("read the output of"))?;
    let wrong = |what| CommandError::Output { program: program.clone(), what };
    // Comes first: a program whose output is no longer read fails for that alone.
    if bytes.len() as u64 > LIMIT {
        return Err(wrong("too long for a passphrase"));
    }
    if !status.success() {
        return Err(CommandError::Failed { program: program.clone(), status });
    }
    let text = super::text(&bytes).ok_or_else(|| wrong("not valid UTF-8"))?;
    if text.is_empty() { Err(wrong("empty")) } else { Ok(text) }
}

/// What the child prints until it closes its output; `None` if it takes too long.
fn output(child: &mut Child, timeout: Duration) -> Option<io::Result<Zeroizing<Vec<u8>>>> {
    let pipe = child.stdout.take().expect("standard output was asked for");
    let (sender, receiver) = mpsc::channel();
    // Ends when the pipe closes, which may be later than the child if that left somebody behind.
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT as usize + 1));
        let read = pipe.take(LIMIT + 1).read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens after the time is up.
        let _ = sender.send(read);
    });
    receiver.recv_timeout(timeout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, timeout: Duration) -> Result<String, CommandError> {
        let environment = [("PATH", "/usr/bin:/bin"), ("SEEN", "yes")];
        let environment = environment.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
        read(OsStr::new(command), environment, timeout).map(|text| text.to_string())
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn its_output_is_the_passphrase() {
        assert_eq!(run("echo 'a  b'", LONG).unwrap(), "a  b");
        assert_eq!(run("sh -c 'printf \"$SEEN$HOME\"'", LONG).unwrap(), "yes");
        assert_eq!(run("echo $SEEN", LONG).unwrap(), "$SEEN");
    }

    #[test]
    fn what_gives_none_says_why() {
        let error = |command| run(command, LONG).unwrap_err();
        assert!(matches!(error("  "), CommandError::Empty));
        assert!(matches!(error("echo 'x"), CommandError::Words(_)));
        assert!(matches!(error("/no/such/program"), CommandError::Io { .. }));
        assert!(matches!(error("false"), CommandError::Failed { .. }));
        assert!(matches!(error("true"), CommandError::Output { what: "empty", .. }));
        assert!(matches!(
            error("head -c 70000 /dev/zero"),
            CommandError::Output { what: "too long for a passphrase", .. }
        ));
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let error = run("sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, CommandError::Timeout { .. }), "{error}");
    }
}
