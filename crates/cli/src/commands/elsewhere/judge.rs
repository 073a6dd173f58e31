//! Whether the game has something of what we have, by what the kernel and the engine say; no I/O.

use std::path::{Path, PathBuf};

use worldkeeper_docker::{Container, Mount, MountKind, OwnMount, State, is_elsewhere};

use super::note::Begun;
use super::{Finding, NotKnown, words};
use crate::mounts::MountLine;

/// The mounts that the sources lie on, and those in them; `None` if of any of them nothing can ever be said.
pub(super) fn own_mounts(
    table: &[MountLine],
    begun: &Begun,
    own: &[Mount],
    sources: &[PathBuf],
) -> Option<Vec<OwnMount>> {
    let mut found = Vec::new();
    for source in sources {
        let line = MountLine::covering(table, source)?;
        found.push(own_mount(line, begun, own)?);
        let data = own.iter().filter(|mount| mount.kind != MountKind::Other);
        for mount in data.filter(|mount| is_within(Path::new(&mount.destination), source)) {
            let line = MountLine::covering(table, Path::new(&mount.destination))?;
            found.push(own_mount(line, begun, own)?);
        }
    }
    Some(found)
}

fn is_within(path: &Path, source: &Path) -> bool {
    path != source && path.starts_with(source)
}

fn own_mount(line: &MountLine, begun: &Begun, own: &[Mount]) -> Option<OwnMount> {
    /// Those whose paths are what they seem, and whose directories are moved and removed by this machine alone.
    const LOCAL: [&str; 10] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs", "reiserfs"];
    if !LOCAL.contains(&line.kind.as_str()) {
        return None;
    }
    let mount = own.iter().find(|mount| Path::new(&mount.destination) == line.point)?.clone();
    let (root, is_deleted) = match line.root.strip_suffix("//deleted") {
        Some(root) => (root, true),
        None => (line.root.as_str(), false),
    };
    let was_moved = is_deleted || begun.roots.get(&line.point).is_some_and(|begun| *begun != line.root);
    // What was deleted is nowhere, whatever has its path now.
    let root = if is_deleted { DELETED.to_owned() } else { root.to_owned() };
    Some(OwnMount { mount, root, was_moved })
}

/// In place of the path of what was deleted: no engine mounts from there.
pub(super) const DELETED: &str = "//deleted";

