//! Findings do not depend on how many rounds they take, and tell when a version came and went.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::{Clock, Disk, Stop};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::clock::ManualClock;
use worldkeeper_testkit::memory_repository::MemoryRepository;

use super::*;
use crate::key_store::NoKeyFiles;
use crate::session::SessionOptions;
use crate::state::StateDir;
use crate::{CreateOptions, Silent, create};

/// Writes a file that was last changed when the number `time` was the clock's.
fn write(path: &Path, content: &str, time: u64) {
    fs::write(path, content).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)).unwrap();
}

/// Path, and of each version: size, first archive, last, how many.
type Told = Vec<(String, Vec<(u64, usize, usize, usize)>)>;

fn told(budget: usize, session: &Session, selection: &Selection) -> (Told, Vec<usize>) {
    let (mut told, mut unread) = (Vec::new(), Vec::new());
    let mut tell = |found| {
        match found {
            Found::Path { path, versions } => {
                let numbers = |version: &Version| (version.size, version.first, version.last, version.archives);
                told.push((String::from_utf8(path).unwrap(), versions.iter().map(numbers).collect()));
            }
            Found::Unread { archive, .. } => unread.push(archive),
        }
        Ok::<_, FindError>(())
    };
    find_within(budget, session, &session.archives(), selection, &mut tell).unwrap();
    (told, unread)
}

#[test]
fn versions_are_told_however_many_rounds_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    fs::create_dir(&world).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let state = StateDir::open(disk, &folder.path().join("state"), "test").unwrap();
    let manual = Arc::new(ManualClock::at("2030-01-01T00:00:00Z"));
    let clock: Arc<dyn Clock> = Arc::clone(&manual) as _;
    let (passphrase, stop) = (Some("correct horse"), Stop::default());
    let options = SessionOptions { state: &state, key_store: &NoKeyFiles, passphrase, clock, stop };
    let repository = MemoryRepository::new(1);
    let mut session =
        Session::initialize(Box::new(repository.clone()), EncryptionMode::RepokeyBlake2, &options).unwrap();
    let mut backup = |series: &str| {
        manual.advance(Duration::from_hours(1));
        create(&mut session, &CreateOptions::new(series, [&world]), &Silent).unwrap();
    };

    write(&world.join("a"), "1", 1);
    write(&world.join("b"), "xx", 1);
    write(&world.join("master"), "1234", 1);
    fs::hard_link(world.join("master"), world.join("slave")).unwrap();
    backup("mc"); // 0
    backup("other"); // 1
    backup("mc"); // 2
    write(&world.join("a"), "333", 3);
    write(&world.join("slave"), "12345", 1);
    fs::remove_file(world.join("b")).unwrap();
    backup("mc"); // 3
    write(&world.join("a"), "1", 1);
    write(&world.join("b"), "xx", 1);
    backup("mc"); // 4
    backup("mc"); // 5

    let mut selection = Selection::default();
    for name in ["a", "b", "slave"] {
        selection.include_anywhere(name.as_bytes()).unwrap();
    }
    let beneath = world.to_str().unwrap().trim_start_matches('/').to_owned();
    let path = |name: &str| format!("{beneath}/{name}");
    let expected = vec![
        // One that another series has is another finding.
        (path("a"), vec![(1, 0, 2, 2), (1, 1, 1, 1), (3, 3, 3, 1), (1, 4, 5, 2)]),
        // One that was gone meanwhile, too.
        (path("b"), vec![(2, 0, 2, 2), (2, 1, 1, 1), (2, 4, 5, 2)]),
        // A further link is what it leads to.
        (path("slave"), vec![(4, 0, 2, 2), (4, 1, 1, 1), (5, 3, 5, 3)]),
    ];
    for budget in [BUDGET_BYTES, 2000, 1] {
        assert_eq!(told(budget, &session, &selection), (expected.clone(), vec![]), "{budget}");
    }

    // Whether an archive that cannot be read holds it is not known, so it comes between no two.
    let broken = session.archives()[4].name.clone();
    let info = session.archive_info(&ArchiveName::from_bytes(broken.as_bytes())).unwrap();
    let _ = repository.store().objects.remove(&info.id);
    let (found, unread) = told(1, &session, &selection);
    assert_eq!(unread, [4]);
    assert_eq!(found[0].1, [(1, 0, 2, 2), (1, 1, 1, 1), (3, 3, 3, 1), (1, 5, 5, 1)]);
    assert_eq!(found[2].1, [(4, 0, 2, 2), (4, 1, 1, 1), (5, 3, 5, 2)]);
}
