//! What `restore` can do with an archive, as stock's `extract` does it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{Worldkeeper, below};

use crate::place;

/// Options that both have, with the same words.
const CASES: &[&[&str]] = &[
    &["--sparse"],
    &["--strip-components", "4"],
    &["--strip-components", "5", "--exclude", "*/names"],
    // Further links without their first: they bring the content along.
    &["{}/links/hard2"],
    &["{}/links/other", "--strip-components", "3"],
    &["{}/links", "--exclude", "*/hard1"],
    &["--pattern", "+ sh:**/links/hard*", "--pattern", "- re:."],
    &["{}/names", "--exclude", "re:\\xff", "--pattern", "- sh:**/*dash"],
];

#[test]
fn options_do_what_they_do_in_stock() {
    let Some(borg) = Borg::newest() else { return };
    let folder = tree::memory_folder();
    let keeper = Worldkeeper::at(folder.path()).with("BORG_ENCRYPTION", "none").without("BORG_PASSPHRASE");
    tree::nasty(&keeper.world());
    fs::write(keeper.world().join("hole"), vec![0; 20 << 20]).expect("a file can be written");
    let archive = keeper.backup();
    let stored = keeper.world().strip_prefix("/").expect("it is absolute").to_owned();
    for (number, options) in CASES.iter().enumerate() {
        let options: Vec<_> =
            options.iter().map(|option| option.replace("{}", stored.to_str().expect("a plain name"))).collect();
        let [theirs, ours] = ["theirs", "ours"].map(|name| folder.path().join(format!("{name}-{number}")));
        fs::create_dir(&theirs).expect("a folder can be made");
        let mut command = borg.command();
        let split = options.iter().position(|option| option.starts_with("--")).unwrap_or(options.len());
        let joined = options[split..].chunks(2).map(|option| option.join("="));
        command.current_dir(&theirs).args(["extract", "--numeric-ids"]).args(joined);
        command.arg(location(&keeper.repository(), &archive)).args(&options[..split]);
        let _ = Outcome::of(&mut command).exits(0);

        let words = ["restore", &archive, "--to", ours.to_str().expect("a plain name"), "--numeric-ids", "--devices"];
        let words = words.into_iter().chain(["--setuid"]).chain(options.iter().map(String::as_str));
        let _ = keeper.run(words);
        assert_eq!(restored(&theirs), restored(&ours), "{options:?}");
        if options[0] == "--sparse" {
            let blocks =
                |root: &Path| fs::metadata(below(root, &keeper.world()).join("hole")).expect("it is there").blocks();
            assert_eq!(blocks(&ours), blocks(&theirs));
            assert_eq!(blocks(&ours), 0, "20 MiB of zeros are one hole");
        }
    }
}

/// Hard links whose first is stripped away, or replaced by what has the same path without its first components.
#[test]
fn hard_links_that_lose_components_of_their_paths_keep_their_content() {
    let Some(borg) = Borg::newest().map(Borg::warmed) else { return };
    let (folder, keeper) = place("none");
    let world = keeper.world();
    for (path, content) in [("a/x", "of a"), ("a/m", "linked"), ("b/x", "of b")] {
        tree::write(&world.join(path), content.as_bytes());
    }
    fs::create_dir_all(world.join("c/d")).expect("folders can be made");
    for (first, link) in [("a/x", "c/y"), ("a/x", "c/z"), ("a/x", "c/d/w"), ("a/m", "b/m"), ("a/m", "c/d/n")] {
        fs::hard_link(world.join(first), world.join(link)).expect("hard links can be made");
    }
    // In this order, whatever the inodes.
    let mut command = borg.command();
    borg.init(&keeper.repository(), "none");
    command.current_dir(&world).arg("create").arg(location(&keeper.repository(), "links"));
    let _ = borg.outcome(command.args(["a", "b", "c"])).exits(0);

    let restored = |number: usize| {
        let [theirs, ours] = ["theirs", "ours"].map(|whose| folder.path().join(format!("{whose}-{number}")));
        fs::create_dir(&theirs).expect("a folder can be made");
        let mut command = borg.command();
        command.current_dir(&theirs).arg("extract").arg(format!("--strip-components={number}"));
        let theirs_ended = borg.outcome(command.arg(location(&keeper.repository(), "links")));
        let to = ours.to_str().expect("a plain name");
        let ended = keeper.try_run(["restore", "links", "--to", to, "--strip-components", &number.to_string()]);
        let contents = |root: &Path| {
            let entries = tree::listing(root);
            let files = entries.iter().filter(|(_, entry)| entry.content != tree::Content::Directory);
            let told = |path: &Path| fs::read_to_string(root.join(path)).expect("it can be read");
            files.map(|(path, _)| (path.display().to_string(), told(path))).collect::<BTreeMap<_, _>>()
        };
        (theirs_ended.code(), contents(&theirs), ended, contents(&ours))
    };
    // The first link is stripped away: the first that is left has the content.
    let (code, theirs, ended, ours) = restored(2);
    let _ = ended.exits(0);
    assert_eq!((code, &ours), (Some(0), &theirs));
    let all = |files: &[(&str, &str)]| {
        files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
    };
    assert_eq!(ours, all(&[("n", "linked"), ("w", "of a")]));
    // Stock loses what was `a/m`, because `b/m` is the same, and gives the links of `a/x` what `b/x` had. Ours does not.
    let (code, theirs, ended, ours) = restored(1);
    let _ = ended.exits(1).says(&["a/x: b/x has come to the same place"]);
    assert_eq!(code, Some(1));
    assert_eq!(theirs, all(&[("d/w", "of b"), ("x", "of b"), ("y", "of b"), ("z", "of b")]));
    let expected = [("d/n", "linked"), ("d/w", "of a"), ("m", "linked"), ("x", "of b"), ("y", "of a"), ("z", "of a")];
    assert_eq!(ours, all(&expected));
    let inode = |name: &str| fs::metadata(folder.path().join("ours-1").join(name)).expect("it is there").ino();
    for (one, other) in [("m", "d/n"), ("y", "z"), ("y", "d/w")] {
        assert_eq!(inode(one), inode(other), "{one} and {other} are links of one file");
    }
    // A tar of it says the same.
    let tar = folder.path().join("links.tar").display().to_string();
    let _ = keeper.try_run(["export-tar", "--strip-components", "1", "links", &tar]).exits(1);
    let _ = keeper.try_run(["restore", "--strip-components", "1", "links", "--to", "x", "--dry-run"]).exits(1);
    let untarred = folder.path().join("untarred");
    fs::create_dir(&untarred).expect("a folder can be made");
    let _ = Outcome::of(std::process::Command::new("tar").arg("-C").arg(&untarred).args(["-xf", &tar])).exits(0);
    for (path, content) in expected {
        assert_eq!(fs::read_to_string(untarred.join(path)).expect("it is there"), content, "{path}");
    }
}

