//! The settings that a repository holds: set by us they are those of stock, and the other way round.

use std::fs;
use std::path::Path;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::random::Random;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;

use crate::place;

/// The config of a repository without what is its own: its id, and its key.
fn config(repository: &Path) -> Vec<String> {
    let text = fs::read_to_string(repository.join("config")).expect("a config can be read");
    let own = |line: &&str| line.starts_with("id =") || line.starts_with("key =") || line.starts_with('\t');
    text.lines().filter(|line| !own(line)).map(str::to_owned).collect()
}

/// Content that does not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.below(256) as u8).collect()
}

#[test]
fn a_new_repository_has_the_limits_that_stock_gives_it() {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE).warmed();
        let (folder, keeper) = place("repokey-blake2");
        tree::sample(&keeper.world(), "limited");
        let theirs = folder.path().join("theirs");
        let options = ["init", "--encryption", "repokey-blake2", "--append-only", "--storage-quota", "1.5G"];
        let _ = borg.run(options.map(std::ffi::OsStr::new).into_iter().chain([theirs.as_os_str()]));
        let _ = keeper.clone().with("APPEND_ONLY", "yes").run(["backup", "--storage-quota", "1.5G"]);
        assert_eq!(config(&keeper.repository()), config(&theirs), "{borg}");

        let stock = borg.run(["config".as_ref(), "--list".as_ref(), keeper.repository().as_os_str()]).lines();
        assert_eq!(keeper.run(["config"]).lines(), stock, "{borg}");
        let _ = keeper.run(["info"]).says(&["append-only yes", "of 1.50 GB used"]);
    }
}

#[test]
fn settings_are_set_and_read_by_either() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (_folder, keeper) = place("repokey");
    let (world, repository) = (keeper.world(), keeper.repository());
    tree::sample(&world, "set");
    let _ = keeper.backup();
    let stock = |words: &[&str]| {
        let words = words.iter().map(std::ffi::OsStr::new);
        borg.run(["config".as_ref(), repository.as_os_str()].into_iter().chain(words)).lines().concat()
    };
    for (name, value) in [("storage_quota", "12M"), ("additional_free_space", "10M"), ("append_only", "1")] {
        let _ = keeper.run(["config", name, value]);
        assert_eq!(stock(&[name]), value);
        assert_eq!(keeper.run(["config", name]).lines(), [value]);
    }
    let listed = borg.run(["config".as_ref(), "--list".as_ref(), repository.as_os_str()]).lines();
    assert_eq!(keeper.run(["config", "--list"]).lines(), listed);
    let _ = stock(&["max_segment_size", "20M"]);
    assert_eq!(keeper.run(["config", "repository.max_segment_size"]).lines(), ["20M"]);

    // What was set counts, for both.
    fs::write(world.join("large"), noise(7, 8_000_000)).expect("a file can be written");
    let _ = keeper
        .try_run(["backup"])
        .exits(2)
        .says(&["storage quota of 12000000 bytes is exceeded", "worldkeeper config"]);
    let _ = keeper.run(["config", "storage_quota", "20M"]);
    let _ = keeper.backup();
    borg.check(&repository);
    fs::write(world.join("large"), noise(8, 8_000_000)).expect("a file can be written");
    let archive = format!("{}::theirs", repository.display());
    let refused = borg.try_run(["create", &archive, world.to_str().expect("it is text")]);
    let _ = refused.exits(2).says(&["quota"]);
    let _ = keeper.run(["config", "--delete", "storage_quota"]);
    let _ = keeper.run(["config", "-d", "append_only"]);
    assert_eq!(keeper.run(["config", "storage_quota"]).lines(), ["0"]);
    let _ = borg.create(&repository, "theirs", &world, &[]);
    let _ = keeper.backup();
    borg.check(&repository);

    let before = fs::read(repository.join("config")).expect("a config can be read");
    for (words, said) in [
        (&["id", "55"][..], "id cannot be changed here"),
        (&["--delete", "version"], "version cannot be changed here"),
        (&["key"], "worldkeeper key export"),
        (&["quota"], "has no setting \"quota\""),
        (&["storage_quota", "5M"], "at least 10M"),
        (&["storage_quota", "-1"], "expected a size"),
        (&["append_only", "yes"], "expected 0 or 1"),
        (&["--delete", "max_segment_size"], "has no default"),
        (&["segments_per_dir", "2"], "would be looked for elsewhere"),
    ] {
        let words = ["config"].iter().chain(words);
        let _ = keeper.try_run(words).exits(2).says(&[said]);
    }
    assert_eq!(fs::read(repository.join("config")).expect("a config can be read"), before);
    let _ = keeper.run(["config", "segments_per_dir", "2000"]);
    let _ = keeper.backup();
    borg.check(&repository);
}
