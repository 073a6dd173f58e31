//! An interpreter that has loaded borg already: a command is a fork of it, several times as quick as a start.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;

use serde_json::json;
use tempfile::TempDir;

/// The interpreter. One command runs at a time.
pub(super) struct Warm {
    running: Mutex<Running>,
    /// Where commands leave what they say.
    said: TempDir,
}

struct Running {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Warm {
    /// Starts the interpreter of `program`; `None` if that is no script of one.
    pub(super) fn start(program: &Path) -> Option<Self> {
        let mut command = interpreter(program, include_str!("warm.py"))?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take()?);
        let said = tempfile::tempdir().expect("temporary directories can be made");
        Some(Self { running: Mutex::new(Running { child, requests, answers }), said })
    }

    /// Runs what `command` would run.
    pub(super) fn run(&self, command: &Command) -> io::Result<Output> {
        let text = |word: &std::ffi::OsStr| word.to_str().expect("words of warm commands are text").to_owned();
        let environment = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
        let (stdout, stderr) = (self.said.path().join("stdout"), self.said.path().join("stderr"));
        let request = json!({
            "args": command.get_args().map(text).collect::<Vec<_>>(),
            "env": environment.collect::<std::collections::BTreeMap<_, _>>(),
            "cwd": command.get_current_dir().unwrap_or(self.said.path()),
            "stdout": stdout,
            "stderr": stderr,
        });
        let mut running = self.running.lock().expect("nothing panics while it asks");
        let requests = running.requests.as_mut().expect("taken away when this is dropped");
        requests.write_all(format!("{request}\n").as_bytes())?;
        let mut answer = String::new();
        running.answers.read_line(&mut answer)?;
        let status = answer.trim().parse().map_err(|_| io::Error::other("the interpreter of borg has ended"))?;
        let status = ExitStatus::from_raw(status);
        Ok(Output { status, stdout: fs::read(stdout)?, stderr: fs::read(stderr)? })
    }
}

/// The interpreter of `program`, to load it and then do what `script` says; `None` if it is no script of one.
pub(super) fn interpreter(program: &Path, script: &str) -> Option<Command> {
    let text = fs::read(program).ok()?;
    let first_line = text.split(|byte| *byte == b'\n').next()?;
    let mut command = Command::new(std::str::from_utf8(first_line).ok()?.strip_prefix("#!")?.trim());
    let script = [include_str!("loaded.py"), script].concat();
    command.args(["-c", &script]).env_clear().env("LANG", "C.UTF-8").env("TZ", "UTC");
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    Some(command)
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}
