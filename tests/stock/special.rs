//! FIFOs and devices: never opened unasked; with `--read-special` their content is in the archive as with stock.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};
use worldkeeper_testkit::{peers, strace};

use crate::place;

/// All but times: those of a FIFO change whenever somebody writes into it.
const FIELDS: &str = "{type} {mode} {user} {group} {size} {sha256} {path} {source}{NL}";

/// A FIFO and symlinks to a device and elsewhere; for root, a device with two names.
fn special_world(world: &Path) {
    fs::create_dir_all(world).unwrap();
    let make = |name: &str, kind, device| mknodat(CWD, world.join(name), kind, Mode::from(0o640), device).unwrap();
    make("fifo", FileType::Fifo, 0);
    if peers::is_root() {
        make("null", FileType::CharacterDevice, makedev(1, 3));
        fs::hard_link(world.join("null"), world.join("null-too")).unwrap();
    }
    fs::write(world.join("file"), "as ever").unwrap();
    for (target, name) in [("/dev/null", "to-null"), ("file", "to-file"), ("nowhere", "to-nothing"), (".", "to-here")] {
        symlink(target, world.join(name)).unwrap();
    }
}

#[test]
fn what_comes_out_of_fifos_and_devices_is_in_the_archive_as_with_stock() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey-blake2");
    special_world(&keeper.world());
    borg.init(&keeper.repository(), "repokey-blake2");
    // Longer than any chunk.
    let content = sha_stream("fifo", 9 << 20);
    let written_into = |command: &mut Command| {
        let _ = std::thread::scope(|scope| {
            // Opening waits for whoever reads.
            let fifo = keeper.world().join("fifo");
            scope.spawn(|| File::options().write(true).open(fifo).unwrap().write_all(&content).unwrap());
            Outcome::of(command).exits(0)
        });
    };
    let create = |archive: &str, options: &[&str]| {
        let mut create = borg.command();
        create.arg("create").args(options).arg(location(&keeper.repository(), archive)).arg(keeper.world());
        create
    };
    let items = |archive: &str| {
        let mut items = borg.run(["list", "--format", FIELDS, &location(&keeper.repository(), archive)]).lines();
        items.sort();
        items
    };
    // The second time, the files cache knows what was there.
    for stock in ["first", "second"] {
        written_into(&mut keeper.command(["backup", "--read-special"]));
        written_into(&mut create(stock, &["--read-special"]));
        let ours = items(&keeper.archives().pop().unwrap());
        assert_eq!(ours, items(stock), "{stock}");
        assert!(ours.iter().any(|item| item.contains(" 9437184 ") && item.starts_with("- -rw-r-----")), "{ours:#?}");
    }
    let target = keeper.folder().join("target");
    let _ = keeper.restore("latest", &target);
    assert!(fs::read(below(&target, &keeper.world()).join("fifo")).unwrap() == content);
}

#[test]
fn fifos_and_devices_are_never_opened_unasked() {
    if !strace::is_there() {
        return;
    }
    let (_folder, keeper) = place("repokey-blake2");
    special_world(&keeper.world());
    let log = keeper.folder().join("strace.log");
    let log_path = log.to_str().expect("paths of tests are text");
    let opened = |options: &[&str]| {
        let strace = ["strace", "-f", "-qq", "-o", log_path, "-e", "trace=open,openat,openat2"];
        let args = [&["backup", "--read-timeout", "1"], options].concat();
        let outcome = Outcome::of(&mut keeper.command_under(&strace, args));
        let calls = fs::read_to_string(&log).unwrap();
        let is_opened = |name: &&str| calls.contains(&format!("\"{name}\""));
        (outcome, ["file", "fifo", "null", "null-too", "to-null"].into_iter().filter(is_opened).collect::<Vec<_>>())
    };
    let (outcome, names) = opened(&[]);
    let _ = outcome.exits(0);
    assert_eq!(names, ["file"]);
    // If asked, one into which nobody writes holds the run up as any file system can.
    let (outcome, names) = opened(&["--read-special"]);
    let fifo = keeper.world().join("fifo");
    let _ = outcome.exits(2).says(&[&format!("has not answered for 1 s about {}", fifo.display())]);
    assert!(names.contains(&"fifo"), "{names:?}");
}
