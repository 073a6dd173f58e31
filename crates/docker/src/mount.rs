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
        Self { kind, source, destination: text(&point.destination) }
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

/// Returns whether the engine named a volume itself; such a one has no options.
pub(crate) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, destination: &str) -> Mount {
        Mount { kind: MountKind::Bind, source: source.to_owned(), destination: destination.to_owned() }
    }

    /// The `Mounts` of replies of Docker 20.10 and 26.1 (named, anonymous, with a subpath, memory), of Podman 4.3, and
    /// of Docker Desktop on Windows.
    #[test]
    fn replies_of_engines_are_read() {
        let volume = |name: &str, source: &str, destination: &str| Mount {
            kind: MountKind::Volume(name.to_owned()),
            ..bind(source, destination)
        };
        for (reply, expected) in [
            (
                r#"[{"Type":"volume","Name":"world","Source":"/var/lib/docker/volumes/world/_data","Destination":"/data",
                    "Driver":"local","Mode":"ro","RW":false,"Propagation":""},
                   {"Type":"bind","Source":"/run/docker.sock","Destination":"/var/run/docker.sock","Mode":"","RW":true,
                    "Propagation":"rprivate"}]"#,
                vec![
                    volume("world", "/var/lib/docker/volumes/world/_data", "/data"),
                    bind("/run/docker.sock", "/var/run/docker.sock"),
                ],
            ),
            (
                r#"[{"Type":"tmpfs","Source":"","Destination":"/tmp","Mode":"","RW":true,"Propagation":""}]"#,
                vec![Mount { kind: MountKind::Other, ..bind("", "/tmp") }],
            ),
            (
                r#"[{"Type":"volume","Name":"world","Source":"/var/lib/containers/storage/volumes/world/_data",
                    "Destination":"/data","Driver":"local","Mode":"","Options":["nosuid","nodev","rbind"],"RW":true,
                    "Propagation":"rprivate"}]"#,
                vec![volume("world", "/var/lib/containers/storage/volumes/world/_data", "/data")],
            ),
            (
                r#"[{"Type":"bind","Source":"C:\\Users\\me\\world","Destination":"/data","Mode":"","RW":true,"Propagation":"rprivate"}]"#,
                vec![bind(r"C:\Users\me\world", "/data")],
            ),
            ("[]", vec![]),
            ("[{}]", vec![bind("", "")]),
        ] {
            let reply = serde_json::from_str(&format!(r#"{{"Mounts":{reply}}}"#)).unwrap();
            assert_eq!(Mount::all_of(&reply), expected);
        }
        assert_eq!(Mount::all_of(&ContainerInspectResponse::default()), []);
    }
}
