//! Ordinary trees: what a game server's folder looks like.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::fixtures::sha_stream;
use crate::worlds;

/// Writes a file, and the directories above it, with a modification time that only full nanoseconds can hold.
pub fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
    fs::write(path, content).expect("files can be written");
    let mtime = SystemTime::UNIX_EPOCH + Duration::new(1_577_934_245, 123_456_789);
    let file = File::options().write(true).open(path).expect("it was just written");
    file.set_times(FileTimes::new().set_modified(mtime)).expect("times can be set");
}

/// A small tree: text, an empty file, zeros, and a file of several chunks. `seed` makes its content its own.
pub fn sample(root: &Path, seed: &str) {
    write(&root.join("hello.txt"), format!("hello from {seed}\n").as_bytes());
    write(&root.join("empty"), b"");
    write(&root.join("zeros.bin"), &vec![0; 300_000]);
    write(&root.join("region/r.0.0.mca"), &worlds::region(seed, 5 << 20));
    write(&root.join("region/r.0.-1.mca"), &worlds::region(&format!("{seed} west"), 70_000));
    let lines = (0..5000).map(|line| format!("{seed} {line}\n")).collect::<Vec<_>>();
    write(&root.join("logs/latest.log"), lines.concat().as_bytes());
    fs::create_dir_all(root.join("datapacks/none")).expect("folders can be made");
}

/// A tree of `files` small files in folders of a hundred, as player data and mods make them.
pub fn world(root: &Path, files: usize, seed: &str) {
    for number in 0..files {
        let name = format!("{:03}/player-{number:05}.dat", number / 100);
        write(&root.join(name), &sha_stream(&format!("{seed} {number}"), 200 + number % 3000));
    }
}

/// A tree of very many files of up to 100 bytes, no two of them alike, in folders of a thousand: quick to make.
pub fn small_files(root: &Path, files: usize) {
    for first in (0..files).step_by(1000) {
        let folder = root.join(format!("{:05}", first / 1000));
        fs::create_dir_all(&folder).expect("folders can be made");
        for number in first..files.min(first + 1000) {
            let content = format!("{number:0width$}", width = 8 + number % 93);
            fs::write(folder.join(format!("chunk.{number}.dat")), content).expect("files can be written");
        }
    }
}

/// A folder in memory, where there is room for one: a file system with few limits, and no disk to wait for.
pub fn memory_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("temporary directories can be made")
}