/// What is there. Folders that are only on the way have what the time and the umask of their maker gave them.
fn restored(root: &Path) -> BTreeMap<PathBuf, tree::Entry> {
    let mut entries = tree::listing(root);
    let began = i128::from(fs::metadata(root).expect("it is there").ctime() - 3600) * 1_000_000_000;
    for entry in entries.values_mut().filter(|entry| entry.content == tree::Content::Directory) {
        if entry.mtime_ns > began {
            (entry.mode, entry.mtime_ns) = (0, 0);
        }
    }
    entries
}

#[test]
fn content_goes_to_standard_output_and_a_trial_writes_nothing() {
    let (_folder, keeper) = place("none");
    tree::sample(&keeper.world(), "stdout");
    fs::hard_link(keeper.world().join("hello.txt"), keeper.world().join("linked.txt")).expect("links can be made");
    let archive = keeper.backup();
    let stored = |name: &str| keeper.world().join(name).into_os_string();
    let restore = |options: &[&str], paths: &[&str]| {
        let words = ["restore", &archive].into_iter().chain(options.iter().copied()).map(OsStr::new);
        keeper.run(words.map(Into::into).chain(paths.iter().map(|path| stored(path))))
    };
    let hello = "hello from stdout\n";
    assert_eq!(restore(&["--stdout"], &["hello.txt"]).stdout(), hello);
    // A further link has its content too, once.
    assert_eq!(restore(&["--stdout"], &["linked.txt"]).stdout(), hello);
    assert_eq!(restore(&["--stdout"], &["linked.txt", "hello.txt", "empty"]).stdout(), hello);

    let before = tree::listing(keeper.folder());
    let tried = restore(&["--dry-run", "--list"], &["region"]);
    let listed = tried.lines().iter().filter(|line| line.contains("/region/r.")).count();
    assert_eq!(listed, 2, "{tried}");
    let _ = tried.says(&["could restore 2 files"]);
    let after = tree::listing(keeper.folder());
    let world = |entries: &BTreeMap<PathBuf, _>| {
        let paths = entries.keys().cloned();
        paths.filter(|path| path.starts_with("world")).collect::<Vec<_>>()
    };
    assert_eq!(world(&before), world(&after));
}

/// Without `--to` it goes to the sources: an archive of others has nothing for them, and who asked has nothing back.
#[test]
fn an_archive_that_holds_nothing_of_the_sources_is_not_restored_to_them() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "original");
    let archive = keeper.backup();
    let other = folder.path().join("other");
    let missing = other.to_str().unwrap().trim_start_matches('/').to_owned();
    let refused = format!("archive {archive} holds nothing of {missing}");
    let elsewhere = keeper.with("BACKUP_SOURCES", &other);
    for options in [&["--overwrite"][..], &["--dry-run"], &[]] {
        let words = ["restore", &archive].into_iter().chain(options.iter().copied());
        let _ = elsewhere.try_run(words).exits(2).says(&[&refused, "hint: ", "--to dir"]);
    }
    assert!(!other.exists());
    // What there is comes back, and what there is not is said.
    let both = format!("{},{}", elsewhere.world().display(), other.display());
    let both = elsewhere.with("BACKUP_SOURCES", both);
    let _ = both.try_run(["restore", &archive, "--overwrite"]).exits(1).says(&[&refused, "restored 6 files"]);
}

