//! Damage: ours finds what stock finds, what ours has mended is well for stock, and the other way round.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::tree::{self, Content};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};

/// The id of the manifest.
const MANIFEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const ENCRYPTION: &str = "repokey-blake2";

/// A repository of stock's with the archives `old` and `new`, to be damaged again and again.
struct Patient {
    folder: TempDir,
    world: PathBuf,
    /// The repository as it was.
    whole: PathBuf,
    /// The newest is the first.
    borgs: Vec<Borg>,
    keeper: Worldkeeper,
    /// State directories that were used.
    states: u32,
    objects: Objects,
}

/// The objects of the archive `new` that no other one has.
struct Objects {
    archive: String,
    item: String,
    /// Of the file `b`.
    chunk: String,
}

impl Patient {
    /// `None` where there is no stock borg to ask.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let world = folder.path().join("world");
        for name in ["a", "b", "c"] {
            tree::write(&world.join(name), &sha_stream(name, 20_000));
        }
        let borgs: Vec<_> = Borg::all().into_iter().map(|borg| borg.with_passphrase(PASSPHRASE).warmed()).collect();
        let borg = borgs.first()?;
        let repository = folder.path().join("repository");
        borg.init(&repository, ENCRYPTION);
        let _ = borg.create(&repository, "old", &world, &[]);
        tree::write(&world.join("b"), &sha_stream("another b", 20_001));
        let _ = borg.create(&repository, "new", &world, &[]);
        let dump = dump(borg, &repository, "new");
        let of_b = dump["_items"].as_array().unwrap().iter().find(|item| path_of(item).ends_with("/b")).unwrap();
        let objects = Objects {
            archive: id_of(&dump["_manifest_entry"]["id"]),
            item: id_of(&dump["_meta"]["items"][0]),
            chunk: id_of(&of_b["chunks"][0][0]),
        };
        let whole = folder.path().join("whole");
        copy(&repository, &whole);
        let keeper = Worldkeeper::at(folder.path()).with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
        Some(Self { world, whole, borgs, keeper, states: 0, objects, folder })
    }

    /// The repository is what it was, and nobody knows it.
    fn heal(&mut self) {
        self.put_back(&self.whole.clone());
    }

    fn put_back(&mut self, copy_of: &Path) {
        fs::remove_dir_all(self.repository()).unwrap();
        copy(copy_of, &self.repository());
        self.borgs.iter_mut().for_each(Borg::forget);
        self.states += 1;
        let state = self.folder.path().join(format!("state-{}", self.states));
        self.keeper = self.keeper.clone().with("WORLDKEEPER_STATE_DIR", state);
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// Has stock do something with the repository.
    fn stock(&self, words: &[&str], more: &[&str]) -> Outcome {
        let repository = self.repository().display().to_string();
        self.borgs[0].try_run(words.iter().copied().chain([repository.as_str()]).chain(more.iter().copied()))
    }

    fn delete(&self, id: &str) {
        let _ = self.stock(&["debug", "delete-obj"], &[id]).says(&["deleted"]);
    }

    /// Replaces what is stored under an id: by the object of another id, or by its own with a bit flipped.
    fn replace(&self, id: &str, by: Option<&str>) {
        let file = self.folder.path().join("object");
        let path = file.display().to_string();
        let _ = self.stock(&["debug", "get-obj"], &[by.unwrap_or(id), &path]).exits(0);
        if by.is_none() {
            let mut object = fs::read(&file).unwrap();
            let middle = object.len() / 2 + 30;
            object[middle] ^= 1;
            fs::write(&file, object).unwrap();
        }
        let _ = self.stock(&["debug", "put-obj"], &[id, &path]).exits(0);
    }

    fn check(&self, words: &[&str]) -> Outcome {
        self.keeper.try_run(["check"].iter().chain(words))
    }

    /// Names, ids of the archives.
    fn archives(&self) -> BTreeMap<String, String> {
        let repository = self.repository().display().to_string();
        let list = self.borgs[0].run(["list", "--format", "{archive} {id}{NL}", &repository]).lines();
        list.iter().map(|line| line.split_once(' ').unwrap()).map(|(name, id)| (name.into(), id.into())).collect()
    }

    /// What stock and we bring back of an archive, which must be the same.
    #[track_caller]
    fn restored(&self, archive: &str) -> BTreeMap<PathBuf, Content> {
        let contents = |target: &Path| {
            let listing = tree::listing(&below(target, &self.world));
            listing.into_iter().map(|(path, entry)| (path, entry.content)).collect::<BTreeMap<_, _>>()
        };
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let to = ours.path().join("x");
        let ended = self.keeper.try_run([OsStr::new("restore"), archive.as_ref(), "--to".as_ref(), to.as_os_str()]);
        // A file that has zeros in the place of what it lost is a warning, for stock too.
        assert!(ended.code().is_some_and(|code| code < 2), "{ended}");
        let mut command = self.borgs[0].command();
        command.current_dir(theirs.path()).arg("extract").arg(location(&self.repository(), archive));
        assert!(self.borgs[0].outcome(&mut command).code().is_some_and(|code| code < 2));
        let ours = contents(&to);
        assert_eq!(ours, contents(theirs.path()), "{archive}");
        ours
    }
}

