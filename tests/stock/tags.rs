//! Directories that are left out for a tag in them are those that stock leaves out; where we differ, and why, is here.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_testkit::{strace, tree};

use crate::place;

const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// What is compared of an item.
const FIELDS: &str = "{type} {mode} {size} {path} {source}{NL}";

/// Options; `{}` stands for the folder that the world is in.
const CASES: &[&[&str]] = &[
    &[],
    &["--keep-exclude-tags"],
    &["--exclude-caches"],
    &["--exclude-caches", "--keep-exclude-tags"],
    &["--exclude-if-present=.nobackup"],
    &["--exclude-if-present=.nobackup", "--keep-exclude-tags"],
    &["--exclude-if-present=.skip", "--exclude-if-present=.nobackup", "--exclude-caches", "--keep-exclude-tags"],
    &["--exclude-if-present=CACHEDIR.TAG"],
    &["--exclude-if-present=nothing"],
    // Patterns come first, for tags too.
    &["--exclude-caches", "--exclude-if-present=.nobackup", "--keep-exclude-tags", "--exclude=sh:**/CACHEDIR.TAG"],
    &["--exclude-caches", "--keep-exclude-tags", "--pattern=+ {}/world/real/deep", "--pattern=- {}/world/real"],
    &[
        "--exclude-if-present=.nobackup",
        "--keep-exclude-tags",
        "--pattern=+ sh:**/.nobackup",
        "--pattern=- {}/world/m*",
    ],
];

#[test]
fn the_items_are_those_of_stock() {
    for borg in Borg::all() {
        let borg = borg.warmed();
        let (folder, keeper) = place("none");
        let world = keeper.world();
        fill(&world);
        let sources = [world.clone()];
        // Roots that are tagged, and one that is not.
        let roots = ["real", "marked", "false"].map(|name| world.join(name));
        let stock = folder.path().join("stock");
        borg.init(&stock, "none");
        for (number, options) in CASES.iter().enumerate() {
            let options =
                options.iter().map(|option| option.replace("{}", folder.path().to_str().expect("a plain name")));
            let options = options.collect::<Vec<_>>();
            for (kind, sources) in [("world", &sources[..]), ("roots", &roots)] {
                let expected = of_stock(&borg, &stock, &format!("{kind}{number}"), &world, &options, sources);
                assert_eq!(of_ours(&borg, &keeper, &options, sources), expected, "{borg}: {kind} {options:?}");
            }
        }
    }
}

/// The tag of a cache that is chosen by its name as well: stock has it twice.
#[test]
fn a_tag_comes_once() {
    let options =
        ["--exclude-caches", "--exclude-if-present=CACHEDIR.TAG", "--keep-exclude-tags"].map(str::to_owned).to_vec();
    for borg in Borg::all() {
        let (folder, keeper) = place("none");
        let world = keeper.world();
        tag(&world.join("real"), SIGNATURE);
        let stock = folder.path().join("stock");
        borg.init(&stock, "none");
        let mut expected = of_stock(&borg, &stock, "a", &world, &options, std::slice::from_ref(&world));
        let count = expected.len();
        expected.dedup();
        assert_eq!(expected.len(), count - 1, "{borg}");
        assert_eq!(of_ours(&borg, &keeper, &options, &[world]), expected, "{borg}");
    }
}

/// Stock reads what the link leads to, wherever that is. Here, what no regular file says is not believed, and more is kept.
#[test]
fn a_link_to_the_tag_of_a_cache_is_none() {
    let options = ["--exclude-caches".to_owned()];
    for borg in Borg::all() {
        let (folder, keeper) = place("none");
        let world = keeper.world();
        tree::write(&world.join("linked/data"), b"data");
        fs::write(folder.path().join("outside"), SIGNATURE).expect("a file can be written");
        symlink("../../outside", world.join("linked/CACHEDIR.TAG")).expect("a link can be made");
        let stock = folder.path().join("stock");
        borg.init(&stock, "none");
        let without = of_stock(&borg, &stock, "a", &world, &options, std::slice::from_ref(&world));
        let all = of_stock(&borg, &stock, "b", &world, &[], std::slice::from_ref(&world));
        assert_eq!((without.len(), all.len()), (1, 4), "{borg}: {all:#?}");
        assert_eq!(of_ours(&borg, &keeper, &options, &[world]), all, "{borg}");
    }
}

/// A FIFO into which nobody writes holds nobody up, since it is not opened; nor is a link or a tag that need not be read.
#[test]
fn nothing_but_a_regular_tag_of_a_cache_is_opened() {
    if !strace::is_there() {
        return;
    }
    let (folder, keeper) = place("none");
    fill(&keeper.world());
    let log = folder.path().join("strace.log");
    let log_path = log.to_str().expect("paths of tests are text");
    let strace = ["strace", "-f", "-qq", "-o", log_path, "-e", "trace=open,openat,openat2"];
    let args = ["backup", "--exclude-caches", "--exclude-if-present=.nobackup", "--exclude=sh:**/CACHEDIR.TAG"];
    let _ = Outcome::of(&mut keeper.command_under(&strace, args)).exits(0);
    let calls = fs::read_to_string(&log).expect("strace has written it");
    let opened = |name: &str| calls.lines().filter(|call| call.contains(&format!("\"{name}\""))).count();
    // Those that are files: real, exact, both, hard, short, false. Beneath what is left out nobody looks.
    assert_eq!((opened("CACHEDIR.TAG"), opened(".nobackup")), (6, 0), "{calls}");
    assert!(calls.lines().filter(|call| call.contains("CACHEDIR.TAG")).all(|call| call.contains("O_NOFOLLOW")));
}