/// What patterns say is all that is meant: no source comes along, and none is missed that they leave out.
#[test]
fn patterns_mean_what_they_say_where_the_sources_are() {
    let (folder, keeper) = place("none");
    let mods = folder.path().join("mods");
    tree::write(&mods.join("mod.jar"), b"a mod");
    tree::write(&keeper.world().join("level.dat"), b"a world");
    tree::write(&keeper.world().join("region/r.0.0.mca"), b"");
    let both = format!("{},{}", keeper.world().display(), mods.display());
    let keeper = keeper.with("BACKUP_SOURCES", both);
    let archive = keeper.backup();
    let stored = |path: &Path| path.strip_prefix("/").expect("it is absolute").display().to_string();
    let root = format!("R {}", stored(&keeper.world().join("region")));
    let named = format!("+ {}", stored(&keeper.world()));
    for (options, others_stay) in [
        (&["--pattern", &root][..], true),
        (&["--exclude", &stored(&mods)], false),
        (&["--pattern", &named, "--pattern", "- sh:**"], false),
    ] {
        fs::write(keeper.world().join("level.dat"), "newer").expect("a file can be written");
        let words = ["restore", &archive, "--overwrite"].into_iter().chain(options.iter().copied());
        let _ = keeper.run(words).does_not_say("holds nothing of");
        let level = fs::read_to_string(keeper.world().join("level.dat")).expect("it is there");
        assert_eq!(level == "newer", others_stay, "{options:?}");
    }
}

/// What gives somebody rights comes back only if it is asked for, and what was left out is counted.
#[test]
fn devices_and_setuid_are_left_out_unless_they_are_asked_for() {
    if !peers::is_root() {
        return;
    }
    let (folder, keeper) = place("none");
    tree::nasty(&keeper.world());
    let archive = keeper.backup();
    let target = folder.path().join("target");
    let restored = keeper.try_run([OsStr::new("restore"), archive.as_ref(), "--to".as_ref(), target.as_ref()]).exits(1);
    let restored = restored.says(&["2 devices left out", "--devices", "capabilities not set on 1 item"]);
    let _ = restored.says(&["setuid and setgid bits not set on 4 items: --setuid"]);
    let found = below(&target, &keeper.world());
    assert!(!found.join("devices/null").exists());
    let mode = |name: &str| fs::metadata(found.join(name)).expect("it is there").mode() & 0o7777;
    assert_eq!((mode("modes/4755"), mode("modes/6711"), mode("owners/mixed")), (0o755, 0o711, 0o750));
    assert_eq!((mode("modes/folder-2750"), mode("modes/folder-1777")), (0o2750, 0o1777));
    assert!(!tree::listing(&found)[Path::new("attributes/capable")].xattrs.contains_key("security.capability"));
}

/// Somebody who is not root gets all content, and is told by kind what could not be set.
#[test]
fn who_is_not_root_gets_all_content_and_is_told_what_it_lacks() {
    if !peers::is_root() {
        return;
    }
    let (folder, keeper) = place("none");
    tree::nasty(&keeper.world());
    let archive = keeper.backup();
    let owned = std::process::Command::new("chown").args(["-R", "nobody"]).arg(folder.path()).status();
    assert!(owned.is_ok_and(|status| status.success()));
    let target = folder.path().join("target");
    fs::create_dir(&target).and_then(|()| chown(&target, Some(65534), None)).expect("root may do that");
    let program = folder.path().join("worldkeeper");
    fs::copy(worldkeeper_testkit::worldkeeper::program(), &program).expect("it can be copied");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env"];
    let mut command = keeper.command_under(&nobody, ["restore", &archive, "--devices", "--setuid", "--to"]);
    command.arg(&target);
    let restored = Outcome::of(&mut command).exits(1);
    let restored =
        restored.says(&["owner not set on", "only root may give files away", "setuid and setgid bits not set on"]);
    let _ = restored.says(&["2 items could not be restored", "extended attributes not set on 1 item"]);
    // Everything is there but the devices, with its content.
    let [mut expected, found] = [keeper.world(), below(&target, &keeper.world())].map(|root| tree::listing(&root));
    expected.retain(|_, entry| !matches!(entry.content, tree::Content::CharDevice(_) | tree::Content::BlockDevice(_)));
    let contents = |entries: BTreeMap<_, tree::Entry>| {
        entries.into_iter().map(|(path, entry)| (path, entry.content)).collect::<Vec<_>>()
    };
    assert_eq!(contents(expected), contents(found));
}
