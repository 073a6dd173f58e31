//! An archive that we make of a tar is the one that stock makes of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{gate, peers, tree};

use crate::{disk_usage, place};

/// What GNU tar is told to write. A float of stock's holds half a second, but not every nanosecond.
const GNU_TAR: &[(&str, &[&str])] = &[
    ("gnu", &["--format=gnu", "--sparse"]),
    ("sparse 1.0", &["--format=posix", "--mtime=@1700000000.5", "--sparse", "--sparse-version=1.0"]),
    ("posix", &["--format=posix", "--mtime=@1700000000.5"]),
    ("oldgnu", &["--format=oldgnu"]),
    ("ustar", &["--format=ustar"]),
    ("v7", &["--format=v7"]),
    ("sparse 0.0", &["--format=posix", "--mtime=@1700000000", "--sparse", "--sparse-version=0.0"]),
    ("sparse 0.1", &["--format=posix", "--mtime=@1700000000", "--sparse", "--sparse-version=0.1"]),
];

const PYTHON: &str = "
import sys, tarfile
def timed(member):
    member.mtime = 1700000000.5
    return member
formats = dict(ustar=tarfile.USTAR_FORMAT, gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT)
with tarfile.open(sys.argv[2], 'w', format=formats[sys.argv[1]]) as tar:
    tar.add(sys.argv[3], arcname='world', filter=timed if sys.argv[1] == 'pax' else None)
";

/// Two trees: one with all that archives hold, one that the oldest formats can hold.
fn worlds(folder: &Path) -> (PathBuf, PathBuf) {
    let (full, plain) = (folder.join("full/world"), folder.join("plain/world"));
    tree::nasty(&full.join("nasty"));
    tree::sample(&full.join("sample"), "tar");
    let deep = full.join("x".repeat(120)).join("y".repeat(200));
    fs::create_dir_all(&deep).expect("folders can be made");
    fs::write(deep.join("first"), "linked").expect("it can be written");
    fs::hard_link(deep.join("first"), deep.join("second")).expect("links can be made");
    // More pieces than a header, and a block behind it, have room for.
    let sparse = File::create(full.join("sparse")).expect("it can be made");
    sparse.set_len(80 << 16).expect("it can be made longer");
    for piece in (1..80).step_by(2) {
        sparse.write_all_at(b"data", piece << 16).expect("it can be written");
    }
    File::create(full.join("hole")).and_then(|file| file.set_len(3 << 20)).expect("it can be made");
    tree::sample(&plain.join("sample"), "tar");
    (full, plain)
}

