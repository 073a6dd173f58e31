//! The memory of a process that has a key: not written to a swap device, not dumped, not for other processes to read.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{peers, tree};
use worldkeeper_tests::eventually;

/// Who may read a process that is dumpable, and is not root, whose own everything is.
const SOMEBODY: u32 = 65534;

#[test]
fn a_process_with_a_key_keeps_its_memory_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    // More to list than a pipe takes that nobody reads.
    (0..500).for_each(|number| tree::write(&keeper.world().join(format!("{number:0>200}")), b""));
    let archive = keeper.backup();

    let mut waiting = keeper.spawn(["list", "--short", &archive]);
    let process = |name: &str| format!("/proc/{}/{name}", waiting.id());
    let locked = eventually("the key is on locked pages", Duration::from_secs(30), || {
        let status = fs::read_to_string(process("status")).unwrap();
        let locked: u64 =
            status.lines().find_map(|line| line.strip_prefix("VmLck:"))?.trim().split(' ').next()?.parse().unwrap();
        (locked > 0).then_some(locked)
    });
    assert!(locked < 256, "only the key's, not all: {locked} KiB");
    let limits = fs::read_to_string(process("limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");

    let mut said = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().filter(|line| line.len() >= 200).count(), 500);
    assert!(waiting.wait().unwrap().success());
}

/// Of a process that is not dumpable, the system gives the files in `/proc` to root.
#[test]
fn nobody_else_of_the_same_user_reads_it() {
    if !peers::is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keeper = Worldkeeper::at(folder.path());
    (0..500).for_each(|number| tree::write(&keeper.world().join(format!("{number:0>200}")), b""));
    let archive = keeper.backup();
    let ids = [format!("--reuid={SOMEBODY}"), format!("--regid={SOMEBODY}"), "--clear-groups".to_owned()];
    let owned =
        std::process::Command::new("chown").args(["-R", &format!("{SOMEBODY}:{SOMEBODY}")]).arg(folder.path()).status();
    assert!(owned.unwrap().success());

    let wrapper = [&["setpriv".to_owned()][..], &ids].concat();
    let mut command = keeper.command_under(&wrapper, ["list", "--short", &archive]);
    let mut waiting = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let directory = format!("/proc/{}", waiting.id());
    let owner = eventually("it lists", Duration::from_secs(30), || {
        let status = fs::read_to_string(format!("{directory}/status")).unwrap();
        let has_key = !status.contains("VmLck:\t       0 kB");
        has_key.then(|| fs::metadata(format!("{directory}/environ")).unwrap().uid())
    });
    let status = fs::read_to_string(format!("{directory}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{SOMEBODY}")), "{status}");
    assert_eq!(owner, 0, "it can be dumped and traced by whoever has its user id");
    drop(waiting.stdout.take());
    let _ = waiting.wait();
}