/// An archive as stock sees it.
pub(crate) fn dump(borg: &Borg, repository: &Path, archive: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump").display().to_string();
    let _ = borg.run(["debug", "dump-archive", &location(repository, archive), &file]);
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

pub(crate) fn id_of(dumped: &Value) -> String {
    dumped.as_str().unwrap().trim_start_matches('\u{7f}').to_owned()
}

fn path_of(item: &Value) -> &str {
    item["path"].as_str().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { _ = fs::copy(&from, &to).unwrap() }
    }
}

/// Something that is done to a repository.
type Damage = fn(&Patient);

/// Each kind of object: lost; damaged, in a way that the segment does not tell; another one in its place.
const DAMAGES: [(&str, Damage); 11] = [
    ("a file's chunk is lost", |it| it.delete(&it.objects.chunk)),
    ("a file's chunk is damaged", |it| it.replace(&it.objects.chunk, None)),
    ("a file's chunk is a list of items", |it| it.replace(&it.objects.chunk, Some(&it.objects.item))),
    ("a list of items is lost", |it| it.delete(&it.objects.item)),
    ("a list of items is damaged", |it| it.replace(&it.objects.item, None)),
    ("a list of items is a file's chunk", |it| it.replace(&it.objects.item, Some(&it.objects.chunk))),
    ("an archive is lost", |it| it.delete(&it.objects.archive)),
    ("an archive is damaged", |it| it.replace(&it.objects.archive, None)),
    ("the manifest is lost", |it| it.delete(MANIFEST)),
    ("the manifest is damaged", |it| it.replace(MANIFEST, None)),
    ("the manifest is an archive", |it| it.replace(MANIFEST, Some(&it.objects.archive))),
];

#[test]
fn gate_what_stock_finds_is_found_and_what_is_mended_is_well_for_everybody() {
    let Some(mut patient) = Patient::new() else { return };
    let whole = tree::listing(&patient.world);
    let seed = gate::seed();
    for case in 0..gate::amount(3, DAMAGES.len()) {
        // Neighbours are of one kind, so a sample takes steps.
        let (name, damage) = DAMAGES[(seed as usize % DAMAGES.len() + case * 4) % DAMAGES.len()];
        patient.heal();
        damage(&patient);
        let damaged = patient.folder.path().join("damaged");
        copy(&patient.repository(), &damaged);
        let _ = patient.check(&["--verify-data"]).exits(1);
        // Where a list of items is damaged, stock has no more to say than where its program gave up.
        assert_ne!(patient.stock(&["check", "--verify-data"], &[]).code(), Some(0), "{name}: stock finds it, too");

        // Ours mends it.
        let repaired = patient.check(&["--repair", "--verify-data"]);
        assert_eq!(repaired.code(), Some(0), "{name}: {repaired}");
        let _ = patient.check(&["--verify-data"]).exits(0).says(&["nothing wrong"]);
        for borg in &patient.borgs {
            borg.check(&patient.repository());
        }
        let archives = patient.archives();
        let ours: BTreeMap<_, _> =
            archives.keys().map(|archive| (archive.clone(), patient.restored(archive))).collect();
        for (path, content) in ours.values().flatten() {
            let is_whole = *content == whole[path].content;
            assert!(is_whole || *path == Path::new("b"), "{name}: {} is as it was", path.display());
        }

        // Stock mends it, and comes to the same.
        patient.put_back(&damaged);
        let _ = patient.stock(&["check", "--repair", "--verify-data"], &[]);
        let _ = patient.check(&["--verify-data"]).exits(0).says(&["nothing wrong"]);
        let theirs = patient.archives();
        assert_eq!(archives.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{name}");
        assert_eq!(archives["old"], theirs["old"], "{name}: what was whole is not touched");
        for archive in theirs.keys() {
            assert_eq!(patient.restored(archive), ours[archive], "{name}: {archive}");
        }
        fs::remove_dir_all(damaged).unwrap();
    }
}

/// The key cannot be made anew: that is said, and nothing is changed.
#[test]
fn a_lost_key_is_said_and_nothing_is_repaired() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let config = patient.repository().join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.split("key = ").next().unwrap()).unwrap();
    let before = tree::listing(&patient.repository().join("data"));
    let _ = patient.check(&["--archives-only", "--repair"]).exits(2).says(&["key import"]);
    assert_eq!(tree::listing(&patient.repository().join("data")), before);
    let _ = patient.check(&["--repository-only"]).exits(0);
}

