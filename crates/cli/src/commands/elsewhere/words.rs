//! What is said of a game that uses nothing of what is backed up: what each of the two has, and what to do about it.

use worldkeeper_docker::{Container, Mount, MountKind, OwnMount};

use super::Finding;
use super::judge::DELETED;

/// What these containers have, and what is ours.
pub(super) fn finding(own: &[OwnMount], containers: &[Container]) -> Finding {
    let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
    let game = match names[..] {
        [name] => format!("the game's container {name}"),
        _ => format!("each of the game's containers {}", names.join(", ")),
    };
    let theirs: Vec<_> = containers.iter().flat_map(|container| telling(&container.mounts, own)).collect();
    let ours: Vec<_> = own.iter().map(ours).collect();
    let (theirs, ours) = (listed(&theirs), listed(&ours));
    let found = if own.iter().any(|own| own.was_moved) {
        format!(
            "what is backed up was moved or deleted on the host, and {game} is started from another place: it has {theirs}, and the sidecar {ours}"
        )
    } else {
        format!("{game} uses nothing of what is backed up: it has {theirs}, and the sidecar {ours}")
    };
    Finding { found, remedy: REMEDY }
}

const REMEDY: &str = "this may be a world that nobody plays any more. Mount into the sidecar what the game has, and make the \
    sidecar anew (docker-compose up -d --force-recreate worldkeeper); nothing is pruned until then. If it is meant so, do not \
    name that container (GAME_CONTAINER_NAME)";

/// The mounts of a game that say most: those that are where ours are, else its volumes, else all.
fn telling(mounts: &[Mount], own: &[OwnMount]) -> Vec<String> {
    let is_where_ours_are = |mount: &&Mount| own.iter().any(|own| own.mount.destination == mount.destination);
    let is_volume = |mount: &&Mount| matches!(mount.kind, MountKind::Volume(_));
    let texts = |mounts: Vec<&Mount>| mounts.into_iter().map(ToString::to_string).collect::<Vec<_>>();
    let choices = [mounts.iter().filter(is_where_ours_are).collect(), mounts.iter().filter(is_volume).collect()];
    let chosen = choices.into_iter().find(|chosen: &Vec<_>| !chosen.is_empty());
    texts(chosen.unwrap_or_else(|| mounts.iter().filter(|mount| mount.kind != MountKind::Other).collect()))
}

/// What one of ours is.
fn ours(own: &OwnMount) -> String {
    let place = &own.mount.destination;
    match (own.was_moved, own.root.as_str()) {
        (false, _) => own.mount.to_string(),
        (true, DELETED) => format!("{place} from what was {} and is deleted", own.mount.source),
        (true, root) => format!("{place} from what was {} and is {root} now", own.mount.source),
    }
}

/// The first few.
fn listed(texts: &[String]) -> String {
    const MOST: usize = 3;
    let list = texts.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(MOST) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}
