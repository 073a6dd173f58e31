//! The container that we run in, as its engine describes it.
//!
//! Who we are tells the kernel: an engine mounts files of the container's own directory into it, whose path has the
//! container's id in it.

use std::path::Path;

use tokio::runtime::Builder;
use tracing::debug;
use worldkeeper_docker::{Container, ContainerName, Endpoint, inspect};

use crate::mounts::MountLine;

/// What the engine knows our container by: Docker and Podman mount its files from `…/containers/ID/…`.
pub(super) fn id(table: &[MountLine]) -> Option<ContainerName> {
    const FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let own = table.iter().filter(|line| FILES.iter().any(|file| line.point == Path::new(file)));
    own.flat_map(|line| line.root.split('/')).find(is_id)?.parse().ok()
}

/// Asks the engine for it; `None` if it does not say, now or ever.
pub(super) fn described(endpoint: &Endpoint, id: &ContainerName) -> Option<Container> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let asked = runtime.block_on(inspect(endpoint, id));
    asked.inspect_err(|error| debug!("it is not known what the sidecar has mounted: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1c1d0b0a6a4a3fb0f2f7a8f9d8c7b6a5948372615f4e3d2c1b0a9f8e7d6c5b";

    #[test]
    fn our_container_is_known_by_its_files() {
        let id = |table: &str| id(&MountLine::parse_all(table)).map(|id| id.to_string());
        let docker = format!(
            "620 500 0:50 / / ro,relatime master:200 - overlay overlay ro,lowerdir=/var/lib/docker/overlay2/l/ABC\n\
             631 620 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n"
        );
        assert_eq!(id(&docker).as_deref(), Some(ID));
        let podman = format!(
            "631 620 0:25 /containers/storage/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
        );
        assert_eq!(id(&podman).as_deref(), Some(ID));
        assert_eq!(id("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), None);
    }
}
