//! Archives that nothing proves, as borg 1.2.4 leaves them: told apart, never taken for the newest, never pruned; read as
//! stock 1.4 reads them, and proven again by it.

use std::fs;
use std::path::Path;

use serde_json::Value;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::segments;
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::place;

/// Borg's own word for reading them.
const ASKED: (&str, &str) = ("BORG_WORKAROUNDS", "ignore_invalid_archive_tam");

/// A borg that proves archives, which reads its environment each time, and one that leaves some unproven.
fn both() -> Option<(Borg, Borg)> {
    let all = Borg::all().into_iter().map(|borg| borg.with_passphrase(PASSPHRASE));
    let (forgetful, strict): (Vec<_>, Vec<_>) = all.partition(|borg| borg.version() == "1.2.4");
    Some((strict.into_iter().next()?, forgetful.into_iter().next()?.warmed()))
}

/// Three archives of the series, of which 1.2.4 has changed the newest. Their names, oldest first.
fn three(keeper: &Worldkeeper, forgetful: &Borg, how: &str) -> Vec<String> {
    tree::sample(&keeper.world(), "unproven");
    for number in ["0", "1", "2"] {
        tree::write(&keeper.world().join("level.dat"), number.as_bytes());
        let _ = keeper.backup();
    }
    let mut names = keeper.archives();
    let newest = location(&keeper.repository(), &names[2]);
    if how == "rename" {
        let renamed = "world-2020-01-01T00:00:00";
        let _ = forgetful.run(["rename", &newest, renamed]);
        names[2] = renamed.into();
    } else {
        let _ = forgetful.run(["recreate", "--comment", "made anew", &newest]);
    }
    names
}

/// All archives, those that are unproven last.
fn with_unproven(keeper: &Worldkeeper) -> Vec<String> {
    keeper.run(["list", "--short", "--consider-unproven"]).lines()
}

fn tried_by_stock(borg: &Borg, repository: &Path, archive: &str, is_asked: bool) -> Option<i32> {
    let mut command = borg.command();
    command.envs(is_asked.then_some(ASKED)).arg("list").arg(location(repository, archive));
    borg.outcome(&mut command).code()
}

