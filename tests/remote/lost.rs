//! A backup whose connection is lost on the way.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::sshd::Sshd;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};
use worldkeeper_tests::{eventually, locks};

use crate::{Remote, Server, Transport};

/// The bytes of all segments so far.
pub(crate) fn stored(repository: &Path) -> u64 {
    let folders = fs::read_dir(repository.join("data")).into_iter().flatten().flatten();
    let segments = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    segments.filter_map(|segment| segment.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The server's processes are killed in the middle of an upload, as when its machine is started anew.
#[test]
fn a_backup_goes_on_when_its_server_was_killed_and_repeats_little() {
    const SIZE: usize = 24 << 20;
    for server in Server::newest() {
        let Some(sshd) = Sshd::start() else { return };
        let remote = Remote::new(&server, Transport::Ssh(sshd));
        // A checkpoint a second, and a line that is slow enough for several.
        let keeper = remote.keeper.clone().with("CHECKPOINT_INTERVAL", "1").with("UPLOAD_RATE_LIMIT", "6MiB");
        for file in 0..24 {
            tree::write(&keeper.world().join(format!("{file}")), &sha_stream(&format!("lost {file}"), SIZE / 24));
        }
        let running = keeper.spawn(["backup"]);
        let repository = remote.on_disk();
        while stored(&repository) < SIZE as u64 / 2 {
            thread::sleep(Duration::from_millis(20));
        }
        remote.transport.sshd().kill_connections();
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("connection"), "{}: {said}", server.name());

        let archives = keeper.archives();
        assert_eq!(archives.len(), 1, "no checkpoint is left: {archives:?}");
        let _ = keeper.run(["check", "--verify-data"]);
        let target = remote.folder.path().join("restored");
        let _ = keeper.restore("latest", &target);
        tree::assert_same(&keeper.world(), &below(&target, &keeper.world()));
        let stored = stored(&repository);
        assert!(stored < SIZE as u64 * 13 / 10, "{stored} bytes are stored of {SIZE}: what was there came again");
        for borg in Borg::all() {
            let borg = borg.with_passphrase(PASSPHRASE);
            let _ = borg.run(["check".as_ref(), "--verify-data".as_ref(), repository.as_os_str()]);
        }
    }
}

/// Docker gives ten seconds, and what waits to be sent takes minutes.
#[test]
fn a_stop_does_not_wait_for_what_a_slow_line_has_yet_to_carry() {
    for server in Server::newest() {
        let Some(sshd) = Sshd::start() else { return };
        let remote = Remote::new(&server, Transport::Ssh(sshd));
        let (keeper, repository) = (&remote.keeper, remote.on_disk());
        tree::write(&keeper.world().join("level.dat"), b"a small world");
        let first = keeper.backup();
        tree::write(&keeper.world().join("large"), &sha_stream("slow", 16 << 20));
        let before = stored(&repository);
        let mut running = keeper.clone().with("UPLOAD_RATE_LIMIT", "400KiB").spawn(["backup"]);
        while stored(&repository) < before + 100_000 {
            assert_eq!(running.try_wait().unwrap(), None, "{}: it ended", server.name());
            thread::sleep(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
        let asked = Instant::now();
        let output = running.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(9), "{}: {:?}", server.name(), asked.elapsed());
        assert_eq!(output.status.code(), Some(2), "{}: {}", server.name(), String::from_utf8_lossy(&output.stderr));
        eventually("the server has ended", Duration::from_secs(10), || locks(&repository).is_empty().then_some(()));
        assert_eq!(keeper.archives(), [first.as_str()], "{}", server.name());
        let _ = keeper.backup();
        let _ = keeper.run(["check", "--verify-data"]);
    }
}
