//! Whatever the parameters: ours and stock cut the same files into the same chunks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use worldkeeper_testkit::borg::{Borg, location};
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::gate;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::PASSPHRASE;

use crate::place;

/// Parameters as they are typed, and whether holes count; first those of long chunks.
const PARAMS: [(&str, bool); 10] = [
    ("default", false),
    ("buzhash,10,23,16,4095", false),
    ("fixed,65536,512", true),
    ("fixed,65536,512", false),
    ("fixed,4194304,100", true),
    ("buzhash,6,12,7,1", true),
    ("12,16,14,63", false),
    ("fixed,1000,5000", true),
    ("fixed,1000,5000", false),
    ("fixed,4096", false),
];
/// How many of these have long chunks.
const LONG: usize = 5;

/// Files with holes at every kind of place, of zeros that are there, and of neither; all so many times shorter.
fn files(world: &Path, shorter: usize) {
    tree::write(&world.join("dense"), &sha_stream("dense", (3 << 20) / shorter));
    tree::write(&world.join("short"), b"short");
    tree::write(&world.join("empty"), b"");
    tree::write(&world.join("zeros"), &vec![0; 1_234_567 / shorter]);
    let sparse = |name: &str, len: u64, data: &[(u64, usize)]| {
        let file = File::create(world.join(name)).unwrap();
        for &(at, len) in data {
            file.write_all_at(&sha_stream(name, len / shorter), at / shorter as u64).unwrap();
        }
        file.set_len(len / shorter as u64).unwrap();
    };
    sparse("hole", 40_000_001, &[]);
    sparse("ends-in-a-hole", 20_000_000, &[(0, 100_000)]);
    sparse("begins-with-a-hole", 17_000_000, &[(12_345_678, 1_000_000)]);
    sparse("holes", 60_000_000, &[(1_048_576, 300_000), (20_000_000, 5), (40_000_000, 2_000_000)]);
}

/// Which chunks each file has.
fn chunks(borg: &Borg, repository: &Path, archive: &str) -> BTreeMap<String, Vec<(String, u64)>> {
    let dump = borg.json(["debug", "dump-archive", &location(repository, archive), "-"]);
    let items = dump["_items"].as_array().expect("an archive has items").clone();
    let files = items.iter().filter_map(|item| {
        let chunks = item["chunks"].as_array()?.iter();
        let chunk = |chunk: &serde_json::Value| {
            (chunk[0].as_str().expect("an id").to_owned(), chunk[1].as_u64().expect("a size"))
        };
        Some((item["path"].as_str().expect("a path").to_owned(), chunks.map(chunk).collect()))
    });
    files.collect()
}

#[test]
fn gate_ours_and_stock_cut_alike() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    for mode in ["none", "repokey-blake2"].into_iter().take(gate::amount(1, 2)) {
        let (_folder, keeper) = place(mode);
        fs::create_dir(keeper.world()).unwrap();
        files(&keeper.world(), 1);
        let sample = gate::amount(4, PARAMS.len());
        for number in (0..sample).map(|number| number * PARAMS.len() / sample) {
            let (params, sparse) = PARAMS[number];
            if number >= LONG {
                files(&keeper.world(), 64);
            }
            // A series of its own, whose files cache knows nothing.
            let keeper = keeper.clone().with("WORLDKEEPER_NAME", format!("w{number}"));
            let mut args = vec!["backup", "--chunker-params", params];
            let mut options = vec!["--chunker-params", params, "--files-cache", "disabled"];
            if sparse {
                args.push("--sparse");
                options.push("--sparse");
            }
            let _ = keeper.run(&args);
            let ours = keeper.archives().into_iter().find(|name| name.starts_with(&format!("w{number}-"))).unwrap();
            let before = unique_chunks(&borg, &keeper.repository());
            let theirs = format!("stock-{number}");
            let _ = borg.create(&keeper.repository(), &theirs, &keeper.world(), &options);
            let case = format!("{mode}, {params}, sparse: {sparse}");
            let [ours, theirs] = [ours, theirs].map(|archive| chunks(&borg, &keeper.repository(), &archive));
            assert_eq!(ours.len(), 8, "{case}");
            for (path, chunks) in &theirs {
                let differs = ours[path].iter().zip(chunks).position(|(ours, theirs)| ours != theirs);
                assert!(ours[path] == *chunks, "{case}: {path} differs from chunk {differs:?} on");
            }
            // The metadata of the archive.
            assert_eq!(unique_chunks(&borg, &keeper.repository()), before + 1, "{case}");
        }
        borg.check(&keeper.repository());
    }
}

/// How many chunks all archives refer to, as stock counts them.
fn unique_chunks(borg: &Borg, repository: &Path) -> u64 {
    let info = borg.json(["info", "--json", &repository.display().to_string()]);
    info["cache"]["stats"]["total_unique_chunks"].as_u64().expect("borg info counts the chunks")
}

#[test]
fn a_terabyte_of_holes_is_not_read() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE);
    let (_folder, keeper) = place("repokey-blake2");
    fs::create_dir(keeper.world()).unwrap();
    let file = File::create(keeper.world().join("huge")).unwrap();
    file.write_all_at(&sha_stream("middle", 100_000), 1 << 39).unwrap();
    file.set_len(1 << 40).unwrap();
    let archive = keeper.backup();
    let listed = borg.run(["list", "--format", "{size} {num_chunks}{NL}", &location(&keeper.repository(), &archive)]);
    // Pieces of 8 MiB; the one with the data ends where the data say.
    let (size, chunks) =
        listed.lines().last().unwrap().split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(size, (1_u64 << 40).to_string());
    assert!((131_072..=131_074).contains(&chunks.parse::<u32>().unwrap()), "{chunks} chunks");
    let _ = borg.run(["check", &keeper.repository().display().to_string()]);
}
