//! Our items beside those of stock borg, for the same tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, IFlags, Mode, Timespec, Timestamps, XattrFlags, ioctl_setflags, lsetxattr, mknodat,
    utimensat,
};
use worldkeeper_archive::{Item, ItemReader};
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::{outcome::Outcome, peers, tree};

use super::root::SourceRoot;
use super::tests::{nasty, store};

/// The items that stock makes of `arguments`, given in the directory `within`.
fn stocks_items(borg: &Borg, repository: &Path, archive: &str, within: &Path, arguments: &[&str]) -> Vec<Item> {
    let archive = location(repository, archive);
    let mut create = borg.command();
    let _ = Outcome::of(create.current_dir(within).args(["create", &archive]).args(arguments)).exits(0);
    let dump = tempfile::tempdir().unwrap();
    let mut command = borg.command();
    let _ = Outcome::of(command.current_dir(&dump).args(["debug", "dump-archive-items", &archive])).exits(0);
    let mut chunks: Vec<_> = fs::read_dir(&dump).unwrap().map(|entry| entry.unwrap().path()).collect();
    chunks.sort();
    let mut reader = ItemReader::new();
    let mut items = Vec::new();
    for chunk in chunks {
        reader.push(&fs::read(chunk).unwrap());
        while let Some(item) = reader.next_item().unwrap() {
            items.push(item);
        }
    }
    reader.finish().unwrap();
    items
}

fn packed(item: &Item) -> Vec<u8> {
    let mut encoder = Encoder::new();
    item.encode(&mut encoder);
    encoder.finish()
}

#[test]
fn items_are_those_of_stock_to_the_byte() {
    for borg in Borg::all() {
        let folder = tempfile::tempdir().unwrap();
        let (root, repository) = (folder.path().join("tree"), folder.path().join("repository"));
        nasty(&root.join("nasty"));
        peculiar(&root.join("peculiar"));
        borg.init(&repository, "none");

        let theirs = stocks_items(&borg, &repository, "a", folder.path(), &[root.to_str().unwrap()]);
        let ours = store(&root);
        let names = |items: &mut dyn Iterator<Item = &Item>| {
            items.map(|item| item.path.escape_ascii().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&mut ours.iter().map(|(item, _)| item)), names(&mut theirs.iter()), "{borg}");
        for ((mut ours, content), theirs) in ours.into_iter().zip(theirs) {
            // Chunks are cut elsewhere; which items have them is decided here.
            let has_chunks = ours.mode & 0o170_000 == 0o100_000 && ours.source.is_none();
            assert_eq!(has_chunks, theirs.chunks.is_some(), "{borg}: {theirs:?}");
            if has_chunks {
                ours.size = Some(content.len() as u64);
                ours.chunks.clone_from(&theirs.chunks);
            }
            assert_eq!(ours, theirs, "{borg}");
            assert_eq!(packed(&ours), packed(&theirs), "{borg}");
        }
    }
}

#[test]
fn paths_are_those_of_stock() {
    for borg in Borg::all() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        borg.init(&repository, "none");
        tree::write(&folder.path().join("in/x/f"), b"");
        let absolute = folder.path().join("in/x/");
        let slashdot = folder.path().join("in/./x");
        let mut arguments = vec![".", "./x", "x/", "x/../x", "../in/x", "x/f", absolute.to_str().unwrap()];
        if !borg.version().starts_with("1.2") {
            // Borg 1.4 brought a way to say what of a path is not to be stored.
            arguments.push(slashdot.to_str().unwrap());
        }
        for (number, argument) in arguments.into_iter().enumerate() {
            let stored =
                stocks_items(&borg, &repository, &format!("a{number}"), &folder.path().join("in"), &[argument]);
            let root = SourceRoot::new(argument.as_bytes());
            assert_eq!(root.archive_path(&root.path), stored[0].path, "{borg}: {argument}");
            if let Some(entry) = stored.get(1) {
                let name = entry.path.rsplit(|&byte| byte == b'/').next().unwrap();
                assert_eq!(root.archive_path(&SourceRoot::join(&root.path, name)), entry.path, "{borg}: {argument}");
            }
        }
    }
}

