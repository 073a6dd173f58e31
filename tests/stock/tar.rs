//! A tar of ours is stock's tar, byte by byte.

use std::fs;
use std::process::Command;

use serde_json::Value;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::{peers, tree};

use crate::place;

/// Options and paths that both have, with the same words; `{}` is where the world lies in the archive.
const CASES: &[&[&str]] = &[
    &[],
    &["--strip-components=2"],
    &["--strip-components=3", "--exclude=*/names"],
    &["--pattern=+ sh:**/links/hard*", "--pattern=- re:."],
    &["--exclude=*/hard1", "{}/nasty/links", "{}/sample"],
];

#[test]
fn what_we_export_is_what_stock_exports() {
    let borgs = Borg::all();
    let (folder, keeper) = place("none");
    tree::nasty(&keeper.world().join("nasty"));
    tree::untimely(&keeper.world().join("untimely"));
    tree::sample(&keeper.world().join("sample"), "tar");
    let archive = keeper.backup();
    let world = keeper.world().strip_prefix("/").expect("it is absolute").display().to_string();
    let [ours, theirs] = ["ours.tar", "theirs.tar"].map(|name| folder.path().join(name).display().to_string());
    for (case, borg) in CASES.iter().flat_map(|case| borgs.iter().map(move |borg| (case, borg))) {
        let words: Vec<_> = case.iter().map(|word| word.replace("{}", &world)).collect();
        let (options, paths): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.starts_with("--"));
        let command = |archive: &str, file: &str| {
            let words = ["export-tar".to_owned()].into_iter().chain(options.clone());
            words.chain([archive.to_owned(), file.to_owned()]).chain(paths.clone()).collect::<Vec<_>>()
        };
        let _ = borg.run(command(&location(&keeper.repository(), &archive), &theirs));
        let _ = keeper.run(command(&archive, &ours));
        let [left, right] = [&theirs, &ours].map(|path| fs::read(path).expect("a tar was written"));
        let difference = left.iter().zip(&right).position(|(left, right)| left != right);
        assert_eq!((difference, left.len()), (None, right.len()), "{borg}, {case:?}");
    }
}

/// A tar of ours through stock's import, and one of stock's through ours: both are the archive that was exported, in all
/// that a tar can hold.
#[test]
fn what_one_exports_the_other_imports() {
    let (folder, keeper) = place("none");
    // Nobody looks for the chunks of a world in a tar.
    let keeper = keeper.with("WORLD_CUTS", "off");
    tree::nasty(&keeper.world().join("nasty"));
    tree::sample(&keeper.world().join("sample"), "there and back");
    let archive = keeper.backup();
    let repository = keeper.repository();
    for (number, borg) in Borg::all().into_iter().map(Borg::warmed).enumerate() {
        let [ours, theirs] = ["ours.tar", "theirs.tar"].map(|name| folder.path().join(name).display().to_string());
        let [ours_of_theirs, theirs_of_ours] = ["ours", "theirs"].map(|whose| format!("{whose}-{number}"));
        let _ = keeper.run(["export-tar", &archive, &ours]);
        let _ = borg.run(["import-tar", &location(&repository, &theirs_of_ours), &ours]);
        let _ = borg.run(["export-tar", &location(&repository, &archive), &theirs]);
        let _ = keeper.run(["import-tar", &ours_of_theirs, &theirs]);
        borg.check(&repository);
        let archives = [&archive, &ours_of_theirs, &theirs_of_ours];
        let [exported, ours, theirs] = archives.map(|archive| borg.items(&repository, archive));
        assert_eq!((ours.len(), theirs.len()), (exported.len(), exported.len()), "{borg}");
        for ((exported, ours), theirs) in exported.into_iter().zip(ours).zip(theirs) {
            assert_eq!(ours, theirs, "{borg}");
            for field in ["path", "mode", "uid", "gid", "user", "group", "source", "rdev", "size", "chunks"] {
                assert_eq!(ours[field], exported[field], "{borg}: {field} of {exported}");
            }
            // Whole seconds, or with a fraction that is rounded to a float.
            let time = |item: &Value| item["mtime"].as_i64().expect("a time is a number");
            assert!(time(&ours).abs_diff(time(&exported)) < 1_000_000_000, "{borg}: {exported}");
        }
    }
}

/// The system's tar unpacks what comes out of each compression.
#[test]
fn names_say_how_a_tar_is_compressed() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "tar");
    let archive = keeper.backup();
    for (suffix, program) in
        [("tar", "tar"), ("tgz", "gzip"), ("tar.xz", "xz"), ("tar.zst", "zstd"), ("tar.lz4", "lz4")]
    {
        let found = if peers::on_path(program) { Ok(()) } else { Err("it is not installed".to_owned()) };
        if peers::or_skip(program, found).is_none() {
            continue;
        }
        let tar = folder.path().join(format!("archive.{suffix}"));
        let _ = keeper.run(["export-tar", &archive, tar.to_str().expect("a plain name")]);
        let target = folder.path().join(suffix);
        fs::create_dir(&target).expect("a folder can be made");
        let mut unpack = Command::new("tar");
        unpack.arg("-C").arg(&target);
        if program != "tar" {
            unpack.args(["-I", program]);
        }
        let _ = Outcome::of(unpack.arg("-xf").arg(&tar)).exits(0);
        let contents = |root: &std::path::Path| {
            tree::listing(root).into_iter().map(|(path, entry)| (path, entry.content, entry.mode)).collect::<Vec<_>>()
        };
        assert_eq!(
            contents(&worldkeeper_testkit::worldkeeper::below(&target, &keeper.world())),
            contents(&keeper.world()),
            "{suffix}"
        );
    }
    let _ = keeper.try_run(["export-tar", &archive, "x.tar.bz2"]).exits(2).says(&["bzip2", "hint"]);
}

/// Stock leaves a tar of nothing behind.
#[test]
fn a_tar_of_what_is_not_in_the_archive_is_not_made() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "tar");
    let archive = keeper.backup();
    let tar = folder.path().join("archive.tar");
    let _ = keeper.try_run(["export-tar", &archive, tar.to_str().expect("a plain name"), "nosuch"]).exits(2).says(&[
        "nothing of nosuch",
        "there is no tar",
        "hint",
    ]);
    assert!(!tar.exists());
}

/// Where content is lost there is no tar that looks whole, and what was there stays.
#[test]
fn a_tar_that_cannot_be_whole_is_none() {
    let (folder, keeper) = place("none");
    tree::sample(&keeper.world(), "tar");
    let archive = keeper.backup();
    let segment = fs::read_dir(keeper.repository().join("data/0")).expect("there are segments");
    let largest = segment
        .map(|entry| entry.expect("readable").path())
        .max_by_key(|path| fs::metadata(path).expect("it is there").len());
    let largest = largest.expect("there are segments");
    let mut bytes = fs::read(&largest).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).expect("it can be written");
    let tar = folder.path().join("archive.tar");
    fs::write(&tar, "what was there").expect("it can be written");
    let _ = keeper
        .try_run(["export-tar", &archive, tar.to_str().expect("a plain name")])
        .exits(2)
        .says(&["the tar ends within"]);
    assert_eq!(fs::read(&tar).expect("it is there"), b"what was there");
    let mut left =
        fs::read_dir(folder.path()).expect("it can be listed").map(|entry| entry.expect("readable").file_name());
    assert!(!left.any(|name| name.to_string_lossy().ends_with(".partial")));
}
