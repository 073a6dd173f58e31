//! We write in every mode and with every compression; every stock borg lists, checks and extracts it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::tree::{self, assert_same};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, below};

use crate::{MODES, place};

const COMPRESSIONS: [&str; 9] = [
    "none",
    "lz4",
    "zstd,3",
    "zlib,6",
    "lzma,0",
    "auto,zstd,3",
    "auto,lzma,0",
    "obfuscate,1,zlib,6",
    "obfuscate,250,auto,zstd,3",
];

#[test]
fn in_mode_none() {
    stock_reads_what_we_write(MODES[0]);
}

#[test]
fn in_mode_repokey() {
    stock_reads_what_we_write(MODES[1]);
}

#[test]
fn in_mode_repokey_blake2() {
    stock_reads_what_we_write(MODES[2]);
}

#[test]
fn in_mode_authenticated() {
    stock_reads_what_we_write(MODES[3]);
}

#[test]
fn in_mode_authenticated_blake2() {
    stock_reads_what_we_write(MODES[4]);
}

#[test]
fn in_mode_keyfile() {
    stock_reads_what_we_write(MODES[5]);
}

#[test]
fn in_mode_keyfile_blake2() {
    stock_reads_what_we_write(MODES[6]);
}

/// One archive for each compression, all in one repository; the content of each is its own, so that each is compressed.
#[track_caller]
fn stock_reads_what_we_write(mode: &str) {
    let borgs = Borg::all();
    if borgs.is_empty() {
        return;
    }
    let (folder, mut keeper) = place(mode);
    let mut archives = Vec::new();
    for compression in COMPRESSIONS {
        let world = folder.path().join(compression.replace(',', "-"));
        tree::sample(&world, compression);
        if compression == "lz4" {
            tree::nasty(&world.join("nasty"));
            padded(&world.join("padded"));
        }
        keeper = keeper.with("BORG_COMPRESSION", compression).with("BACKUP_SOURCES", &world);
        archives.push((keeper.backup(), world));
    }

    for borg in borgs {
        let borg = borg.with_passphrase(PASSPHRASE);
        if mode.starts_with("keyfile") {
            let copy = folder.path().join("key");
            let _ = keeper.run([OsStr::new("key"), "export".as_ref(), copy.as_ref()]);
            let _ = borg.run([OsStr::new("key"), "import".as_ref(), keeper.repository().as_ref(), copy.as_ref()]);
        }
        let names = archives.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(borg.archives(&keeper.repository()), names, "{borg}");
        borg.check(&keeper.repository());
        for (name, world) in &archives {
            let target = folder.path().join("extracted");
            borg.extract(&keeper.repository(), name, &target);
            assert_same(world, &below(&target, world));
            fs::remove_dir_all(target).expect("what was extracted can be removed");
        }
    }
}

/// What a region file is made of, with lengths around those where the form that they are stored in changes.
fn padded(folder: &Path) {
    for noise in [0, 1, 13, 14, 15, 269, 270, 5000, 90_000] {
        for zeros in [63, 64, 279, 280, 281, 4000, 70_000] {
            let mut content = sha_stream(&format!("{noise} {zeros}"), noise);
            content.resize(noise + zeros, 0);
            tree::write(&folder.join(format!("{noise}-{zeros}")), &content);
        }
    }
}
