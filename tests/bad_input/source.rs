//! Sources that are not there, cannot be read, or hold what must not be archived.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};

use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::worldkeeper::below;
use worldkeeper_testkit::{peers, tree};

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

/// One unreadable file is a warning: the rest of the world is worth an archive.
#[test]
fn an_unreadable_file() {
    let found = if peers::is_root() { Ok(()) } else { Err("only root can give files away".to_owned()) };
    if peers::or_skip("root", found).is_none() {
        return;
    }
    let (folder, keeper) = place();
    let secret = keeper.world().join("secret.dat");
    tree::write(&secret, b"of somebody else");
    lchown(&secret, Some(54321), Some(54321)).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    // Root without the two capabilities that let it read everything, as in a container that drops them.
    let drop = "-dac_override,-dac_read_search";
    let setpriv = ["setpriv".to_owned(), format!("--inh-caps={drop}"), format!("--bounding-set={drop}")];
    let outcome = Outcome::of(&mut keeper.command_under(&setpriv, ["backup"]));
    let _ = outcome.exits(1).says(&["secret.dat", "permission denied"]);
    // Nor is it forgotten: whoever asks later is told, and whoever has the archive alone.
    let _ = keeper.try_run(["status"]).exits(1).says(&["1 file could not be read: ", "secret.dat; see the log"]);
    let _ = keeper.run(["info", "latest"]).says(&["1 file could not be read: ", "secret.dat"]);
    let target = folder.path().join("target");
    let _ = keeper.restore("latest", &target);
    let restored = contents(&below(&target, &keeper.world()));
    assert!(restored.keys().any(|path| path.ends_with("level.dat")), "{restored:?}");
    assert!(!restored.keys().any(|path| path.ends_with("secret.dat")), "{restored:?}");
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