/// What is rarer than the nasty tree: links of all kinds, ACLs that name users of this system, flags, odd times.
fn peculiar(root: &Path) {
    tree::write(&root.join("z/first"), b"several links in one directory");
    for name in ["z/second", "z/third", "a"] {
        fs::hard_link(root.join("z/first"), root.join(name)).unwrap();
    }
    mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o620), 0).unwrap();
    fs::hard_link(root.join("fifo"), root.join("z/fifo")).unwrap();
    symlink("nowhere", root.join("symlink")).unwrap();
    rustix::fs::linkat(CWD, root.join("symlink"), CWD, root.join("symlink2"), AtFlags::empty()).unwrap();
    acls(root);
    times(root);
    flags(root);
    if peers::is_root() {
        lsetxattr(root.join("symlink"), "trusted.on.symlink", b"x", XattrFlags::empty()).unwrap();
        lsetxattr(root.join("fifo"), "trusted.on.fifo", b"", XattrFlags::empty()).unwrap();
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        tree::write(&root.join("capable"), b"");
        lsetxattr(root.join("capable"), "security.capability", capability, XattrFlags::empty()).unwrap();
    }
}

fn acls(root: &Path) {
    const NOBODY: u32 = u32::MAX;
    let set = |name: &str, attribute: &str, entries: &[(u16, u16, u32)]| {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, perm, id) in entries {
            bytes.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
            bytes.extend(id.to_le_bytes());
        }
        lsetxattr(root.join(name), attribute, &bytes, XattrFlags::empty()).unwrap();
    };
    let (access, default) = ("system.posix_acl_access", "system.posix_acl_default");
    // Users and groups out of order, known and unknown, with rights that the mask takes away.
    let entries = [
        (0x01, 7, NOBODY),
        (0x02, 7, 4_000_000_000),
        (0x02, 5, 1),
        (0x02, 0, 0),
        (0x04, 5, NOBODY),
        (0x08, 7, 65_533),
        (0x08, 2, 2),
        (0x10, 1, NOBODY),
        (0x20, 0, NOBODY),
    ];
    let minimal = [(0x01, 6, NOBODY), (0x04, 4, NOBODY), (0x20, 0, NOBODY)];
    for name in ["access", "both", "default", "minimal"] {
        fs::create_dir_all(root.join("acl").join(name)).unwrap();
    }
    tree::write(&root.join("acl/file"), b"");
    mknodat(CWD, root.join("acl/fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for name in ["acl/access", "acl/both", "acl/file", "acl/fifo"] {
        set(name, access, &entries);
    }
    set("acl/both", default, &entries);
    set("acl/default", default, &entries);
    set("acl/minimal", access, &minimal);
    set("acl/minimal", default, &minimal);
    // What is made in it inherits.
    tree::write(&root.join("acl/default/heir"), b"");
    fs::create_dir(root.join("acl/default/folder")).unwrap();
}

fn times(root: &Path) {
    for (name, seconds) in
        [("before", -1), ("long before", -20_000_000_000), ("after", 2_147_400_000), ("late", 1 << 33)]
    {
        tree::write(&root.join(name), b"");
        let time = Timespec { tv_sec: seconds, tv_nsec: 1 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join(name), &times, AtFlags::empty()).unwrap();
    }
}

fn flags(root: &Path) {
    fs::create_dir(root.join("nodump")).unwrap();
    tree::write(&root.join("undumped"), b"");
    for name in ["nodump", "undumped"] {
        if let Err(error) = ioctl_setflags(fs::File::open(root.join(name)).unwrap(), IFlags::NODUMP) {
            eprintln!("no flags in this tree: {error}");
        }
    }
    // On some file systems what is made in it inherits the flag, even where borg does not look.
    mknodat(CWD, root.join("nodump/fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    symlink("x", root.join("nodump/symlink")).unwrap();
    tree::write(&root.join("nodump/file"), b"");
}