/// Every tar there is to try, by what it is, and who wrote it.
fn tars(folder: &Path) -> Vec<(String, PathBuf)> {
    let (full, plain) = worlds(folder);
    let mut tars = Vec::new();
    for (name, options) in GNU_TAR {
        let tar = folder.join(format!("{name}.tar"));
        let world = if matches!(*name, "ustar" | "v7") { &plain } else { &full };
        let mut command = Command::new("tar");
        command.args(*options).arg("-C").arg(world.parent().expect("it has one")).arg("-cf").arg(&tar).arg("world");
        let _ = Outcome::of(&mut command).exits(0);
        tars.push((format!("tar {name}"), tar));
    }
    for (format, world) in [("ustar", &plain), ("gnu", &full), ("pax", &full)] {
        let tar = folder.join(format!("python {format}.tar"));
        let mut command = Command::new("python3");
        let _ = Outcome::of(command.args(["-c", PYTHON, format]).arg(&tar).arg(world)).exits(0);
        tars.push((format!("python {format}"), tar));
    }
    tars
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

#[test]
fn gate_what_we_import_is_what_stock_imports() {
    let (folder, keeper) = place("none");
    let [_, _] = ["tar", "python3"].map(|program| {
        let found = if peers::on_path(program) { Ok(()) } else { Err("it is not installed".to_owned()) };
        peers::or_skip(program, found)
    });
    let mut tars = tars(folder.path());
    tars.truncate(gate::amount(3, tars.len()));
    for borg in Borg::all() {
        let repository = folder.path().join(borg.version());
        borg.init(&repository, "none");
        let keeper = keeper.clone().with("BORG_REPO_PATH", &repository);
        for (number, (name, tar)) in tars.clone().into_iter().enumerate() {
            let [ours, theirs] = ["ours", "theirs"].map(|whose| format!("{whose}-{number}"));
            let _ = borg.run(["import-tar", &location(&repository, &theirs), text(&tar)]);
            let before = disk_usage(&repository.join("data"));
            let _ = keeper.run(["import-tar", &ours, text(&tar)]);
            // What is new is the archive's own object, and the manifest.
            let stored = disk_usage(&repository.join("data")) - before;
            assert!(stored < 4096, "{borg}, {name}: {stored} bytes are new");
            let [left, right] = [&theirs, &ours].map(|archive| borg.items(&repository, archive));
            assert_eq!(left.len(), right.len(), "{borg}, {name}");
            for (left, right) in left.iter().zip(&right) {
                assert_eq!(left, right, "{borg}, {name}");
            }
        }
        borg.check(&repository);
        let targets = ["ours-0", "theirs-0"].map(|archive| {
            let target = folder.path().join(borg.version().to_owned() + archive);
            borg.extract(&repository, archive, &target);
            tree::listing(&target.join("world"))
        });
        assert_eq!(targets[0], targets[1], "{borg}");
        let restored = folder.path().join(borg.version().to_owned() + "restored");
        let _ = keeper.restore("ours-0", &restored);
        assert_eq!(tree::listing(&restored.join("world")), targets[0], "{borg}");
        // Both exports, for whoever comes next.
        for whose in ["stock", "ours"] {
            let tar = folder.path().join(format!("export of {whose} {}.tar", borg.version()));
            if whose == "ours" {
                let _ = keeper.run(["export-tar", "ours-0", text(&tar)]);
            } else {
                let _ = borg.run(["export-tar", &location(&repository, "ours-0"), text(&tar)]);
            }
            tars.push((format!("export of {whose}"), tar));
        }
    }
}

/// Names and links that begin with `./`, whole nanoseconds and extended attributes: where we take more than stock.
#[test]
fn what_stock_leaves_behind_is_kept() {
    let (folder, keeper) = place("none");
    let Some(borg) = Borg::newest() else { return };
    let world = folder.path().join("tree");
    tree::write(&world.join("first"), b"linked");
    fs::hard_link(world.join("first"), world.join("second")).expect("links can be made");
    let tar = folder.path().join("world.tar");
    let mut command = Command::new("tar");
    command.args(["--format=posix", "--mtime=@1700000000.123456789", "--sort=name"]);
    command.arg("--pax-option=SCHILY.xattr.user.game:=of life");
    let _ = Outcome::of(command.arg("-C").arg(&world).arg("-cf").arg(&tar).arg(".")).exits(0);
    borg.init(&keeper.repository(), "none");
    let _ = keeper.run(["import-tar", "ours", text(&tar)]);
    let _ = borg.run(["import-tar", &location(&keeper.repository(), "theirs"), text(&tar)]);
    let [ours, theirs] = ["ours", "theirs"].map(|archive| borg.items(&keeper.repository(), archive));
    let of = |items: &[Value], field: &str| items.iter().map(|item| item[field].clone()).collect::<Vec<_>>();
    assert_eq!(of(&ours, "path"), of(&theirs, "path"));
    assert_eq!(of(&ours, "path"), [".", "first", "second"].map(Value::from));
    assert_eq!(of(&ours, "source"), [Value::Null, Value::Null, json!("first")]);
    assert_eq!(of(&ours, "mtime"), vec![json!(1_700_000_000_123_456_789_i64); 3]);
    assert!(ours.iter().all(|item| item["xattrs"].to_string().contains("user.game")), "{ours:?}");
    borg.check(&keeper.repository());
    let target = folder.path().join("target");
    borg.extract(&keeper.repository(), "ours", &target);
    assert_eq!(fs::read(target.join("second")).expect("it is there"), b"linked");
}

#[test]
fn a_tar_may_be_compressed_and_may_come_through_a_pipe() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "tar");
    let _ = keeper.backup();
    let contents = |archive: &str| {
        let target = folder.path().join(format!("of {archive}"));
        let _ = keeper.restore(archive, &target);
        tree::listing(&target).into_iter().map(|(path, entry)| (path, entry.content)).collect::<Vec<_>>()
    };
    let expected = contents("latest");
    // The name says nothing: the first bytes do.
    let tar = folder.path().join("archive");
    for suffix in ["tar", "tar.gz", "tar.xz", "tar.zst", "tar.lz4"] {
        let compressed = folder.path().join(format!("archive.{suffix}"));
        let _ = keeper.run(["export-tar", "world-*", text(&compressed)].map(|word| match word {
            "world-*" => "latest",
            word => word,
        }));
        fs::rename(&compressed, &tar).expect("it can be renamed");
        let piped = format!("cat {} | \"$0\" \"$@\"", tar.display());
        let _ = Outcome::of(&mut keeper.command_under(&["sh", "-c", &piped], ["import-tar", suffix, "-"])).exits(0);
        assert_eq!(contents(suffix), expected, "{suffix}");
        if suffix != "tar" {
            let bytes = fs::read(&tar).expect("it is there");
            fs::write(&tar, &bytes[..bytes.len() - 5]).expect("it can be written");
            let _ = keeper.try_run(["import-tar", "cut", text(&tar)]).exits(2).says(&["tar"]);
        }
    }
    fs::write(&tar, b"BZh91AY&SY").expect("it can be written");
    let _ = keeper.try_run(["import-tar", "bzip2", text(&tar)]).exits(2).says(&["bzip2"]);
    let _ = keeper.try_run(["import-tar", "tar", text(&tar)]).exits(2);
}