/// Zeros that stock put in the place of what was lost go when ours finds it again, and the other way round.
#[test]
fn what_one_has_replaced_the_other_heals() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let whole = patient.restored("new");
    let healthy = patient.archives();
    for ours_repairs in [true, false] {
        patient.heal();
        patient.delete(&patient.objects.chunk);
        let repair = |patient: &Patient, ours: bool| {
            if ours {
                let _ = patient.check(&["--repair"]).exits(0);
            } else {
                assert_eq!(patient.stock(&["check", "--repair"], &[]).code(), Some(0));
            }
        };
        repair(&patient, ours_repairs);
        let lost = patient.restored("new");
        assert_eq!(lost[Path::new("b")], whole_zeros(20_001));
        let _ = patient.check(&[]).exits(0).says(&["1 file has lost a part"]);
        // Stored again by a backup of the world, which still has it.
        let _ = patient.borgs[0].create(&patient.repository(), "again", &patient.world, &["--files-cache", "disabled"]);
        repair(&patient, !ours_repairs);
        assert_eq!(patient.restored("new"), whole);
        assert_eq!(patient.archives()["new"], healthy["new"], "the very archive it was");
        for borg in &patient.borgs {
            borg.check(&patient.repository());
        }
    }
}

fn whole_zeros(len: usize) -> Content {
    let folder = tempfile::tempdir().unwrap();
    tree::write(&folder.path().join("zeros"), &vec![0; len]);
    tree::listing(folder.path())[Path::new("zeros")].content.clone()
}

/// A hole in a long list of items: ours finds the same items behind it, and writes the same archive.
#[test]
fn behind_a_hole_in_a_list_of_items_everything_is_found() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let many = patient.folder.path().join("many");
    // However the key's seed cuts the list, it is longer than one piece can be.
    for number in 0..4000 {
        tree::write(&many.join(format!("some-longer-name-{number:05}")), b"");
    }
    let _ = patient.borgs[0].create(&patient.repository(), "many", &many, &[]);
    let dump = dump(&patient.borgs[0], &patient.repository(), "many");
    let pieces: Vec<_> = dump["_meta"]["items"].as_array().unwrap().iter().map(id_of).collect();
    assert!(pieces.len() > 1, "the list is one piece");
    let (damaged, whole) = (patient.folder.path().join("damaged"), patient.folder.path().join("with-many"));
    copy(&patient.repository(), &whole);
    for lost in [0, pieces.len() - 1] {
        patient.put_back(&whole);
        patient.delete(&pieces[lost]);
        copy(&patient.repository(), &damaged);
        let _ = patient.check(&["--repair"]).exits(0);
        let ours = patient.archives();
        for borg in &patient.borgs {
            borg.check(&patient.repository());
        }
        patient.put_back(&damaged);
        assert_eq!(patient.stock(&["check", "--repair"], &[]).code(), Some(0));
        assert_eq!(ours, patient.archives(), "piece {lost}");
        fs::remove_dir_all(&damaged).unwrap();
    }
}

/// What is healthy stays as it is, byte for byte; and stock has nothing to add to it.
#[test]
fn a_repair_of_a_healthy_repository_changes_nothing() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let before = tree::listing(&patient.repository().join("data"));
    let archives = patient.archives();
    for words in
        [&[][..], &["--verify-data"], &["--repair"], &["--repair", "--verify-data"], &["--last", "1"], &["new"]]
    {
        let _ = patient.check(words).exits(0).says(&["found nothing wrong"]);
    }
    assert_eq!(tree::listing(&patient.repository().join("data")), before);
    assert_eq!(patient.stock(&["check", "--repair"], &[]).code(), Some(0));
    assert_eq!(patient.archives(), archives);
    let _ = patient.check(&["gone"]).exits(2).says(&["there is no archive gone"]);
}

