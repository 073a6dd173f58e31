//! Whether the game uses what is backed up.
//!
//! The game's container may be made anew on another volume, or its directory moved away and made anew, while the sidecar
//! keeps what it has mounted: it would back up a world that nobody plays, for ever, and well. What the engine says of the
//! game's mounts is therefore held against what it says of ours, and against what the kernel does.
//!
//! Who we are tells the kernel, too: an engine mounts files of the container's own directory into it, whose path has the
//! container's id in it. Where the kernel says nothing of use there is nothing to be told, and the game is taken to be here: a
//! false alarm would be worse. Where only an answer is missing, because the engine is silent, knows no such container, or the
//! game's is gone, that is another matter: it may come, and until then what was found last counts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tracing::debug;
use worldkeeper_core::{Disk, disk};
use worldkeeper_docker::{
    Container, ContainerName, Endpoint, Mount, MountKind, OwnMount, State, inspect, is_elsewhere,
};
use worldkeeper_scheduler::{Lookout, Whereabouts};

use super::containers;
use crate::mounts::MountLine;
use crate::place::Place;

/// The game uses nothing of what is backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What each of the two has.
    pub(super) found: String,
    /// What to do about it.
    pub(super) remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.remedy)
    }
}

/// An answer is missing that may come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotKnown;

/// Compares the game's mounts with ours.
pub(super) struct Elsewhere {
    sources: Vec<PathBuf>,
    endpoint: Option<Endpoint>,
    disk: Arc<dyn Disk>,
    state_directory: PathBuf,
    /// It notes what it sees, as the daemon does.
    takes_notes: bool,
    /// What the engine said of our own mounts; they never change.
    own: Mutex<Option<Vec<Mount>>>,
}

/// What the kernel said when the daemon began. What it says otherwise later was moved on the host since: whoever mounts the
/// same then has something else. It lies in the state directory, so that commands beside the daemon know it, too.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Begun {
    /// In which container.
    container: String,
    /// The root of each mount, by where it is mounted.
    roots: BTreeMap<PathBuf, String>,
    /// Which of the game's containers ran when nothing was moved yet, and since when. As long as they run, a directory that is
    /// moved goes with them.
    #[serde(default)]
    running: BTreeMap<String, String>,
}

impl Elsewhere {
    /// For the daemon: notes what is mounted now.
    pub(super) fn begin(place: &Place) -> Self {
        let table = MountLine::all();
        let elsewhere = Self { takes_notes: true, ..Self::of(place) };
        if let Some(container) = own_id(&table) {
            elsewhere.note(&Begun::of(&table, container.to_owned()));
        }
        elsewhere
    }

    /// For everybody else: knows what was mounted when the daemon began, if that was in the same container.
    pub(super) fn of(place: &Place) -> Self {
        let sources = place.settings.sources.value.iter().map(|source| absolute(source).unwrap_or(source.clone()));
        let (disk, state_directory) = (Arc::clone(&place.disk), place.state.path().to_owned());
        let endpoint = place.settings.docker.value.clone();
        Self { sources: sources.collect(), endpoint, disk, state_directory, takes_notes: false, own: Mutex::default() }
    }

    fn note(&self, begun: &Begun) {
        if let Err(error) = begun.write(&*self.disk, &self.state_directory) {
            debug!("what is mounted is not noted: {error}");
        }
    }

    /// The question itself, for a backup to ask: each time, the containers are looked at again.
    pub(super) fn question(place: &Arc<Place>) -> Box<dyn Fn() -> Whereabouts + Send + Sync> {
        let (place, elsewhere) = (Arc::clone(place), Self::of(place));
        Box::new(move || {
            // Who names no game, or gives no socket, wants no answer.
            if place.settings.containers.value.is_empty() || place.settings.docker.value.is_none() {
                return Whereabouts::Here;
            }
            let found = containers::states(&place).unwrap_or_default();
            let containers: Option<Vec<_>> = found.into_iter().map(|(_, found)| found.ok()).collect();
            containers.map_or(Whereabouts::Unknown, |containers| elsewhere.whereabouts(&containers))
        })
    }

    /// What is wrong, if it is certain that something is.
    pub(super) fn judge(&self, containers: &[Container]) -> Result<Option<Finding>, NotKnown> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        if containers.is_empty() {
            return Err(NotKnown);
        }
        let table = MountLine::all();
        let Some(id) = own_id(&table).and_then(|id| id.parse::<ContainerName>().ok()) else { return Ok(None) };
        let own = self.own(endpoint, &id)?;
        let begun = Begun::read(&*self.disk, &self.state_directory);
        let mut begun = begun.filter(|begun| begun.container == id.as_str()).unwrap_or_default();
        let Some(mounts) = own_mounts(&table, &begun, &own, &self.sources) else { return Ok(None) };
        if self.takes_notes && begun.see(&mounts, containers) {
            self.note(&begun);
        }
        judge(&mounts, &begun, containers)
    }

    /// What the engine says that we have mounted.
    fn own(&self, endpoint: &Endpoint, id: &ContainerName) -> Result<Vec<Mount>, NotKnown> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &*own {
            return Ok(own.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| NotKnown)?;
        let container = runtime.block_on(inspect(endpoint, id)).map_err(|error| {
            debug!("it is not known what the sidecar has mounted: {error}");
            NotKnown
        })?;
        Ok(own.insert(container.mounts).clone())
    }
}

impl Lookout for Elsewhere {
    fn whereabouts(&self, containers: &[Container]) -> Whereabouts {
        match self.judge(containers) {
            Ok(None) => Whereabouts::Here,
            Ok(Some(finding)) => Whereabouts::Elsewhere(finding.to_string()),
            Err(NotKnown) => Whereabouts::Unknown,
        }
    }
}

