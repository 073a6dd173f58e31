//! What is mounted within a source: taken or left out as stock does, and no circle.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;
use worldkeeper_testkit::{peers, tree};

use crate::place;

/// Another file system in the world, and the world in itself.
const MOUNT: &str = "set -e
mount -t tmpfs none \"$0/tmpfs\"
echo other > \"$0/tmpfs/file\"
mount --bind \"$0\" \"$0/circle\"
exec \"$@\"";

/// The command in a place of its own where that is mounted.
fn within(command: &Command, world: &Path) -> Command {
    let mut within = Command::new("unshare");
    within.args(["--mount", "sh", "-c", MOUNT]).arg(world).arg(command.get_program()).args(command.get_args());
    within.env_clear();
    within.envs(command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    within
}

fn paths(borg: &Borg, repository: &Path, archive: &str) -> BTreeSet<String> {
    let listed = borg.run(["list", "--format", "{type}{path}{NL}", &location(repository, archive)]);
    listed.lines().into_iter().collect()
}

/// Compose files mount a `server.properties` by itself.
const MOUNTED_FILE: &str = "mount --bind \"$0/../mounted\" \"$0/server.properties\" && exec \"$@\"";

#[test]
fn a_file_that_is_mounted_by_itself_gets_its_content_back() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "mounted file");
    tree::write(&keeper.world().join("server.properties"), b"mounted over");
    let mounted = folder.path().join("mounted");
    tree::write(&mounted, b"difficulty=hard");
    fs::set_permissions(&mounted, fs::Permissions::from_mode(0o640)).unwrap();
    let world = keeper.world().display().to_string();
    let under = |words: &[&str]| {
        let wrapper = ["unshare", "--mount", "sh", "-c", MOUNTED_FILE, &world];
        Outcome::of(&mut keeper.command_under(&wrapper, words))
    };
    let mounts = under(&["--version"]);
    let may_mount = if mounts.code() == Some(0) { Ok(()) } else { Err(mounts.to_string()) };
    if peers::or_skip("mount", may_mount).is_none() {
        return;
    }
    let _ = under(&["backup"]).exits(0);
    let before = fs::metadata(&mounted).unwrap();
    fs::write(&mounted, "difficulty=peaceful, and longer than it was").unwrap();
    fs::set_permissions(&mounted, fs::Permissions::from_mode(0o600)).unwrap();
    let _ = under(&["restore", "latest", "--overwrite"]).exits(0);
    assert_eq!(fs::read(&mounted).unwrap(), b"difficulty=hard");
    let after = fs::metadata(&mounted).unwrap();
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
    assert_eq!(fs::read(keeper.world().join("server.properties")).unwrap(), b"mounted over");
}

#[test]
fn mounts_are_taken_or_left_out_as_stock_does() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey-blake2");
    tree::sample(&keeper.world(), "mounts");
    for name in ["tmpfs", "circle"] {
        fs::create_dir(keeper.world().join(name)).unwrap();
    }
    let mounts = Outcome::of(&mut within(&Command::new("true"), &keeper.world()));
    let may_mount = if mounts.code() == Some(0) { Ok(()) } else { Err(mounts.to_string()) };
    if peers::or_skip("mount", may_mount).is_none() {
        return;
    }
    borg.init(&keeper.repository(), "repokey-blake2");
    for options in [&[][..], &["--one-file-system"]] {
        let _ = Outcome::of(&mut within(keeper.command(["backup"]).args(options), &keeper.world())).exits(0);
        let ours = keeper.archives().pop().unwrap();
        let stock = format!("stock{}", options.len());
        let mut create = borg.command();
        create.arg("create").args(options).arg(location(&keeper.repository(), &stock)).arg(keeper.world());
        let _ = borg.outcome(&mut within(&create, &keeper.world())).exits(0);
        let ours = paths(&borg, &keeper.repository(), &ours);
        assert_eq!(ours, paths(&borg, &keeper.repository(), &stock), "{options:?}");
        let has = |name: &str| ours.iter().any(|path| path.ends_with(name));
        assert!(has("/tmpfs") && has("/circle/hello.txt") && !has("/circle/circle/hello.txt"), "{ours:?}");
        assert_eq!(has("/tmpfs/file"), options.is_empty(), "{options:?}");
    }
}
