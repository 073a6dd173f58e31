//! A world that changes at random, in ways that have misled backup tools: the same bytes twice, runs of zeros, a file of
//! another content but the same size and time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate::Random;
use worldkeeper_testkit::tree;

/// Changes a few files.
pub(super) fn change(world: &Path, random: &mut Random) {
    // An archive without any file is a warning.
    tree::write(&world.join("level.dat"), b"stays");
    for _ in 0..2 + random.below(5) {
        let path = world.join(format!("{}/{}", random.below(2), random.below(6)));
        let zeros = [1, 4096, 65_535, 65_536, 300_000, 9 << 20];
        match random.below(10) {
            0..=3 => tree::write(&path, &sha_stream(&format!("{}", random.below(40)), 1000 + 20_000 * random.below(4))),
            4 => tree::write(&path, b""),
            5 => tree::write(&path, &vec![0; zeros[random.below(zeros.len())]]),
            6 => tree::write(&path, &sha_stream("twice", 30_000).repeat(2)),
            7 => _ = fs::remove_file(&path),
            8 => {
                let _ = fs::remove_file(&path);
                let other = world.join(format!("1/{}", random.below(6)));
                // Stock knows no hard links of symlinks.
                if other.symlink_metadata().is_ok_and(|other| other.is_file()) && other != path {
                    fs::create_dir_all(world.join("0")).expect("folders can be made");
                    let _ = fs::hard_link(other, &path);
                }
            }
            _ => {
                let _ = fs::remove_file(&path);
                fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("folders can be made");
                symlink("somewhere", path).expect("symlinks can be made");
            }
        }
    }
}
