//! What differs between two archives is what stock says, word for word.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use worldkeeper_testkit::borg::{Borg, location};

use crate::place;

/// The archive that came after, and options.
const CASES: &[(&str, &[&str], &[&str])] = &[
    ("b", &[], &[]),
    ("b", &["--json-lines"], &[]),
    ("b", &["--content-only"], &[]),
    ("b", &["--sort"], &[]),
    ("b", &["--sort-by=>size_diff,path"], &[]),
    ("b", &["--sort-by=<mtime_diff,>size,gid,path", "--json-lines"], &[]),
    ("b", &["--exclude=*modified*", "--pattern=+ sh:**/hard*"], &["world/kinds", "sh:**/*link*"]),
    ("b", &[], &["world/links/slave", "world/nothing"]),
    ("cut", &[], &[]),
    ("cut", &["--json-lines", "--content-only"], &[]),
    ("cut", &["--same-chunker-params", "--sort"], &[]),
    ("a", &[], &[]),
];

#[test]
fn archives_differ_as_stock_says() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.warmed();
    let (folder, keeper) = place("none");
    borg.init(&keeper.repository(), "none");
    let world = folder.path().join("world");
    let archive = |name: &str, options: &[&str]| {
        let mut create = borg.command();
        create.current_dir(folder.path()).arg("create").args(options);
        let _ = borg.outcome(create.args([&location(&keeper.repository(), name), "world"])).exits(0);
    };
    before(&world);
    archive("a", &[]);
    after(&world);
    archive("b", &[]);
    archive("cut", &["--chunker-params", "buzhash,10,14,12,4095"]);

    for (second, options, named) in CASES {
        let first = location(&keeper.repository(), "a");
        let expected = borg.try_run(
            ["diff"].iter().chain(*options).copied().chain([first.as_str(), second]).chain(named.iter().copied()),
        );
        let words = ["diff"].iter().chain(*options).copied().chain(["a", second]).chain(named.iter().copied());
        let found = keeper.try_run(words);
        // Where it could break a line or is no text, a name is shown in another way; in JSON it is not.
        let shown = expected.stdout().replace("new ?name\né", "new \\xffname\\né");
        assert_eq!(found.stdout(), shown, "{second} {options:?} {named:?}");
        assert_eq!(found.code(), expected.code(), "{second} {options:?} {named:?}: {found}\n{expected}");
        assert_eq!(found.stdout().is_empty(), *second == "a", "{second} {options:?} {named:?}");
    }
    // Stock takes this option and does not heed it.
    let found = keeper.run(["diff", "--numeric-ids", "a", "b", "world/owner"]);
    assert!(found.stdout().contains("[0:0 -> 12345:54321]"), "{found}");
}

/// Something of each kind, and something that will change in each way.
fn before(world: &Path) {
    for name in ["kinds", "links", "gone/beneath", "turns/directory"] {
        fs::create_dir_all(world.join(name)).expect("a folder can be made");
    }
    let write = |name: &str, content: &[u8]| {
        fs::write(world.join(name), content).expect("a file can be written");
        set_modified(&world.join(name), 1_000_000_000);
    };
    for name in ["same", "mode", "owner", "touched", "gone/beneath/file", "turns/file", "links/slave", "empty-before"] {
        write(name, name.as_bytes());
    }
    write("links/master", b"has links");
    write("empty-before", b"");
    write("modified", &noise(1, 3_000_000));
    write("modified-to-same-size", &noise(2, 200_000));
    write("recut", &noise(3, 100_000));
    for name in ["links/hard1", "links/hard2"] {
        fs::hard_link(world.join("links/master"), world.join(name)).expect("a link can be made");
    }
    for name in ["links/symlink", "links/gone", "turns/symlink"] {
        symlink("nowhere", world.join(name)).expect("a link can be made");
    }
    make_node(&world.join("kinds/fifo-gone"), FileType::Fifo);
    make_node(&world.join("kinds/char-gone"), FileType::CharacterDevice);
    make_node(&world.join("turns/fifo"), FileType::Fifo);
}

/// Changes it in each way.
fn after(world: &Path) {
    let path = |name: &str| world.join(name);
    let write = |name: &str, content: &[u8]| fs::write(path(name), content).expect("a file can be written");
    fs::set_permissions(path("mode"), Permissions::from_mode(0o4711)).expect("a mode can be set");
    chown(path("owner"), Some(12345), Some(54321)).expect("an owner can be set");
    lchown(path("links/symlink"), Some(1), None).expect("an owner can be set");
    set_modified(&path("touched"), 1_400_000_000);
    fs::remove_dir_all(path("gone")).expect("a folder can be removed");
    let mut content = noise(1, 3_000_000);
    content.splice(1_000_000..1_000_010, *b"something else, and a little longer than what was there");
    write("modified", &content);
    write("modified-to-same-size", &noise(4, 200_000));
    write("empty-before", &noise(5, 1500));
    write("new", &noise(6, 12_345_678));
    write("links/slave", b"of its own");
    fs::write(world.join(OsStr::from_bytes(b"new \xffname\n\xc3\xa9")), "odd").expect("a file can be written");
    fs::create_dir(path("new directory")).expect("a folder can be made");
    // One link fewer, one that is a file of its own, one more.
    fs::remove_file(path("links/hard1")).expect("a file can be removed");
    fs::remove_file(path("links/hard2")).expect("a file can be removed");
    write("links/hard2", b"has links no more");
    fs::hard_link(path("links/master"), path("links/hard3")).expect("a link can be made");
    for name in ["links/symlink", "links/gone", "turns/symlink", "turns/file", "turns/fifo"] {
        fs::remove_file(path(name)).expect("a file can be removed");
    }
    symlink("elsewhere", path("links/symlink")).expect("a link can be made");
    symlink("elsewhere", path("links/new")).expect("a link can be made");
    fs::remove_dir(path("turns/directory")).expect("a folder can be removed");
    fs::create_dir(path("turns/file")).expect("a folder can be made");
    symlink("x", path("turns/directory")).expect("a link can be made");
    write("turns/symlink", b"a file now");
    write("turns/fifo", b"a file now");
    fs::remove_file(path("kinds/fifo-gone")).expect("a file can be removed");
    fs::remove_file(path("kinds/char-gone")).expect("a file can be removed");
    make_node(&path("kinds/fifo-new"), FileType::Fifo);
    make_node(&path("kinds/block-new"), FileType::BlockDevice);
}

fn set_modified(path: &Path, seconds: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("a time can be set");
}

fn make_node(path: &Path, kind: FileType) {
    match mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), makedev(1, 3)) {
        // Some containers withhold CAP_MKNOD even from root.
        Err(Errno::PERM) => fs::write(path, "no device").expect("a file can be written"),
        made => made.expect("nodes can be made"),
    }
}

/// Bytes that chunk well.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