/// A repair is not begun by accident, and never on a repository that is not as it was left; a check always may.
#[test]
fn a_repair_needs_somebodys_word_and_the_right_repository() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let _ = patient.keeper.backup();
    let unconfirmed = patient.keeper.clone().without("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING");
    let _ = unconfirmed.try_run(["check", "--repair"]).exits(2).says(&["BORG_CHECK_I_KNOW_WHAT_I_AM_DOING=YES"]);
    // An older copy is put back.
    fs::remove_dir_all(patient.repository()).unwrap();
    copy(&patient.whole, &patient.repository());
    patient.borgs.iter_mut().for_each(Borg::forget);
    patient.delete(&patient.objects.chunk);
    let rolled_back = tree::listing(&patient.repository().join("data"));
    let _ = patient.check(&["--verify-data"]).exits(1).says(&["older than it was", "bytes 0 to 20001 are lost"]);
    let _ = patient.check(&["--repair"]).exits(2).says(&["adopt"]);
    assert_eq!(tree::listing(&patient.repository().join("data")), rolled_back);
}

/// Beside an archive that cannot be read backups go on, and nothing is deleted until a repair, or until it is given up.
#[test]
fn beside_an_archive_that_cannot_be_read_backups_go_on() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    // Of its list of items, the backup would store the same again.
    patient.delete(&patient.objects.archive);
    let _ = patient.keeper.try_run(["backup"]).exits(1).says(&["archive new cannot be read", "worldkeeper check"]);
    let archive = patient.keeper.archives().pop().unwrap();
    let _ = patient.keeper.try_run(["delete", "old"]).exits(2).says(&["check --repair", "delete --force new"]);
    let _ = patient.keeper.try_run(["delete", "--force", "new"]).exits(1).says(&["could not be read"]);
    let _ = patient.check(&["--repair"]).exits(0);
    assert_eq!(patient.archives().into_keys().collect::<Vec<_>>(), ["old", archive.as_str()]);
    assert_eq!(patient.restored(&archive).len(), tree::listing(&patient.world).len());
    patient.borgs[0].check(&patient.repository());
}

/// Whoever repairs is told what is lost for good, and nothing counts from it any more.
#[test]
fn an_archive_that_a_repair_gives_up_is_not_the_last_good_one() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let [first, second] = [(), ()].map(|()| patient.keeper.backup());
    let lose = |archive: &str| patient.delete(&patient.archives()[archive]);
    lose(&second);
    let _ = patient.check(&["--repair"]).exits(1).says(&["mended all of it", &format!("1 archive was lost: {second}")]);
    let status = patient.keeper.try_run(["status"]).says(&["last good", &first]);
    assert!(!status.stdout().contains(&second), "{status}");
    for archive in patient.archives().keys() {
        lose(archive);
    }
    let _ = patient.check(&["--repair"]).exits(1).says(&["3 archives were lost: new, old, ", &first]);
    let _ = patient.keeper.try_run(["status"]).exits(1).says(&["last good", "none"]);
    let _ = patient.check(&[]).exits(0);
}

/// Borg 1.2.4 leaves an archive behind that nothing proves. It is named and kept, and it is in nobody's way.
#[test]
fn an_archive_that_an_old_borg_has_renamed_is_in_nobodys_way() {
    let Some(mut patient) = Patient::new() else { return };
    patient.heal();
    let Some(old) = patient.borgs.iter().find(|borg| borg.version() == "1.2.4") else { return };
    let _ = old.run(["rename", &location(&patient.repository(), "new"), "renamed"]);
    assert_eq!(patient.stock(&["check"], &[]).code(), Some(1), "1.4 does not believe it");
    let _ = patient.check(&[]).exits(1).says(&["archive renamed", "nothing proves who made it", "--archives-tam"]);
    let archive = patient.keeper.backup();
    let _ = patient.check(&["--repair", "--verify-data"]).exits(1).says(&["could not be mended"]);
    assert!(patient.archives().contains_key("renamed"), "no repair takes it away");
    let _ = patient.keeper.run(["delete", &archive]);
    // The cure that is named cures: what it held is all there.
    let repository = patient.repository().display().to_string();
    let _ = patient.borgs[0].run(["upgrade", "--archives-tam", &repository]);
    let _ = patient.check(&["--verify-data"]).exits(0);
    assert_eq!(patient.restored("renamed").len(), tree::listing(&patient.world).len());
    patient.borgs[0].check(&patient.repository());
}
