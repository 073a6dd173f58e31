//! What the image is made of.

use crate::{SIDECAR, engine};

#[test]
fn one_static_binary_and_nothing_else() {
    let Some(engine) = engine() else { return };
    let _ = engine.docker(["create", "--name", "looked-at", SIDECAR]);
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("image.tar");
    let _ = engine.docker(["export", "--output", tar.to_str().unwrap(), "looked-at"]);
    let listed = std::process::Command::new("tar").arg("-tvf").arg(&tar).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    // The engine adds empty files of its own (/etc/hosts, /dev/console).
    let files = listed.lines().filter(|line| line.starts_with('-') && !line.contains(" 0 20"));
    let files = files.filter_map(|line| line.split_whitespace().last()).collect::<Vec<_>>();
    assert_eq!(files, ["bin/worldkeeper"], "{listed}");
    let _ =
        engine.docker(["run", "--rm", "--network", "none", "--read-only", SIDECAR, "--version"]).says(&["worldkeeper"]);
}
