//! Archives that are changed after the fact: what `rename`, `recreate` and `--comment` leave is what stock would have left.

use std::fs;
use std::path::Path;

use serde_json::Value;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};

use crate::place;

#[test]
fn an_archive_has_another_name_and_nothing_else() {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE).warmed();
        let (folder, keeper) = place("repokey-blake2");
        let repository = keeper.repository();
        tree::sample(&keeper.world(), "renamed");
        let _ = keeper.run(["backup", "--comment", "before the \"update\""]);
        let name = keeper.archives().pop().expect("there is an archive");
        let before = about(&borg, &repository, &name);
        let _ = keeper.try_run(["rename", &name, "a/b"]).exits(2);
        let _ = keeper.try_run(["rename", "nothing", "new"]).exits(2).says(&["there is no archive nothing"]);
        let _ = keeper.try_run(["rename", &name, &name]).exits(2).says(&["there is already an archive"]);
        let _ = keeper.run(["rename", &name, "änders"]);

        borg.check(&repository);
        assert_eq!(borg.archives(&repository), ["änders"], "{borg}");
        let mut after = about(&borg, &repository, "änders");
        assert_ne!(after["id"], before["id"]);
        assert_eq!(after["comment"], "before the \"update\"");
        (after["id"], after["name"]) = (before["id"].clone(), before["name"].clone());
        // The name is part of the metadata, whose length is part of these.
        (after["limits"], after["stats"]["deduplicated_size"]) =
            (before["limits"].clone(), before["stats"]["deduplicated_size"].clone());
        assert_eq!(after, before, "{borg}");
        let target = folder.path().join("extracted");
        borg.extract(&repository, "änders", &target);
        assert_same(&keeper.world(), &below(&target, &keeper.world()));

        // Stock 1.2.4 forgets to sign what it renames.
        let _ = borg.run(["rename", &location(&repository, "änders"), "again"]);
        assert_eq!(keeper.run(["list", "--short", "--consider-unproven"]).lines(), ["again"], "{borg}");
        let renamed = keeper.try_run(["rename", "again", "ours"]);
        if borg.version().starts_with("1.2.") {
            let _ = renamed.exits(2).says(&["cannot be authenticated"]);
        } else {
            let _ = renamed.exits(0);
            let _ = keeper.restore("ours", &folder.path().join("restored"));
            assert_same(&keeper.world(), &below(&folder.path().join("restored"), &keeper.world()));
            borg.check(&repository);
        }
    }
}

/// Options and what is named, of ours and of stock's.
const CASES: &[(&[&str], &[&str])] = &[
    (&["--exclude", "*.tmp", "--exclude", "sh:world/nasty/links/hard1"], &[]),
    (&["--exclude", "sh:world/nasty/links/hard1"], &["world/nasty/links", "world/level.dat"]),
    (&["--recompress", "--compression", "zlib,6"], &[]),
    (&["--recompress=always", "--compression", "zstd,1", "--exclude", "*.tmp"], &[]),
    (&["--chunker-params", "buzhash,10,14,12,4095"], &[]),
    (&["--chunker-params", "fixed,4096,100", "--exclude", "re:hard"], &[]),
    (&["--comment", "remarked", "--timestamp", "2020-02-03T04:05:06"], &[]),
    (&["--chunker-params", "default"], &["world/nasty/links/hard2"]),
];

/// All that stock can say of an item, but for sizes of what is compressed.
const KEYS: &str = "{uid}{bpath}{size}{num_chunks}{isomtime}{isoctime}{isoatime}{sha256}{extra}{health}{flags}";

#[test]
fn an_archive_that_is_made_anew_holds_what_it_would_of_stock() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (folder, keeper) = place("repokey");
    let repository = keeper.repository();
    fill(folder.path());
    borg.init(&repository, "repokey");
    let original = location(&repository, "a");
    let options = ["--comment", "first", "--timestamp", "2019-01-01T00:00:00", "--atime"];
    let mut create = borg.command();
    create.current_dir(folder.path()).arg("create").args(options).args([&original, "world"]);
    let _ = borg.outcome(&mut create).exits(0);

    for (number, (options, named)) in CASES.iter().enumerate() {
        let (ours, theirs) = (format!("ours{number}"), format!("theirs{number}"));
        let words = |first: &[&str], archive: &str| {
            let words = first.iter().chain(*options).copied().chain([archive]).chain(named.iter().copied());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let said = keeper.run(words(&["recreate", "--target", &ours], "a"));
        let _ = borg.run(words(&["recreate", "--target", &theirs], &original));

        let items = |archive: &str| items(&borg, &repository, archive);
        assert_eq!(items(&ours), items(&theirs), "{options:?}: {said}");
        let (mut ours, mut theirs) = (about(&borg, &repository, &ours), about(&borg, &repository, &theirs));
        for about in [&mut ours, &mut theirs] {
            // Stock's end is when it was made anew, where another time is given; ours is as far from it as it was.
            for key in ["id", "name", "limits", "duration", "end", "cwd"] {
                about[key] = Value::Null;
            }
            // A new archive of stock's says how it would be cut by default, even where it is not.
            if !options.contains(&"--chunker-params") {
                about["chunker_params"] = Value::Null;
            }
            about["stats"]["deduplicated_size"] = Value::Null;
            about["stats"]["compressed_size"] = Value::Null;
        }
        assert_eq!(ours, theirs, "{options:?}");
    }
    borg.check(&repository);
}

