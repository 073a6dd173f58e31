//! A real OpenSSH server on a loopback port, with keys of its own, that ends with the test.
//!
//! The port is ours: each connection is handed to an `sshd -i`. So no port is lost to somebody else between choosing and
//! binding it, nothing has to be waited for, and a connection can be killed by its process.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::peers;

/// A server that lets the user who runs the test in, with the key [`Sshd::key`].
pub struct Sshd {
    folder: TempDir,
    address: SocketAddr,
    connections: Arc<Connections>,
    listener: Option<JoinHandle<()>>,
}

/// The connections there are, each an `sshd` that leads a process group.
#[derive(Default)]
struct Connections {
    running: Mutex<Vec<Child>>,
    closed: AtomicBool,
}

impl Sshd {
    /// Starts one with an ed25519 host key; `None` where there is no sshd and none is required.
    pub fn start() -> Option<Self> {
        Self::with_host_keys(&["ed25519"])
    }

    /// Starts one with host keys of these types, in the words of `ssh-keygen -t`.
    pub fn with_host_keys(types: &[&str]) -> Option<Self> {
        let program = peers::or_skip("sshd", find())?;
        let folder = tempfile::tempdir().expect("temporary directories can be made");
        // Only root's sshd separates privileges, and wants this.
        if peers::is_root() {
            fs::create_dir_all("/run/sshd").expect("root can make it");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(Connections::default());
        let serving = Arc::clone(&connections);
        let config = folder.path().join("sshd_config");
        let mut sshd = Self { folder, address, connections, listener: None };
        sshd.set_host_keys(types);
        let public = keygen(&sshd.key(), "ed25519", "");
        sshd.authorize("", &public);
        sshd.listener = Some(std::thread::spawn(move || serving.serve(&listener, &program, &config)));
        Some(sshd)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Who is let in: the user that runs the test.
    pub fn user(&self) -> String {
        Outcome::of(Command::new("id").arg("-un")).exits(0).stdout().trim().to_owned()
    }

    /// `ssh://` and everything before the path.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@{}{}", self.user(), self.address, path.display())
    }

    /// The folder with its files, for a test's own, too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The private key it accepts; `.pub` beside it.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("client")
    }

    /// Makes other host keys, of these types. For connections to come.
    pub fn set_host_keys(&self, types: &[&str]) {
        let path = self.folder.path();
        let mut config = format!(
            "AuthorizedKeysFile {}\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\nPrintMotd no\nPrintLastLog no\nUseDNS no\nPidFile none\nLogLevel VERBOSE\n",
            self.authorized_keys().display()
        );
        for key_type in types {
            let key = self.host_key(key_type);
            let _ = (fs::remove_file(&key), fs::remove_file(key.with_extension("pub")));
            let _ = keygen(&key, key_type, "");
            config.extend(["HostKey ", &key.to_string_lossy(), "\n"]);
        }
        fs::write(path.join("sshd_config"), config).expect("its folder is ours");
    }

    /// Adds lines to its configuration. For connections to come.
    pub fn configure(&self, lines: &str) {
        append(&self.folder.path().join("sshd_config"), lines);
    }

    /// Logs as much as this level says, like `DEBUG1`. For connections to come.
    pub fn set_log_level(&self, level: &str) {
        let path = self.folder.path().join("sshd_config");
        let config = fs::read_to_string(&path).expect("it was written");
        // Of two, the first counts.
        fs::write(path, format!("LogLevel {level}\n{config}")).expect("its folder is ours");
    }

    /// The private host key of a type; `.pub` beside it.
    pub fn host_key(&self, key_type: &str) -> PathBuf {
        self.folder.path().join(format!("host_{key_type}"))
    }