/// What is wrong, if these containers certainly use nothing of what is ours.
pub(super) fn judge(own: &[OwnMount], begun: &Begun, containers: &[Container]) -> Result<Option<Finding>, NotKnown> {
    let theirs: Vec<_> = containers.iter().flat_map(|container| container.mounts.iter().cloned()).collect();
    if theirs.iter().all(|mount| mount.kind == MountKind::Other) {
        return Err(NotKnown);
    }
    if !is_elsewhere(own, &theirs) {
        return Ok(None);
    }
    // A container that is gone may come back with what it had.
    if containers.iter().any(|container| container.state == State::Missing) {
        return Err(NotKnown);
    }
    if own.iter().any(|own| own.was_moved) && begun.is_followed(containers)? {
        return Ok(None);
    }
    Ok(Some(words::finding(own, containers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1c1d0b0a6a4a3fb0f2f7a8f9d8c7b6a5948372615f4e3d2c1b0a9f8e7d6c5b";

    /// What a sidecar sees that Docker 20.10 has started, with its world mounted from `root`.
    fn table(root: &str, kind: &str) -> Vec<MountLine> {
        MountLine::parse_all(&format!(
            "620 500 0:50 / / ro,relatime master:200 - overlay overlay ro,lowerdir=/var/lib/docker/overlay2/l/ABC\n\
             621 620 0:53 / /proc rw,nosuid - proc proc rw\n\
             630 620 254:0 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw\n\
             631 620 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n\
             651 620 254:0 {root} /data ro,relatime master:1 - {kind} /dev/vda rw\n\
             652 620 254:0 /srv/backups /repository rw,relatime master:1 - ext4 /dev/vda rw\n"
        ))
    }

    fn mount(kind: MountKind, source: &str, destination: &str) -> Mount {
        Mount { kind, source: source.to_owned(), subpath: None, destination: destination.to_owned() }
    }

    fn volume(name: &str) -> Mount {
        mount(MountKind::Volume(name.to_owned()), &format!("/var/lib/docker/volumes/{name}/_data"), "/data")
    }

    fn container(name: &str, mounts: &[Mount]) -> Container {
        Container {
            name: name.parse().unwrap(),
            state: State::Running,
            mounts: mounts.to_vec(),
            image: None,
            started: Some("12:00".to_owned()),
            finished: None,
        }
    }

    fn found(
        table: &[MountLine],
        begun: &[MountLine],
        own: &Mount,
        source: &str,
        game: &[Container],
    ) -> Result<Option<String>, NotKnown> {
        let begun = Begun::of(begun, ID.to_owned());
        let own = [own.clone(), mount(MountKind::Bind, "/srv/backups", "/repository")];
        let Some(own) = own_mounts(table, &begun, &own, &[PathBuf::from(source)]) else { return Ok(None) };
        Ok(judge(&own, &begun, game)?.map(|finding| finding.found))
    }

    #[test]
    fn another_volume() {
        let table = table("/var/lib/docker/volumes/world/_data", "ext4");
        let found = |source: &str, game: &[Container]| found(&table, &table, &volume("world"), source, game);
        let socket = mount(MountKind::Bind, "/etc/localtime", "/etc/localtime");
        assert_eq!(
            found("/data/server", &[container("minecraft", &[socket.clone(), volume("new")])]).unwrap().unwrap(),
            "the game's container minecraft uses nothing of what is backed up: it has /data from the volume new, and the \
             sidecar /data from the volume world"
        );
        let (lobby, game) = (container("lobby", &[volume("hub")]), container("game", &[volume("world")]));
        assert!(found("/data", std::slice::from_ref(&lobby)).unwrap().is_some());
        assert_eq!(found("/data", &[lobby.clone(), game.clone()]), Ok(None));
        let gone = |name| Container { state: State::Missing, ..container(name, &[]) };
        assert_eq!(found("/data", &[lobby.clone(), gone("game")]), Err(NotKnown), "it may come back with the world");
        assert_eq!(found("/data", &[gone("game")]), Err(NotKnown));
        assert_eq!(found("/data", &[gone("lobby"), game]), Ok(None), "one that uses it is enough");
        let both = found("/data", &[lobby.clone(), container("game", &[])]).unwrap().unwrap();
        assert!(both.contains("containers lobby, game"));
        assert_eq!(found("/data", &[container("game", &[])]), Err(NotKnown), "it shows no mounts");
        // In the container's own layer, and on what the engine knows nothing of.
        assert_eq!(found("/elsewhere", std::slice::from_ref(&lobby)), Ok(None));
        assert_eq!(found("/proc", &[lobby]), Ok(None));
    }

    #[test]
    fn a_directory_that_was_moved_and_made_anew() {
        let bind = mount(MountKind::Bind, "/srv/bw", "/data");
        let game = [container("minecraft", std::slice::from_ref(&bind))];
        let before = table("/srv/bw", "ext4");
        let found = |now: &str, game: &[Container]| found(&table(now, "ext4"), &before, &bind, "/data", game);
        assert_eq!(found("/srv/bw", &game), Ok(None));
        assert!(found("/srv/bw.old", &game).unwrap().unwrap().ends_with(
            "it has /data from /srv/bw, and the sidecar /data from what was /srv/bw and is /srv/bw.old now"
        ));
        let deleted = found("/srv/bw//deleted", &game).unwrap().unwrap();
        assert!(deleted.ends_with("/data from what was /srv/bw and is deleted"));
        // The game went with it.
        let moved = [container("minecraft", &[mount(MountKind::Bind, "/srv/bw2", "/data")])];
        assert_eq!(found("/srv/bw2", &moved), Ok(None));
    }

    #[test]
    fn a_directory_that_is_renamed_takes_a_game_that_runs_with_it() {
        let bind = mount(MountKind::Bind, "/srv/bw", "/data");
        let own = [bind.clone(), mount(MountKind::Bind, "/srv/backups", "/repository")];
        let mut begun = Begun::of(&table("/srv/bw", "ext4"), ID.to_owned());
        let game = |started: &str| {
            [Container { started: Some(started.to_owned()), ..container("mc", std::slice::from_ref(&bind)) }]
        };
        let mut found = |root: &str, game: &[Container]| {
            let own = own_mounts(&table(root, "ext4"), &begun, &own, &[PathBuf::from("/data")]).unwrap();
            begun.see(&own, game);
            judge(&own, &begun, game).map(|found| found.is_some())
        };
        assert_eq!(found("/srv/bw", &game("12:00")), Ok(false));
        assert_eq!(found("/srv/bw2", &game("12:00")), Ok(false), "it writes there");
        assert_eq!(found("/srv/bw2", &game("12:30")), Ok(true), "it was started again, from what is there now");
        let rests = Container { state: State::NotRunning("exited"), ..game("12:30")[0].clone() };
        assert_eq!(found("/srv/bw2", std::slice::from_ref(&rests)), Err(NotKnown), "it may be started from elsewhere");
        assert_eq!(found("/srv/bw2", &[rests, game("12:00")[0].clone()]), Ok(false), "one that writes there is enough");
    }

    #[test]
    fn where_the_kernel_says_nothing_of_use_nothing_is_told() {
        for kind in ["nfs4", "cifs", "virtiofs", "9p", "fuse.shfs", "fakeowner", "overlay", "tmpfs"] {
            let table = table("/var/lib/docker/volumes/world/_data", kind);
            assert_eq!(found(&table, &table, &volume("world"), "/data", &[container("a", &[volume("new")])]), Ok(None));
        }
    }
}