#[test]
fn archives_are_made_anew_in_their_place() {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE).warmed();
        let (folder, keeper) = place("repokey-blake2");
        let repository = keeper.repository();
        fill(folder.path());
        let world = keeper.world();
        let first = keeper.backup();
        fs::remove_file(world.join("a.tmp")).expect("a file can be removed");
        let second = keeper.backup();
        let kept = |archive: &str| keeper.run(["list", "--short", archive]).lines();
        let temporary = |archive: &str| {
            kept(archive).iter().filter(|path| path.ends_with("a.tmp") || path.ends_with("logs.tmp")).count()
        };
        assert_eq!((temporary(&first), temporary(&second)), (2, 1));

        let before = fs::read_dir(repository.join("data/0")).expect("a folder can be read").count();
        let _ = keeper.run(["recreate", "--exclude", "*.tmp", "--dry-run"]).says(&["would lose 2 items"]);
        assert_eq!(fs::read_dir(repository.join("data/0")).expect("a folder can be read").count(), before);
        let glob = format!("{first}*");
        let _ = keeper.run(["recreate", "--exclude", "*.tmp", "--list", "--glob-archives", &glob]).says(&["x ", "A "]);
        assert_eq!(temporary(&first), 0);
        let _ = keeper.run(["recreate", "--exclude", "*.tmp", "--recompress", "-C", "zlib,1", "--comment", "small"]);
        assert_eq!((temporary(&first), temporary(&second)), (0, 0));
        let again = ["recreate", "latest", "--recompress", "-C", "zlib,9", "--comment", "same"];
        let _ = keeper.run(again).says(&["0 B stored"]);
        let _ = keeper.try_run(["recreate", "latest"]).exits(2).says(&["nothing to do"]);
        let _ = keeper.try_run(["recreate", "latest", "--target", &first]).exits(2).says(&["already an archive"]);

        borg.check(&repository);
        assert_eq!(borg.archives(&repository), [first.as_str(), &second], "{borg}");
        assert_eq!(about(&borg, &repository, &first)["comment"], "small", "{borg}");
        assert_eq!(about(&borg, &repository, &second)["comment"], "same", "{borg}");
        let target = folder.path().join("extracted");
        borg.extract(&repository, &second, &target);
        fs::remove_file(world.join("logs.tmp")).expect("a file can be removed");
        assert_same_but_times_of_directories(&world, &below(&target, &world));
        // What it says of other archives is right: nothing that they need has gone.
        let _ = keeper.run(["delete", &first]);
        let _ = keeper.run(["compact"]);
        borg.check(&repository);
        let _ = borg.create(&repository, "stock", &world, &[]);
        borg.check(&repository);
    }
}

/// What stock has made anew is read by us.
#[test]
fn what_stock_made_anew_is_restored() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (folder, keeper) = place("repokey-blake2");
    fill(folder.path());
    let name = keeper.backup();
    let archive = location(&keeper.repository(), &name);
    let _ = borg.run(["recreate", "--exclude", "sh:**/hard1", "--chunker-params", "10,14,12,4095", &archive]);
    let (theirs, ours) = (folder.path().join("theirs"), folder.path().join("ours"));
    borg.extract(&keeper.repository(), &name, &theirs);
    let _ = keeper.restore(&name, &ours);
    assert_same(&below(&theirs, &keeper.world()), &below(&ours, &keeper.world()));
    let _ = keeper.backup();
    borg.check(&keeper.repository());
}

/// A world with hard links, and files that are easily told apart, below `folder`.
fn fill(folder: &Path) {
    let world = folder.join("world");
    tree::sample(&world, "made anew");
    tree::nasty(&world.join("nasty"));
    let text = "what is said twice is said twice ".repeat(3000);
    for (name, content) in [("a.tmp", "temporary"), ("logs.tmp", text.as_str()), ("log", text.as_str()), ("empty", "")]
    {
        fs::write(world.join(name), content).expect("a file can be written");
    }
}

/// What stock says of an archive.
#[track_caller]
fn about(borg: &Borg, repository: &Path, archive: &str) -> Value {
    borg.json(["info", "--json", &location(repository, archive)])["archives"][0].take()
}

/// What stock says of an archive's items, in order.
#[track_caller]
fn items(borg: &Borg, repository: &Path, archive: &str) -> Vec<Value> {
    let listed = borg.run(["list", "--json-lines", "--format", KEYS, &location(repository, archive)]);
    listed.lines().iter().map(|line| serde_json::from_str(line).expect("stock writes JSON")).collect()
}

/// A file that is removed from a directory changes the directory.
#[track_caller]
fn assert_same_but_times_of_directories(one: &Path, other: &Path) {
    for directory in [one, other] {
        let touched = fs::File::open(directory).and_then(|open| open.set_modified(std::time::UNIX_EPOCH));
        touched.expect("a directory's time can be set");
    }
    assert_same(one, other);
}