    /// The host key of a type as a line of `known_hosts` has it: type and base64.
    pub fn public_host_key(&self, key_type: &str) -> String {
        let line = fs::read_to_string(self.host_key(key_type).with_extension("pub")).expect("it was made");
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A `known_hosts` file with its host key of this type alone.
    pub fn known_hosts(&self, key_type: &str) -> PathBuf {
        let path = self.folder.path().join(format!("known_hosts_{key_type}"));
        let line = format!("[127.0.0.1]:{} {}\n", self.port(), self.public_host_key(key_type));
        fs::write(&path, line).expect("its folder is ours");
        path
    }

    /// The `authorized_keys` file.
    pub fn authorized_keys(&self) -> PathBuf {
        self.folder.path().join("authorized_keys")
    }

    /// Lets one more key in, with options like `restrict` before it.
    pub fn authorize(&self, options: &str, public_key: &str) {
        append(&self.authorized_keys(), format!("{options} {}\n", public_key.trim()).trim_start());
    }

    /// From now on, runs `command` whatever is asked for; with an empty one, what is asked for.
    pub fn force(&self, command: &str) {
        let public = fs::read_to_string(self.key().with_extension("pub")).expect("it was made");
        fs::write(self.authorized_keys(), "").expect("its folder is ours");
        let command = command.replace('"', "\\\"");
        let options = if command.is_empty() { String::new() } else { format!("command=\"{command}\"") };
        self.authorize(&options, &public);
    }

    /// An `ssh` command line that gets in, for `BORG_RSH`; the port is left to whoever appends it.
    pub fn rsh(&self) -> String {
        format!(
            "ssh -F none -o IdentitiesOnly=yes -o UserKnownHostsFile={} -i {}",
            self.known_hosts("ed25519").display(),
            self.key().display()
        )
    }

    /// Kills what serves the connections there are, as a crash of the server would.
    pub fn kill_connections(&self) {
        self.connections.kill();
    }

    /// What the servers have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.connections.closed.store(true, Ordering::SeqCst);
        // Wakes the listener; it may have ended already.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.connections.kill();
    }
}

impl Connections {
    fn serve(&self, listener: &TcpListener, program: &Path, config: &Path) {
        for stream in listener.incoming() {
            if self.closed.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { return };
            let child = Self::hand_over(stream, program, config).expect("sshd can be started");
            let mut running = self.running.lock().expect("no test panics while it looks");
            running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            running.push(child);
        }
    }

    fn hand_over(stream: TcpStream, program: &Path, config: &Path) -> io::Result<Child> {
        let output = OwnedFd::from(stream.try_clone()?);
        Command::new(program)
            .arg("-i")
            .arg("-f")
            .arg(config)
            .arg("-E")
            .arg(config.with_file_name("log"))
            .stdin(OwnedFd::from(stream))
            .stdout(output)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
    }

    fn kill(&self) {
        for mut child in self.running.lock().expect("no test panics while it looks").drain(..) {
            // Not collected yet, so the number is still its own; whether it has ended does not matter.
            if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = child.wait();
        }
    }
}

/// Makes a key pair under a passphrase, perhaps an empty one, and returns the public half's line.
pub fn keygen(path: &Path, key_type: &str, passphrase: &str) -> String {
    let mut command = Command::new("ssh-keygen");
    let _ = Outcome::of(command.args(["-q", "-C", "test", "-t", key_type, "-N", passphrase, "-f"]).arg(path)).exits(0);
    fs::read_to_string(path.with_extension("pub")).expect("ssh-keygen has made it")
}

fn append(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("its folder is ours");
}

/// sshd wants to be called by its whole path.
fn find() -> Result<PathBuf, String> {
    if !peers::on_path("ssh-keygen") {
        return Err("there is no ssh-keygen".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join("sshd")).find(|program| program.is_file()).ok_or_else(|| "there is no sshd".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_ssh_in_and_runs_what_is_asked_for_or_forced() {
        let Some(sshd) = Sshd::start() else { return };
        let run = |word: &str| {
            let rsh = format!("{} -p {} {}@127.0.0.1", sshd.rsh(), sshd.port(), sshd.user());
            let words: Vec<_> = rsh.split(' ').collect();
            Outcome::of(Command::new(words[0]).args(&words[1..]).arg(word)).exits(0).stdout().to_owned()
        };
        assert_eq!(run("echo asked"), "asked\n");
        sshd.force("echo \"forced\"");
        assert_eq!(run("echo asked"), "forced\n");
        assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    }
}
