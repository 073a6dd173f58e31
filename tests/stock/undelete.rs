//! Deleted archives come back while their objects are there: those that we deleted, and those that stock did.

use std::fs;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::place;

/// Whoever deletes or prunes, what was deleted is what it was.
#[test]
fn what_was_deleted_comes_back() {
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE).warmed();
        let (folder, keeper) = place("repokey-blake2");
        let repository = keeper.repository();
        let world = keeper.world();
        tree::sample(&world, "first");
        let first = keeper.backup();
        let expected = folder.path().join("first");
        borg.extract(&repository, &first, &expected);
        let second = keeper.backup();
        tree::sample(&world, "third");
        let third = keeper.backup();

        let prune =
            ["prune", "--keep-last", "1", "--glob-archives", "world-*", repository.to_str().expect("a plain name")];
        let deletes: [&dyn Fn(); 3] = [
            &|| _ = keeper.run(["delete", &first, &second]),
            &|| {
                let _ = borg.run(["delete", &location(&repository, &first)]);
                let _ = borg.run(["delete", &location(&repository, &second)]);
            },
            &|| _ = borg.run(prune),
        ];
        for delete in deletes {
            delete();
            assert_eq!(keeper.archives(), [third.as_str()], "{borg}");
            let listed = keeper.run(["undelete"]);
            // Two archives of one second have names of which one begins as the other.
            let is_of = |line: &str, name: &str| line.split_whitespace().next() == Some(name);
            for name in [&first, &second] {
                let whole = |line: &&String| is_of(line, name) && line.ends_with("whole");
                assert_eq!(listed.lines().iter().filter(whole).count(), 1, "{borg}: {listed}");
            }
            let id = listed.lines().iter().find(|line| is_of(line, &second)).and_then(|line| {
                let (_, id) = line.split_once('[')?;
                Some(id[..12].to_owned())
            });
            let _ = keeper.try_run(["undelete", &first, "nothing"]).exits(2).says(&["no deleted archive nothing"]);
            assert_eq!(keeper.archives(), [third.as_str()], "{borg}: all or none");
            let _ = keeper.run(["undelete", &first, &id.expect("each line has an id")]);

            borg.check(&repository);
            assert_eq!(borg.archives(&repository), [first.as_str(), &second, &third], "{borg}");
            let target = folder.path().join("extracted");
            borg.extract(&repository, &first, &target);
            assert_same(&below(&expected, &world), &below(&target, &world));
            fs::remove_dir_all(target).expect("a folder can be removed");
            // What is counted of other archives is right: no object that they need goes with this one.
            let _ = keeper.run(["delete", &second]);
            borg.check(&repository);
            let _ = keeper.run(["undelete", &second]);
        }
        borg.check(&repository);
        let _ = keeper.run(["delete", &third]);
        let _ = keeper.run(["compact"]);
        borg.check(&repository);
        let _ = keeper.restore(&first, &folder.path().join("restored"));
        assert_same(&below(&expected, &world), &below(&folder.path().join("restored"), &world));
    }
}

#[test]
fn what_was_compacted_away_does_not_come_back() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (_folder, keeper) = place("repokey");
    tree::sample(&keeper.world(), "gone");
    let _ = keeper.run(["backup", "--comment", "gone"]);
    let gone = keeper.archives().pop().expect("there is an archive");
    tree::sample(&keeper.world(), "stays");
    let stays = keeper.backup();
    let _ = keeper.run(["delete", &gone]);
    let before = held(&keeper);
    let _ = keeper.run(["compact"]);
    // The archive itself may be found in a segment that had little to free; what it held is not.
    let refused = keeper.try_run(["undelete", &gone]).exits(2);
    assert!(refused.stderr().contains("no deleted archive") || refused.stderr().contains("gone"), "{refused}");
    assert_eq!(keeper.archives(), [stays.as_str()]);
    assert!(before.contains("whole"));
    assert!(!held(&keeper).contains("whole"));
    borg.check(&keeper.repository());
}

/// A name that somebody has by now is not given twice, and of two of one name, the id tells.
#[test]
fn names_are_not_given_twice() {
    let (_folder, keeper) = place("none");
    tree::sample(&keeper.world(), "one");
    let name = keeper.backup();
    let _ = keeper.run(["recreate", &name, "--comment", "changed"]);
    let _ = keeper.try_run(["undelete", &name]).exits(2).says(&["already an archive", "rename"]);
    let _ = keeper.run(["rename", &name, "changed"]);
    let ambiguous = keeper.try_run(["undelete", &name]).exits(2).says(&["several", "first digits"]);
    assert!(!ambiguous.stderr().contains("whole"));
    let id = held(&keeper).lines().next().and_then(|line| Some(line.split_once('[')?.1[..64].to_owned()));
    let _ = keeper.run(["undelete", &id.expect("there is one")]);
    assert_eq!(keeper.archives().len(), 2);
}

/// What somebody else has deleted and brought back is known again as what it was: the last good one, and one that lacks something,
/// which takes no other one's place.
#[test]
fn what_somebody_else_brings_back_is_known_again() {
    let (folder, keeper) = place("repokey");
    let keeper = keeper.without("KEEP_WITHIN").with("KEEP_LAST", "1");
    let elsewhere = keeper.clone().with("WORLDKEEPER_STATE_DIR", folder.path().join("elsewhere"));
    tree::sample(&keeper.world(), "world");
    let whole = keeper.backup();
    let _ = elsewhere.run(["delete", &whole]);
    assert!(keeper.archives().is_empty());
    let _ = keeper.try_run(["status"]).exits(1).says(&["no good archive"]);
    let _ = elsewhere.run(["undelete", &whole]);
    assert_eq!(keeper.archives(), [whole.as_str()]);
    let _ = keeper.run(["status"]).says(&["last good", &whole]);

    fs::remove_dir_all(keeper.world()).expect("it is ours");
    fs::create_dir(keeper.world()).expect("it was removed");
    let _ = keeper.try_run(["backup"]).exits(1);
    let lacking = keeper.archives().pop().expect("it was made");
    let _ = elsewhere.run(["delete", &lacking, &whole]);
    assert!(keeper.archives().is_empty());
    let _ = elsewhere.run(["undelete", &lacking, &whole]);
    let _ = keeper.run(["prune"]);
    assert_eq!(keeper.archives(), [whole.as_str(), &lacking]);
    // What we delete is not brought back by an archive of its name that is another one.
    let _ = keeper.run(["delete", &whole]);
    let borg = Borg::newest().map(|borg| borg.with_passphrase(PASSPHRASE));
    if let Some(borg) = borg {
        let when = ["--timestamp", "2020-01-01T00:00:00"];
        let _ = borg.create(&keeper.repository(), &whole, &keeper.world(), &when);
        let _ = keeper.archives();
        let _ = keeper.try_run(["status"]).exits(1).says(&["last good", &lacking]);
    }
}

/// The list of deleted archives.
fn held(keeper: &Worldkeeper) -> String {
    keeper.run(["undelete"]).stdout().to_owned()
}
