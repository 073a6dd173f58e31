//! Files that are found in archives, in those of stock too, and in what is left of some.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;

use crate::place;

fn write(path: &Path, content: &str, seconds: u64) {
    fs::write(path, content).expect("a file can be written");
    let file = File::options().write(true).open(path).expect("it can be opened");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("its time can be set");
}

/// Path, size, first and last archive, how many, of each line.
fn found(outcome: &Outcome) -> Vec<(String, u64, String, String, u64)> {
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    let read = |line: &String| {
        let value: Value = serde_json::from_str(line).expect("a line is JSON");
        (
            text(&value["path"]),
            value["size"].as_u64().expect("a size is a number"),
            text(&value["first"]["archive"]),
            text(&value["last"]["archive"]),
            value["archives"].as_u64().expect("a count is a number"),
        )
    };
    outcome.lines().iter().map(read).collect()
}

#[test]
fn a_file_is_found_in_the_archives_that_hold_it() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (_folder, keeper) = place("repokey-blake2");
    let (world, repository) = (keeper.world(), keeper.repository());
    fs::create_dir_all(world.join("region")).expect("folders can be made");
    let (level, region) = (world.join("level.dat"), world.join("region/west.mca"));
    write(&level, "one", 100);
    write(&region, "region", 100);
    borg.init(&repository, "repokey-blake2");
    for (number, content) in ["one", "one", "three", "three!"].into_iter().enumerate() {
        write(&level, content, if content == "one" { 100 } else { 200 });
        let _ = borg.create(&repository, &format!("a{number}"), &world, &["--timestamp", "2025-11-01T00:00:00"]);
    }
    let ours = keeper.backup();

    let beneath = world.to_str().expect("it is text").trim_start_matches('/').to_owned();
    let version = |path: &str, size, first: &str, last: &str, archives| {
        (format!("{beneath}/{path}"), size, first.to_owned(), last.to_owned(), archives)
    };
    let level = [
        version("level.dat", 3, "a0", "a1", 2),
        version("level.dat", 5, "a2", "a2", 1),
        version("level.dat", 6, "a3", "a3", 1),
        version("level.dat", 6, &ours, &ours, 1),
    ];
    let find = |words: &[&str]| keeper.try_run(["find", "--json-lines"].iter().chain(words));
    for named in ["level.dat", "**/level.dat", "world/level.*", &format!("/{beneath}/level.dat"), r"re:level\.dat$"] {
        assert_eq!(found(&find(&[named]).exits(0)), level, "{named}");
    }
    let regions = [version("region/west.mca", 6, "a0", "a3", 4), version("region/west.mca", 6, &ours, &ours, 1)];
    assert_eq!(found(&find(&["*.mca", "level.dat", "--exclude", "sh:**/level.dat"]).exits(0)), regions);
    assert_eq!(found(&find(&["level.dat", "--glob-archives", "a*", "--first", "3"]).exits(0)), level[..2]);
    assert_eq!(found(&find(&["level.dat", "--newer", "1d"]).exits(0)), level[3..]);
    assert!(
        find(&["nothing.dat"])
            .exits(0)
            .says(&["no archive holds anything that matches nothing.dat"])
            .lines()
            .is_empty()
    );
    let _ = find(&["sh:[z-a]"]).exits(2).says(&["the range z-a"]);
    let _ = keeper.run(["find", "level.dat"]).says(&[
        &format!("{beneath}/level.dat"),
        "in a0 and a1",
        "in a3",
        "4 versions of 1 path in 5 archives",
    ]);

    // One that is lost is named, and the others are searched.
    let archives: Value = serde_json::from_str(&keeper.run(["list", "--json"]).lines().concat()).expect("it is JSON");
    let lost = archives["archives"][1]["id"].as_str().expect("an id is text");
    let _ = borg.run(["debug".as_ref(), "delete-obj".as_ref(), repository.as_os_str(), lost.as_ref()]);
    let outcome = find(&["level.dat", "*.mca"]).exits(1).says(&["archive a1 is left alone"]);
    let expected = [
        &[version("level.dat", 3, "a0", "a0", 1)],
        &level[1..],
        &[version("region/west.mca", 6, "a0", "a3", 3)],
        &regions[1..],
    ];
    assert_eq!(found(&outcome), expected.concat());
}
