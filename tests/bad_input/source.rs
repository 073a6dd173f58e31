//! Sources that are not there, or hold what must not be archived. Those that cannot be read: `rights`.

use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::below;

use crate::{backup_is_refused, contents, place};

#[test]
fn a_missing_source() {
    let (folder, keeper) = place();
    let missing = folder.path().join("wrold");
    let keeper = keeper.with("BACKUP_SOURCES", &missing);
    let _ = backup_is_refused(&keeper, &[missing.to_str().unwrap()]);
    assert!(!keeper.repository().exists());
    assert!(!missing.exists());
}

/// A backup of a backup would grow without end, and the state directory holds secrets.
#[test]
fn a_repository_and_a_state_directory_inside_the_source() {
    let (folder, keeper) = place();
    let (repository, state) = (keeper.world().join("backups"), keeper.world().join("state"));
    let keeper = keeper.with("BORG_REPO_PATH", &repository).with("WORLDKEEPER_STATE_DIR", &state);
    let notice = keeper.run(["backup"]);
    let _ = notice.says(&[repository.to_str().unwrap(), state.to_str().unwrap()]);
    let target = folder.path().join("target");
    let _ = keeper.restore("latest", &target);
    let restored = contents(&below(&target, &keeper.world())).into_keys().collect::<Vec<_>>();
    assert!(restored.iter().any(|path| path.ends_with("level.dat")), "{restored:?}");
    assert!(
        !restored.iter().any(|path| path.starts_with("backups/data") || path.starts_with("state/")),
        "{restored:?}"
    );
}

#[test]
fn the_games_own_lock_file_is_left_out() {
    let (folder, keeper) = place();
    tree::write(&keeper.world().join("session.lock"), "☃".as_bytes());
    let _ = keeper.backup();
    let target = folder.path().join("target");
    let _ = keeper.restore("latest", &target);
    assert!(!below(&target, &keeper.world()).join("session.lock").exists());
}
