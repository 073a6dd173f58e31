//! A machine that is at its end: a full disk, no socket to watch through.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree::{Content, Entry, listing};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::{peers, strace, tree, worlds};
use worldkeeper_tests::locks;

use crate::{machine_without_engine, place};

#[test]
fn a_full_disk() {
    let (_folder, keeper) = place();
    let Some(disk) = peers::or_skip("mount", SmallDisk::at(&keeper.repository(), 8 << 20)) else { return };
    let before = keeper.backup();
    let used = disk.used();
    tree::write(&keeper.world().join("large"), &sha_stream("too much", 16 << 20));

    let _ = keeper.try_run(["backup"]).exits(2).says(&["space", keeper.repository().to_str().unwrap()]);
    assert!(disk.used() <= used + (64 << 10), "{} of {used} bytes were not given back", disk.used() - used);
    assert!(locks(&keeper.repository()).is_empty());
    assert_eq!(keeper.archives(), [before.as_str()]);
    if let Some(borg) = Borg::newest() {
        borg.with_passphrase(PASSPHRASE).check(&keeper.repository());
    }
    // Once it fits, it is backed up without help.
    fs::remove_file(keeper.world().join("large")).unwrap();
    let _ = keeper.backup();
    assert_eq!(keeper.archives().len(), 2);
}