impl Begun {
    const FILE: &str = "mounts.json";

    /// Longer than any table of mounts that is worth a note.
    const MAX_BYTES: u64 = 1 << 20;

    fn of(table: &[MountLine], container: String) -> Self {
        let roots = table.iter().map(|line| (line.point.clone(), line.root.clone())).collect();
        Self { container, roots, running: BTreeMap::new() }
    }

    /// Takes in which containers run while nothing is moved; returns whether that is news.
    fn see(&mut self, own: &[OwnMount], containers: &[Container]) -> bool {
        if self.container.is_empty() || own.iter().any(|own| own.was_moved) {
            return false;
        }
        let running = containers.iter().filter(|container| container.state == State::Running);
        let running = running.filter_map(|game| Some((game.name.to_string(), game.started.clone()?))).collect();
        std::mem::replace(&mut self.running, running) != self.running
    }

    /// Returns whether one of these has run since before something was moved, and went with it. One that does not run may be
    /// started from anywhere.
    fn is_followed(&self, containers: &[Container]) -> Result<bool, NotKnown> {
        let follows = |game: &Container| {
            let started = game.started.as_ref().filter(|_| game.state == State::Running)?;
            Some(self.running.get(game.name.as_str()) == Some(started))
        };
        let all: Vec<_> = containers.iter().map(follows).collect();
        if all.contains(&Some(true)) {
            Ok(true)
        } else {
            all.into_iter().collect::<Option<Vec<_>>>().map(|_| false).ok_or(NotKnown)
        }
    }

    /// What was there before is not believed if this cannot be written.
    fn write(&self, disk: &dyn Disk, state_directory: &Path) -> anyhow::Result<()> {
        let path = state_directory.join(Self::FILE);
        disk::remove_if_there(disk, &path)?;
        Ok(disk::replace(disk, &path, &serde_json::to_vec(self)?)?)
    }

    fn read(disk: &dyn Disk, state_directory: &Path) -> Option<Self> {
        let bytes = disk::read_if_there(disk, &state_directory.join(Self::FILE), Self::MAX_BYTES).ok()??;
        serde_json::from_slice(&bytes).ok()
    }
}

/// The id of the container that we run in: Docker and Podman mount its files from `…/containers/ID/…`.
fn own_id(table: &[MountLine]) -> Option<&str> {
    const FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let own = table.iter().filter(|line| FILES.iter().any(|file| line.point == Path::new(file)));
    own.flat_map(|line| line.root.split('/')).find(is_id)
}

/// The mounts that the sources lie on, and those in them; `None` if of any of them nothing can ever be said.
fn own_mounts(table: &[MountLine], begun: &Begun, own: &[Mount], sources: &[PathBuf]) -> Option<Vec<OwnMount>> {
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
const DELETED: &str = "//deleted";

/// What is wrong, if these containers certainly use nothing of what is ours.
fn judge(own: &[OwnMount], begun: &Begun, containers: &[Container]) -> Result<Option<Finding>, NotKnown> {
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
    let was_moved = own.iter().any(|own| own.was_moved);
    if was_moved && begun.is_followed(containers)? {
        return Ok(None);
    }
    let names: Vec<_> = containers.iter().map(|container| container.name.as_str()).collect();
    let game = match names[..] {
        [name] => format!("the game's container {name}"),
        _ => format!("each of the game's containers {}", names.join(", ")),
    };
    let theirs: Vec<_> = containers.iter().flat_map(|container| telling(&container.mounts, own)).collect();
    let ours: Vec<_> = own.iter().map(ours).collect();
    let (theirs, ours) = (listed(&theirs), listed(&ours));
    let found = if was_moved {
        format!(
            "what is backed up was moved or deleted on the host, and {game} is started from another place: it has {theirs}, and the sidecar {ours}"
        )
    } else {
        format!("{game} uses nothing of what is backed up: it has {theirs}, and the sidecar {ours}")
    };
    Ok(Some(Finding { found, remedy: REMEDY }))
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
        Mount { kind, source: source.to_owned(), destination: destination.to_owned() }
    }

    fn volume(name: &str) -> Mount {
        mount(MountKind::Volume(name.to_owned()), &format!("/var/lib/docker/volumes/{name}/_data"), "/data")
    }

    fn container(name: &str, mounts: &[Mount]) -> Container {
        Container {
            name: name.parse().unwrap(),
            state: State::Running,
            mounts: mounts.to_vec(),
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

    #[test]
    fn the_own_container_is_known_by_its_files() {
        assert_eq!(own_id(&table("/a", "ext4")), Some(ID));
        let podman = format!(
            "631 620 0:25 /containers/storage/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
        );
        assert_eq!(own_id(&MountLine::parse_all(&podman)), Some(ID));
        assert_eq!(own_id(&MountLine::parse_all("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")), None);
    }

    #[test]
    fn what_was_mounted_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = worldkeeper_repository::OsDisk;
        assert!(Begun::read(&disk, folder.path()).is_none());
        Begun::of(&table("/srv/bw", "ext4"), ID.to_owned()).write(&disk, folder.path()).unwrap();
        let begun = Begun::read(&disk, folder.path()).unwrap();
        assert_eq!((begun.container.as_str(), begun.roots[Path::new("/data")].as_str()), (ID, "/srv/bw"));
        std::fs::write(folder.path().join(Begun::FILE), "{").unwrap();
        assert!(Begun::read(&disk, folder.path()).is_none());
    }
}