/// What the environment says is what flags say, and `run` does the same.
#[test]
fn the_environment_says_it_too() {
    let (_folder, keeper) = place("none");
    fill(&keeper.world());
    let by_flags =
        ["--exclude-caches", "--exclude-if-present=.nobackup", "--exclude-if-present=.skip", "--keep-exclude-tags"];
    let listed = |keeper: &Worldkeeper| keeper.run(["list", "latest", "--short"]).lines();
    let _ = keeper.run(["backup"].iter().chain(&by_flags));
    let expected = listed(&keeper);
    let _ = keeper.run(["run", "--once"].iter().chain(&by_flags));
    assert_eq!(listed(&keeper), expected);
    let keeper = keeper
        .with("EXCLUDE_CACHES", "yes")
        .with("EXCLUDE_IF_PRESENT", ".nobackup,.skip")
        .with("KEEP_EXCLUDE_TAGS", "yes");
    let told = keeper.run(["backup"]);
    assert_eq!(listed(&keeper), expected);
    assert!(told.stderr().contains("real is left out: it is tagged"), "{told}");
}

/// Directories with tags of all kinds, and with what is none.
fn fill(world: &Path) {
    let link = |target: &str, name: &str| symlink(target, world.join(name)).expect("a link can be made");
    let fifo =
        |name: &str| mknodat(CWD, world.join(name), FileType::Fifo, Mode::from(0o640), 0).expect("a FIFO can be made");
    tree::write(&world.join("file"), b"file");
    tag(&world.join("real"), &[SIGNATURE, b"\n# made by a test\n"].concat());
    tag(&world.join("real/deep/er"), SIGNATURE);
    tree::write(&world.join("real/deep/data"), b"data");
    tag(&world.join("exact"), SIGNATURE);
    tag(&world.join("short"), &SIGNATURE[..42]);
    tag(&world.join("false"), &[b" ", SIGNATURE].concat());
    tag(&world.join("both"), SIGNATURE);
    tag(&world.join("hard"), SIGNATURE);
    fs::hard_link(world.join("hard/CACHEDIR.TAG"), world.join("other name")).expect("a link can be made");
    for name in ["both/.nobackup", "both/.skip", "skip/.skip", "marked/.nobackup", "marked/deep/data"] {
        tree::write(&world.join(name), b"");
    }
    // Tags that are no files: what is in a directory is in the archive if it is kept, less what is tagged there.
    for name in ["folder/CACHEDIR.TAG/data", "marked folder/.nobackup/data", "marked folder/data"] {
        tree::write(&world.join(name), b"");
    }
    tag(&world.join("marked folder/.nobackup/real"), SIGNATURE);
    for name in ["linked", "dangling", "fifo", "marked link", "marked nowhere", "marked fifo"] {
        tree::write(&world.join(name).join("data"), b"");
    }
    link("../false/CACHEDIR.TAG", "linked/CACHEDIR.TAG");
    link("nowhere", "dangling/CACHEDIR.TAG");
    link("../file", "marked link/.nobackup");
    link("nowhere", "marked nowhere/.nobackup");
    fifo("fifo/CACHEDIR.TAG");
    fifo("marked fifo/.nobackup");
}

fn tag(folder: &Path, content: &[u8]) {
    tree::write(&folder.join("CACHEDIR.TAG"), content);
    tree::write(&folder.join("data"), b"data");
}

/// The items that stock makes. It waits at a FIFO in the place of a tag for somebody to open the other end.
fn of_stock(
    borg: &Borg,
    repository: &Path,
    archive: &str,
    world: &Path,
    options: &[String],
    sources: &[PathBuf],
) -> Vec<String> {
    let mut create = borg.command();
    create.arg("create").args(options).arg(location(repository, archive)).args(sources);
    let fifo = world.join("fifo/CACHEDIR.TAG");
    std::thread::scope(|scope| {
        if fifo.exists() {
            scope.spawn(|| File::options().write(true).open(&fifo));
        }
        let made = borg.outcome(&mut create);
        if fifo.exists() {
            // Whoever still waits at the other end need not: stock has not come there.
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            let _ = File::options().read(true).custom_flags(flags).open(&fifo).expect("a FIFO can be opened");
        }
        let _ = made.exits(0);
    });
    items(borg, repository, archive)
}

/// The items that we make.
fn of_ours(borg: &Borg, keeper: &Worldkeeper, options: &[String], sources: &[PathBuf]) -> Vec<String> {
    let mut backup = keeper.command(["backup"]);
    for source in sources {
        backup.arg("--source").arg(source);
    }
    let _ = Outcome::of(backup.args(options)).exits(0);
    items(borg, &keeper.repository(), &keeper.archives().pop().expect("there is an archive"))
}

fn items(borg: &Borg, repository: &Path, archive: &str) -> Vec<String> {
    borg.run(["list", "--format", FIELDS, &location(repository, archive)]).lines()
}