#[test]
fn standard_error_takes_nothing() {
    let (_folder, keeper) = place();
    let mut command = keeper.command(["restore", "latest"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create("/dev/full").unwrap());
    assert_eq!(command.status().unwrap().code(), Some(2));
}

#[test]
fn standard_output_takes_no_end() {
    let (_folder, keeper) = place();
    // Shorter than what standard output keeps back, and without a line's end.
    tree::write(&keeper.world().join("level.dat"), b"the end");
    let _ = keeper.backup();
    let mut command = keeper.command(["restore", "latest", "--stdout"]);
    let output = command.stdin(Stdio::null()).stdout(fs::File::create("/dev/full").unwrap()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("cannot write what is restored") && !told.contains("restored 1 file"), "{told}");
}

/// As file systems of a network, and quotas behind FUSE, say that what was written is not there.
#[test]
fn what_is_said_when_a_file_is_closed() {
    let (folder, keeper) = place();
    let _ = keeper.backup();
    if !strace::is_there() {
        return;
    }
    let log = folder.path().join("strace.log");
    let restore = |target: &str, more: &[&str]| {
        let strace = ["strace", "-f", "-qq", "-y", "-e", "trace=close", "-o", log.to_str().unwrap()];
        let target = folder.path().join(target);
        let args = ["restore", "latest", "--to", target.to_str().unwrap()];
        Outcome::of(&mut keeper.command_under(&[&strace[..], more].concat(), args))
    };
    let _ = restore("well", &[]).exits(0);
    let closed = fs::read_to_string(&log).unwrap();
    let first = closed.lines().position(|line| line.contains("/.worldkeeper-restore-")).expect("a file is closed");
    let thread = |line: &str| line.split(' ').next().map(str::to_owned);
    let of_thread = |line: &&str| line.contains("close(") && thread(line) == closed.lines().nth(first).and_then(thread);
    let ordinal = closed.lines().take(first + 1).filter(of_thread).count();

    let injection = format!("inject=close:error=EDQUOT:when={ordinal}");
    let _ = restore("over", &["-e", &injection]).exits(2).says(&["cannot write", "uota"]);
    let is_file = |(_, entry): (&PathBuf, &Entry)| matches!(entry.content, Content::File(..));
    let found = listing(&folder.path().join("over"));
    assert!(!found.iter().any(is_file), "what may be cut off is not put in its place");
}

/// A game fills the disk, and goes on to take whatever is freed; the repository and the state directory lie there, too.
#[test]
fn nothing_is_left_of_the_disk() {
    let (folder, _) = place();
    let disk = folder.path().join("disk");
    let Some(disk) = peers::or_skip("mount", SmallDisk::at(&disk, 48 << 20)) else { return };
    let keeper = Worldkeeper::at(&disk.0).with("KEEP_LAST", "1").without("KEEP_WITHIN");
    let world = folder.path().join("world");
    let keeper = keeper.with("BACKUP_SOURCES", &world);
    for number in 0..4 {
        tree::write(&world.join("region.mca"), &sha_stream(&number.to_string(), 3 << 20));
        tree::write(&world.join("level.dat"), b"the same");
        let _ = keeper.backup();
    }
    let archives = keeper.archives();
    let fill = || {
        let mut ballast = fs::File::options().create(true).append(true).open(disk.0.join("ballast")).unwrap();
        let full = (0..).map_while(|_| ballast.write(&[1; 4096]).ok()).count();
        assert_eq!(disk.free(), 0, "after {full} pieces");
    };
    fill();

    for round in ["once", "and again"] {
        assert_eq!(keeper.archives(), archives, "{round}");
        fill();
    }
    let target = folder.path().join("target");
    let _ = keeper.restore("latest", &target);
    tree::assert_same(&world, &below(&target, &world));
    fill();
    tree::write(&world.join("region.mca"), &sha_stream("another", 3 << 20));
    let _ =
        keeper.try_run(["backup"]).exits(2).says(&["bytes of free space", "are needed", "hint", "worldkeeper prune"]);
    assert_eq!(keeper.archives(), archives);
    fill();

    let _ = keeper.run(["delete", &archives[0]]);
    fill();
    let _ = keeper.run(["prune"]).says(&["freed"]);
    let _ = keeper.run(["compact"]);
    assert_eq!(keeper.archives(), archives[3..]);
    assert!(disk.free() > 6 << 20, "{} bytes are free", disk.free());
    let _ = keeper.backup();
    assert_eq!(keeper.archives().len(), 2);
    // Stock minds nothing of what is kept there.
    for borg in Borg::all() {
        let copy = folder.path().join(borg.version());
        let copied = Command::new("cp").arg("-a").args([&keeper.repository(), &copy]).status().unwrap();
        assert!(copied.success() && copy.join("worldkeeper.reserve").is_file());
        let borg = borg.with_passphrase(PASSPHRASE);
        borg.check(&copy);
        let _ = borg.run(["compact".as_ref(), copy.as_os_str()]);
        borg.check(&copy);
        let _ = borg.run(["delete".as_ref(), copy.as_os_str()]);
        assert!(!copy.exists(), "{borg}");
    }
}

/// A restore that has no space ends, with every file whole, or as it was, or not there.
#[test]
fn a_full_disk_to_restore_to() {
    let (folder, keeper) = place();
    let target = folder.path().join("target");
    let Some(disk) = peers::or_skip("mount", SmallDisk::at(&target, 400 << 10)) else { return };
    let restored = below(&target, &keeper.world());
    // In whatever order they come: there is room for one of the new beside the old, and then for no other.
    let change = |seed: &str, bytes| {
        for number in 0..5 {
            let name = keeper.world().join(format!("region/r.0.{number}.mca"));
            tree::write(&name, &worlds::region(&format!("{seed} {number}"), bytes));
        }
        keeper.backup()
    };
    let _ = keeper.restore(&change("old", 30_000), &target);
    let old = listing(&restored);
    let archive = change("new", 150_000);
    let new = listing(&keeper.world());
    let restore = ["restore", archive.as_str(), "--overwrite", "--to", target.to_str().unwrap()];
    let _ = keeper.try_run(restore).exits(2).says(&["cannot write", "no space left", "hint"]);

    let found = listing(&restored);
    assert!(found.keys().eq(old.keys()), "{:?}", found.keys());
    let is_file = |(_, entry): &(&PathBuf, &Entry)| matches!(entry.content, Content::File(..));
    let (mut of_old, mut of_new) = (0, 0);
    for (path, entry) in found.iter().filter(is_file) {
        of_old += usize::from(old[path] == *entry);
        of_new += usize::from(new[path] == *entry);
    }
    // One more has not changed, and is of both.
    assert_eq!((of_old, of_new), (4 + 1, 1 + 1), "{found:?}");
    // Nothing lies elsewhere on it, whatever its name.
    assert_eq!(listing(&target).iter().filter(is_file).count(), found.iter().filter(is_file).count());

    // Once there is space, the same is enough.
    disk.resize(4 << 20);
    let _ = keeper.run(restore);
    tree::assert_same(&keeper.world(), &restored);
}

/// Backups too many are better than none: without a socket the schedule runs, and says so.
#[test]
fn a_container_to_watch_but_no_socket() {
    let (_folder, keeper) = place();
    let keeper = keeper.with("GAME_CONTAINER_NAME", "minecraft").without("DOCKER_HOST");
    let Some(machine) = machine_without_engine() else { return };
    let outcome = Outcome::of(&mut keeper.command_under(&machine, ["run", "--once"]));
    let _ = outcome.exits(0).says(&["minecraft", "socket"]);
    assert_eq!(keeper.archives().len(), 1);
    // Whoever has none, and knows it, is not alarmed.
    let _ = Outcome::of(&mut keeper.command_under(&machine, ["status"])).exits(0).says(&["no Docker socket"]);
}

/// A passphrase that goes with the container takes every backup with it.
#[test]
fn a_state_directory_in_the_layer_of_a_container() {
    let (_folder, keeper) = place();
    fs::create_dir(keeper.repository()).unwrap();
    let Some(container) = container(&keeper, "repository world") else { return };
    let bare = keeper.clone().without("BORG_PASSPHRASE");
    for args in [&["backup"][..], &["run", "--once"], &["run"]] {
        let outcome = Outcome::of(&mut bare.command_under(&container, args)).exits(2);
        let mount = format!("- worldkeeper:{}", keeper.state().display());
        let _ = outcome.says(&["volumes:", &mount, "BORG_PASSPHRASE_FILE"]);
        assert_eq!(fs::read_dir(keeper.repository()).unwrap().count(), 0, "nothing was made");
    }
    // With a passphrase that lasts, what is lost can be made anew; that is worth a warning.
    let outcome = Outcome::of(&mut keeper.command_under(&container, ["run", "--once"]));
    let _ = outcome.exits(0).says(&["WARN", "volume"]).does_not_say("own layer");
}

/// A repository that goes with the container takes every backup with it, too. Who tries us out has such a one.
#[test]
fn a_repository_in_the_layer_of_a_container() {
    let (_folder, keeper) = place();
    fs::create_dir(keeper.state()).unwrap();
    let Some(container) = container(&keeper, "state world") else { return };
    let warning = format!("the repository at {} lies in the container's own layer", keeper.repository().display());
    for args in [&["backup"][..], &["run", "--once"]] {
        let outcome = Outcome::of(&mut keeper.command_under(&container, args));
        let _ = outcome.exits(0).says(&["WARN", &warning]);
        // The next one's container is another.
        fs::remove_dir_all(keeper.state()).unwrap();
        fs::create_dir(keeper.state()).unwrap();
    }
    let outcome = Outcome::of(&mut keeper.command_under(&container, ["doctor"]));
    let mount = format!("- ./backups:{}", keeper.repository().display());
    let _ = outcome.exits(1).says(&["warning", "own layer", "volumes:", &mount]);
}

/// What a container sees: all in a layer of its own, but for the volumes. What begins with it runs a command so.
fn container(keeper: &Worldkeeper, volumes: &str) -> Option<[String; 8]> {
    const LAYER: &str = "set -e; layer=$1; volumes=$2; shift 2; mkdir -p \"$layer\"; mount -t tmpfs tmpfs \"$layer\"; \
                         cd \"$layer\"; mkdir upper work root; \
                         mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root; \
                         touch root/.dockerenv; mount --rbind /proc root/proc; \
                         for volume in $volumes; do mount --bind ../$volume \"root$(cd .. && pwd)/$volume\"; done; \
                         exec chroot root \"$@\"";
    let layer = keeper.folder().join("layer").display().to_string();
    let container = ["unshare", "--mount", "sh", "-c", LAYER, "sh", &layer, volumes].map(str::to_owned);
    let possible = Outcome::of(Command::new(&container[0]).args(&container[1..]).arg("true"));
    let possible = if possible.code() == Some(0) { Ok(()) } else { Err(possible.to_string()) };
    peers::or_skip("mount", possible).map(|()| container)
}

/// A file system in memory with a size of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: &Path, bytes: u64) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "worldkeeper-test"]).arg(path);
        let output = mount.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(Self(path.to_owned()))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Gives it another size.
    fn resize(&self, bytes: u64) {
        let options = format!("remount,size={bytes}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(mounted.is_ok_and(|status| status.success()), "{} keeps its size", self.0.display());
    }

    /// The bytes that are left.
    fn free(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        space.f_bavail * space.f_frsize
    }

    /// The bytes in use.
    fn used(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        (space.f_blocks - space.f_bfree) * space.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}
