//! An append-only client that means harm has put rubbish under the ids of what there is: whoever looks after the repository
//! brings all of it back.

use worldkeeper_core::ChunkId;
use worldkeeper_rpc::{Call, Commit, Outcome, Page, Payload, Reply};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

use crate::site::Site;
use crate::talk::{Talk, open};

/// What is done with an object.
type Deed = fn(&mut Talk, ChunkId) -> Outcome;

fn overwrite(talk: &mut Talk, id: ChunkId) -> Outcome {
    talk.ask(&Call::Put { id, data: Payload(b"\x05rubbish"[..].into()), wait: None })
}

fn remove(talk: &mut Talk, id: ChunkId) -> Outcome {
    talk.ask(&Call::Delete { id, wait: None })
}

/// Does something with objects, one commit for each deed, and asks for a compaction.
fn spoil(site: &Site, keeper: &Worldkeeper, ids: &[ChunkId], deeds: &[Deed]) {
    let mut talk = Talk::with(&mut site.serve(&["--append-only"]));
    assert!(talk.ask(&open(&keeper.repository())).is_ok());
    for deed in deeds {
        for id in ids {
            assert_eq!(deed(&mut talk, *id), Ok(Reply::Done));
        }
        assert_eq!(talk.ask(&Call::Commit(Commit::default())), Ok(Reply::Done));
    }
    assert_eq!(talk.end().0.code(), Some(0));
}

/// The ids of all objects.
fn ids(site: &Site, keeper: &Worldkeeper) -> Vec<ChunkId> {
    let mut talk = Talk::with(&mut site.serve(&["--append-only"]));
    assert!(talk.ask(&open(&keeper.repository())).is_ok());
    let Ok(Reply::Ids(ids)) = talk.ask(&Call::List(Page::default())) else { panic!("no ids") };
    assert_eq!(talk.end().0.code(), Some(0));
    ids
}

#[test]
fn what_an_append_only_client_has_spoiled_comes_back() {
    // Whether the archive is deleted, what is done then, and whether the manifest is spared.
    let cases: [(bool, &[Deed], bool); 5] = [
        (true, &[overwrite, remove], true),
        (true, &[overwrite, overwrite], true),
        (false, &[overwrite, overwrite], true),
        (false, &[overwrite, remove, overwrite], false),
        (false, &[remove], false),
    ];
    for (number, (deletes, deeds, spares_manifest)) in cases.into_iter().enumerate() {
        let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
        let keeper = Worldkeeper::at(folder.path()).with("BORG_ENCRYPTION", "repokey-blake2");
        let world = keeper.world();
        tree::sample(&world, "first");
        let good = keeper.backup();
        let expected = folder.path().join("expected");
        let _ = keeper.restore(&good, &expected);
        let before = ids(&site, &keeper);
        if deletes {
            let _ = keeper.run(["delete", &good]);
        }
        let is_meant = |id: &ChunkId| !spares_manifest || *id != ChunkId::MANIFEST;
        let meant: Vec<_> = before.into_iter().filter(is_meant).collect();
        spoil(&site, &keeper, &meant, deeds);
        if !deletes {
            let _ = keeper.try_run(["restore", &good, folder.path().join("lost").to_str().unwrap()]).exits(2);
        }

        let held = keeper.run(["undelete"]);
        assert!(held.stdout().contains(&good) && held.stdout().contains("whole"), "{number}: {held}");
        let _ = keeper.run(["undelete", &good]);
        assert_eq!(keeper.archives(), [good.as_str()], "{number}");
        let target = folder.path().join("restored");
        let _ = keeper.restore(&good, &target);
        assert_same(&below(&expected, &world), &below(&target, &world));
        let _ = keeper.run(["check", "--verify-data"]).says(&["found nothing wrong"]);
        for borg in Borg::all() {
            borg.with_passphrase(PASSPHRASE).warmed().check(&keeper.repository());
        }
        let _ = keeper.backup();
    }
}

#[test]
fn a_check_sends_nobody_to_free_what_can_be_brought_back() {
    let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
    let keeper = Worldkeeper::at(folder.path()).with("BORG_ENCRYPTION", "repokey-blake2");
    tree::sample(&keeper.world(), "first");
    let good = keeper.backup();
    let all = ids(&site, &keeper);
    let chunks: Vec<_> = all.into_iter().filter(|id| *id != ChunkId::MANIFEST).collect();
    spoil(&site, &keeper, &chunks, &[overwrite]);
    let checked = keeper.try_run(["check"]).exits(1);
    assert!(checked.stdout().contains("worldkeeper undelete"), "{checked}");
    let keeper = keeper.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    let repaired = keeper.try_run(["check", "--repair"]);
    assert!(repaired.stdout().contains("worldkeeper undelete"), "{repaired}");
    assert!(!repaired.stdout().contains("worldkeeper compact"), "{repaired}");
    assert!(keeper.archives().is_empty());
    let _ = keeper.run(["undelete", &good]);
    let _ = keeper.run(["check", "--verify-data"]).says(&["found nothing wrong"]);
}