#[test]
fn they_are_told_apart_never_pruned_and_read_if_asked_for() {
    let Some((strict, forgetful)) = both() else { return };
    for how in ["rename", "recreate"] {
        let (folder, keeper) = place("repokey-blake2");
        let repository = keeper.repository();
        let names = three(&keeper, &forgetful, how);
        let [first, second, unproven] = &names[..] else { unreachable!("there are three") };

        // For people apart, whatever its time, and with the reason; for scripts not at all.
        assert_eq!(keeper.archives(), names[..2], "{how}");
        let listed = keeper.run(["list"]).says(&["2 archives", "and 1 unproven archive", "cannot be authenticated"]);
        assert!(listed.stderr().contains(unproven.as_str()), "{listed}");
        assert_eq!(with_unproven(&keeper), names, "{how}");
        assert_eq!(keeper.run(["list", "--short", "--last", "1"]).lines(), [second.as_str()], "{how}");
        let json: Value = serde_json::from_str(keeper.run(["list", "--json"]).stdout()).expect("it is JSON");
        let mut theirs = strict.json(["list", "--json", repository.to_str().expect("a plain name")]);
        let mut apart = json["unproven"].as_array().expect("it is listed apart").clone();
        assert!(apart[0]["reason"].as_str().is_some_and(|reason| reason.contains("TAM")), "{json}");
        apart[0].as_object_mut().expect("it is a map").remove("reason");
        let mut ours = json["archives"].as_array().expect("there are others").clone();
        ours.extend(apart);
        assert_eq!(Value::Array(ours), theirs["archives"].take(), "{how}: with stock's words");

        // As stock, not unless it is asked for; and then the same.
        let asking = keeper.clone().with(ASKED.0, ASKED.1);
        for (is_asked, code) in [(false, 2), (true, 0)] {
            let ours = if is_asked { &asking } else { &keeper };
            let _ = ours.try_run(["list", unproven]).exits(code);
            let _ = ours.try_run(["diff", first, unproven]).exits(code);
            let _ = ours.try_run(["export-tar", unproven, "-"]).exits(code);
            let theirs = tried_by_stock(&strict, &repository, unproven, is_asked);
            assert_eq!(theirs == Some(0), code == 0, "{how}: {theirs:?}");
        }
        let target = |name: &str| below(&folder.path().join(name), &keeper.world());
        let _ = asking.restore(unproven, &folder.path().join("asked"));
        assert_same(&keeper.world(), &target("asked"));
        let elsewhere = folder.path().join("latest").display().to_string();
        let latest = keeper.try_run(["restore", "latest", "--to", &elsewhere]).exits(1).says(&["is passed over"]);
        let _ =
            keeper.try_run(["restore", "latest", "--overwrite"]).exits(2).says(&["is passed over", unproven, second]);
        let level = fs::read(target("latest").join("level.dat")).expect("it was restored");
        assert_eq!(level, b"1", "the newest that is proven: {latest}");

        // What makes archives anew makes nothing look proven.
        let _ = keeper.try_run(["recreate", "--comment", "all"]).exits(1).says(&["is left alone, unless it is named"]);
        let _ = asking.try_run(["rename", unproven, "proven"]).exits(2);
        let _ = keeper.run(["delete", "--dry-run", "--last", "1"]).says(&[&format!("would delete {second}")]);
        // No rule takes it away, and none counts it.
        let keeping = keeper.clone().without("KEEP_WITHIN").with("KEEP_LAST", "1");
        let _ = keeping.run(["prune", "--dry-run"]).says(&["leave", "would delete 1 of 2"]);
        let _ = keeping.run(["prune"]).says(&["deleted 1 of 2"]);
        assert_eq!(with_unproven(&keeper), names[1..], "{how}");
        let _ = keeping.run(["run", "--once"]).says(&["1 unproven archive of the series world"]);
        let third = with_unproven(&keeper);
        assert!(third.len() == 2 && third[1] == *unproven && third[0] != *second, "{how}: {third:?}");
        let repair = keeper.clone().with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
        let _ = repair.try_run(["check", "--repair"]).exits(1).says(&["nothing proves who made it"]);
        assert_eq!(with_unproven(&keeper), third, "{how}: no repair takes it away");

        // Stock proves it, and then it is one like the others; or its user lets it go.
        if how == "rename" {
            let _ = strict.run(["upgrade", "--archives-tam", repository.to_str().expect("a plain name")]);
            assert!(!keeper.run(["list"]).stderr().contains("unproven"));
            let _ = keeper.run(["list", unproven]);
        } else {
            let _ = keeper.run(["delete", unproven]);
        }
        let _ = keeper.run(["compact"]);
        strict.check(&repository);
    }
}

/// With nothing else there, `latest` means nothing, and says what to do.
#[test]
fn none_of_them_is_the_newest() {
    let Some((_, forgetful)) = both() else { return };
    let (folder, keeper) = place("repokey-blake2");
    tree::sample(&keeper.world(), "unproven");
    let name = keeper.backup();
    let _ = forgetful.run(["rename", &location(&keeper.repository(), &name), "world-2020-01-01T00:00:00"]);
    let target = folder.path().join("target");
    let refused = keeper.try_run(["restore", "latest", "--to", target.to_str().expect("a plain name")]).exits(2);
    let _ = refused.says(&["no archive in the repository", "worldkeeper list"]);
    assert!(!target.exists());
}

/// That 1.2.4 has renamed an archive is said whenever somebody checks, and is no damage that a repair could mend.
#[test]
fn a_check_tells_them_from_damage() {
    let Some((_, forgetful)) = both() else { return };
    let (_folder, keeper) = place("repokey-blake2");
    let names = three(&keeper, &forgetful, "rename");
    let repair = keeper.clone().with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    for (keeper, words) in [(&keeper, &["check"][..]), (&repair, &["check", "--repair"]), (&keeper, &["check"])] {
        let checked =
            keeper.try_run(words).exits(1).says(&["1 problem", "nothing proves who made it", "--archives-tam"]);
        let _ = checked.does_not_say("worldkeeper check --repair");
        let _ = keeper.run(["status"]).does_not_say("found damaged");
    }
    // What is damaged besides is damage.
    let segments = segments::read(&keeper.repository());
    let (number, mut bytes) = segments.into_iter().find(|(_, bytes)| bytes.len() > 200).expect("there is one");
    bytes[100] ^= 1;
    fs::write(keeper.repository().join(format!("data/0/{number}")), bytes).expect("it can be written");
    let _ = keeper.try_run(["check"]).exits(1).says(&["worldkeeper check --repair"]);
    let _ = keeper.try_run(["status"]).exits(1).says(&["found damaged"]);
    assert_eq!(names.len(), 3);
}
