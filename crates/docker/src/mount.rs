//! What a container has mounted from outside, as its engine says.

use std::fmt;

use bollard::models::{ContainerInspectResponse, MountPoint};

/// One mount of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where it is on the engine's host, in the words of the engine: a path, which may be one of Windows, or nothing.
    pub source: String,
    /// What of a volume it is, if that is not all of it.
    pub subpath: Option<String>,
    /// Where it is inside the container.
    pub destination: String,
}

/// What kind of thing is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file or a directory of the host.
    Bind,
    /// The volume of this name.
    Volume(String),
    /// What two containers cannot share by their mounts: memory, an image, a pipe of Windows.
    Other,
}

impl Mount {
    /// Reads what `inspect` replied, in an order of its own: engines do not keep one.
    pub(crate) fn all_of(reply: &ContainerInspectResponse) -> Vec<Self> {
        let mut mounts: Vec<_> = reply.mounts.iter().flatten().map(Self::of).collect();
        for mount in &mut mounts {
            mount.subpath = subpath(reply, &mount.destination);
        }
        mounts.sort_by(|a, b| (&a.destination, &a.source).cmp(&(&b.destination, &b.source)));
        mounts
    }

    fn of(point: &MountPoint) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (kind, source) = match (point.typ.as_deref(), &point.name) {
            (Some("bind"), _) => (MountKind::Bind, text(&point.source)),
            (Some("volume"), Some(name)) => (MountKind::Volume(name.clone()), text(&point.source)),
            (Some("tmpfs" | "npipe" | "image"), _) => (MountKind::Other, text(&point.source)),
            // Whatever the source of another kind means, it is no path to compare.
            _ => (MountKind::Bind, String::new()),
        };
        Self { kind, source, subpath: None, destination: text(&point.destination) }
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MountKind::Volume(name) if is_anonymous(name) => {
                write!(f, "{} from a volume without a name", self.destination)
            }
            MountKind::Volume(name) => write!(f, "{} from the volume {name}", self.destination),
            MountKind::Bind | MountKind::Other => write!(f, "{} from {}", self.destination, self.source),
        }
    }
}

/// What of its volume was asked for to be mounted there.
fn subpath(reply: &ContainerInspectResponse, destination: &str) -> Option<String> {
    let mut asked = reply.host_config.iter().filter_map(|host| host.mounts.as_ref()).flatten();
    let asked = asked.find(|mount| mount.target.as_deref() == Some(destination))?;
    asked.volume_options.as_ref()?.subpath.clone().filter(|subpath| !subpath.is_empty())
}

/// Returns whether the engine named a volume itself; such a one has no options.
pub(crate) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, destination: &str) -> Mount {
        Mount { kind: MountKind::Bind, source: source.to_owned(), subpath: None, destination: destination.to_owned() }
    }

    /// What Docker 20.10.24 says of `docker run -v world:/data:ro -v /anon -v /etc/localtime:/etc/localtime:ro --tmpfs /t
    /// --mount type=tmpfs,dst=/mem --mount "type=bind,src=/srv/my world,dst=/bind"`.
    const RECORDED: &str = r#"[
        {"Type":"volume","Name":"world","Source":"/var/lib/docker/volumes/world/_data","Destination":"/data","Driver":"local",
         "Mode":"ro","RW":false,"Propagation":""},
        {"Type":"bind","Source":"/etc/localtime","Destination":"/etc/localtime","Mode":"ro","RW":false,
         "Propagation":"rprivate"},
        {"Type":"tmpfs","Source":"","Destination":"/mem","Mode":"","RW":true,"Propagation":""},
        {"Type":"bind","Source":"/srv/my world","Destination":"/bind","Mode":"","RW":true,"Propagation":"rprivate"},
        {"Type":"volume","Name":"92f6729aead84eeeedf931ba27b337170c5311d9373726048f4aa94d734daa40",
         "Source":"/var/lib/docker/volumes/92f6729aead84eeeedf931ba27b337170c5311d9373726048f4aa94d734daa40/_data",
         "Destination":"/anon","Driver":"local","Mode":"","RW":true,"Propagation":""}]"#;

    fn all_of(mounts: &str) -> Vec<Mount> {
        Mount::all_of(&serde_json::from_str(&format!(r#"{{"Mounts":{mounts}}}"#)).unwrap())
    }

    #[test]
    fn a_reply_is_read() {
        let mounts = all_of(RECORDED);
        let texts: Vec<_> = mounts.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "/anon from a volume without a name",
                "/bind from /srv/my world",
                "/data from the volume world",
                "/etc/localtime from /etc/localtime",
                "/mem from ",
            ]
        );
        assert_eq!(mounts[1], bind("/srv/my world", "/bind"));
        assert_eq!(mounts[2].kind, MountKind::Volume("world".to_owned()));
        assert_eq!(mounts[2].source, "/var/lib/docker/volumes/world/_data");
        assert_eq!(mounts[4].kind, MountKind::Other);
    }

    /// What `docker run --mount type=volume,src=games,dst=/data,volume-subpath=mc/world` asks for, as the API's reference has it.
    #[test]
    fn a_part_of_a_volume_is_told_apart() {
        const REPLY: &str = r#"{
            "HostConfig":{"Mounts":[{"Type":"volume","Source":"games","Target":"/data",
                "VolumeOptions":{"Subpath":"mc/world"}}]},
            "Mounts":[
                {"Type":"volume","Name":"games","Source":"/v/games/_data","Destination":"/data"},
                {"Type":"volume","Name":"games","Source":"/v/games/_data","Destination":"/all"}]}"#;
        let mounts = Mount::all_of(&serde_json::from_str(REPLY).unwrap());
        let subpaths: Vec<_> = mounts.iter().map(|mount| mount.subpath.as_deref()).collect();
        assert_eq!(subpaths, [None, Some("mc/world")]);
    }

    /// As their documentations have it.
    #[test]
    fn what_other_engines_may_say_is_read() {
        let windows = r#"[{"Type":"bind","Source":"C:\\Users\\me\\world","Destination":"/data"}]"#;
        assert_eq!(all_of(windows), [bind(r"C:\Users\me\world", "/data")]);
        let podman = r#"[{"Type":"volume","Name":"world","Source":"/v/world/_data","Destination":"/data","Driver":"local",
            "Mode":"","Options":["nosuid","nodev","rbind"],"RW":true,"Propagation":"rprivate"}]"#;
        assert_eq!(all_of(podman)[0].kind, MountKind::Volume("world".to_owned()));
        let swarm = r#"[{"Type":"cluster","Name":"world","Source":"/v/world","Destination":"/data"}]"#;
        assert_eq!(all_of(swarm), [bind("", "/data")], "nothing to compare");
        assert_eq!(all_of("[{}]"), [bind("", "")]);
        assert_eq!(all_of("[]"), []);
        assert_eq!(Mount::all_of(&ContainerInspectResponse::default()), []);
    }
}