/// Nothing is committed of a tar that is broken, and the message says where.
#[test]
fn a_broken_tar_changes_nothing() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "tar");
    let _ = keeper.backup();
    let whole = folder.path().join("whole.tar");
    let _ = keeper.run(["export-tar", "latest", text(&whole)]);
    let bytes = fs::read(&whole).expect("it is there");
    let before = repository(&keeper);
    let broken = folder.path().join("broken.tar");
    let flipped = |place: usize| [&bytes[..place], &[bytes[place] ^ 1], &bytes[place + 1..]].concat();
    let evil = |from: &str, to: &str| {
        let mut header = bytes[..512].to_vec();
        let name = if from == "name" { 0..100 } else { 124..136 };
        header[name.clone()].fill(0);
        header[name.start..name.start + to.len()].copy_from_slice(to.as_bytes());
        if from == "size" {
            header[156] = b'0';
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        [&header, &bytes[512..]].concat()
    };
    for (what, content, says) in [
        ("empty", Vec::new(), "name a tar"),
        ("a part of a header", bytes[..100].to_vec(), "no tar"),
        ("between members", bytes[..512].to_vec(), "--ignore-zeros"),
        ("somewhere", bytes[..bytes.len() / 2 + 7].to_vec(), "cut off"),
        ("its checksum", flipped(5), "checksum"),
        ("garbage", b"no tar at all\n".repeat(100), "no tar"),
        ("huge", evil("size", "77777777777"), "cut off"),
        ("leads out", evil("name", "world/../../etc"), "`..`"),
    ] {
        fs::write(&broken, content).expect("it can be written");
        let outcome = keeper.try_run(["import-tar", "broken", text(&broken)]).exits(2).says(&[says, "hint"]);
        assert!(!outcome.to_string().contains("panicked"), "{what}");
        assert_eq!(repository(&keeper), before, "{what}");
    }
    let _ = keeper.run(["import-tar", "whole", text(&whole)]);
    let _ = keeper.try_run(["import-tar", "whole", text(&whole)]).exits(2).says(&["already an archive", "hint"]);
    let _ = keeper.run(["check", "--verify-data"]);
}

/// What nobody could read is not stored.
#[test]
fn a_member_of_which_too_much_is_said_changes_nothing() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "tar");
    let _ = keeper.backup();
    let before = repository(&keeper);
    let header = |kind: u8, size: usize| {
        let mut header = [0; 512];
        header[0] = b'a';
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[148..156].fill(b' ');
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header.to_vec()
    };
    let long = |kind| [header(kind, 12 << 20), vec![b'a'; 12 << 20]].concat();
    let tar = folder.path().join("much.tar");
    fs::write(&tar, [long(b'L'), long(b'K'), header(b'2', 0), vec![0; 1024]].concat()).expect("it can be written");
    let _ = keeper.try_run(["import-tar", "much", text(&tar)]).exits(2).says(&["beside its content takes more than"]);
    assert_eq!(repository(&keeper), before);
}

/// The archives, and the size of all that there is of them.
fn repository(keeper: &Worldkeeper) -> (Vec<String>, u64) {
    (keeper.archives(), disk_usage(&keeper.repository().join("data")))
}
