//! What is freed and what is not: both of us compact the same segments at a threshold, and none of an append-only
//! repository, which can be rolled back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::{segments, tree};
use worldkeeper_tests::copy;

/// Lengths of the segments that are among `before`.
fn left(before: &BTreeMap<u32, Vec<u8>>, repository: &Path) -> BTreeMap<u32, usize> {
    let now = segments::read(repository).into_iter();
    now.filter(|(number, bytes)| before.get(number) == Some(bytes))
        .map(|(number, bytes)| (number, bytes.len()))
        .collect()
}

#[test]
fn a_threshold_leaves_the_segments_that_stocks_leaves() {
    const FILES: usize = 20;
    /// How many of the files of a segment will be dead: about 5, 15 and 60 %, with the little that is no file.
    const DEAD: [usize; 3] = [1, 3, 12];
    let Some(borg) = Borg::newest() else { return };
    let mut borg = borg.with_passphrase(PASSPHRASE).warmed();
    let folder = tempfile::tempdir().unwrap();
    let (world, base) = (folder.path().join("world"), folder.path().join("base"));
    borg.init(&base, "repokey-blake2");
    let mut sparse = Vec::new();
    for dead in DEAD {
        for number in 0..FILES {
            let seed = format!("{number} of {dead}");
            tree::write(&world.join(format!("{dead}/{number}")), &sha_stream(&seed, 25_000));
        }
        let name = dead.to_string();
        let _ = borg.create(&base, &name, &world.join(&name), &[]);
        let all = segments::read(&base);
        sparse.push(*all.iter().max_by_key(|(number, bytes)| (bytes.len() > 400_000, **number)).unwrap().0);
    }
    for dead in DEAD {
        for number in 0..dead {
            fs::remove_file(world.join(format!("{dead}/{number}"))).unwrap();
        }
    }
    let _ = borg.create(&base, "kept", &world, &[]);
    for dead in DEAD {
        let _ = borg.run(["delete", &location(&base, &dead.to_string())]);
    }
    let before = segments::read(&base);
    assert!(sparse.iter().all(|number| before[number].len() > 400_000) && sparse.is_sorted(), "{sparse:?}");

    for (threshold, freed) in [(0, 3), (10, 2), (50, 1)] {
        let here = folder.path().join(threshold.to_string());
        let keeper = Worldkeeper::at(&here);
        let (ours, theirs) = (keeper.repository(), here.join("theirs"));
        fs::create_dir(&here).unwrap();
        copy(&base, &ours);
        copy(&base, &theirs);
        let threshold = threshold.to_string();
        let _ = keeper.run(["compact", "--threshold", &threshold]);
        borg.forget();
        let _ = borg.run(["compact", "--threshold", &threshold, theirs.to_str().unwrap()]);

        assert_eq!(left(&before, &ours), left(&before, &theirs), "threshold {threshold}");
        let gone: Vec<_> = sparse.iter().filter(|number| !left(&before, &ours).contains_key(number)).collect();
        assert_eq!(gone, sparse[DEAD.len() - freed..].iter().collect::<Vec<_>>(), "threshold {threshold}");
        for (number, repository) in [&ours, &theirs].into_iter().enumerate() {
            segments::assert_index_agrees(repository);
            for borg in Borg::all() {
                let borg = borg.with_passphrase(PASSPHRASE).warmed();
                assert_eq!(borg.archives(repository), ["kept"], "{borg}");
                borg.check(repository);
            }
            let reader = Worldkeeper::at(&here.join(number.to_string())).with("BORG_REPO_PATH", repository);
            assert_eq!(reader.archives(), ["kept"]);
            let _ = reader.run(["check", "--verify-data"]);
        }
    }
}

#[test]
fn an_append_only_repository_loses_nothing_and_can_be_rolled_back() {
    for borg in Borg::all() {
        let mut borg = borg.with_passphrase(PASSPHRASE).warmed();
        let folder = tempfile::tempdir().unwrap();
        let keeper = Worldkeeper::at(folder.path());
        let (world, repository) = (keeper.world(), keeper.repository());
        let address = repository.to_str().unwrap();
        let _ = borg.run(["init", "--append-only", "--encryption", "repokey-blake2", address]);
        tree::world(&world, 30, "first");
        let _ = borg.create(&repository, "theirs", &world, &[]);
        let ours = keeper.backup();
        let kept = folder.path().join("kept");
        copy(&world, &kept);
        let early = segments::read(&repository);
        let last = *early.keys().max().unwrap();

        tree::world(&world, 30, "second");
        let _ = keeper.run(["delete", "theirs"]).says(&["append-only"]).does_not_say("gives back");
        let _ = borg.run(["delete", &location(&repository, &ours)]);
        let _ = borg.create(&repository, "second", &world, &[]);
        tree::world(&world, 30, "third");
        let _ = keeper.backup();
        let _ = borg.run(["compact", "--threshold", "0", address]);
        let _ = keeper.run(["compact", "--threshold", "0"]).says(&["append-only", "worldkeeper config append_only 0"]);
        assert_eq!(keeper.archives().len(), 2);
        assert_eq!(left(&early, &repository).len(), early.len(), "{borg}: segments are gone");
        borg.check(&repository);

        let log = fs::read_to_string(repository.join("transactions")).unwrap();
        let transactions: Vec<u32> = log.lines().map(|line| transaction_of(line).expect(line)).collect();
        assert!(transactions.is_sorted() && transactions.contains(&last), "{borg}: {log}");
        assert!(transactions.len() >= 7, "{borg}: each of us has written some: {log}");

        roll_back(&repository, last);
        borg.forget();
        assert_eq!(borg.archives(&repository), ["theirs", ours.as_str()], "{borg}");
        borg.check(&repository);
        // Ours has seen the repository further on; one that has not is told nothing.
        let reader = Worldkeeper::at(&folder.path().join("reader")).with("BORG_REPO_PATH", &repository);
        assert_eq!(reader.archives(), ["theirs", ours.as_str()], "{borg}");
        for name in ["theirs", ours.as_str()] {
            let targets = ["stock", "us"].map(|who| folder.path().join(format!("{name} by {who}")));
            borg.extract(&repository, name, &targets[0]);
            let _ = reader.restore(name, &targets[1]);
            for target in targets {
                tree::assert_same(&kept, &below(&target, &world));
            }
        }
    }
}

/// The number in a line of the log, if the line has the form of stock's.
fn transaction_of(line: &str) -> Option<u32> {
    let (number, time) = line.strip_prefix("transaction ")?.split_once(", UTC time ")?;
    let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    (form == "0000-00-00T00:00:00.000000").then(|| number.parse().ok())?
}

/// As borg's documentation says: the segments behind the transaction go, and what was made of them.
fn roll_back(repository: &Path, transaction: u32) {
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    for segment in files(repository.join("data")).flat_map(files) {
        if name(&segment).parse::<u32>().unwrap() > transaction {
            fs::remove_file(segment).unwrap();
        }
    }
    for file in files(repository.to_owned()) {
        if ["hints.", "index.", "integrity."].iter().any(|prefix| name(&file).starts_with(prefix)) {
            fs::remove_file(file).unwrap();
        }
    }
}
