//! What is said of repositories and archives is what stock says of them, to the byte.

use std::fs;

use serde_json::Value;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::tree;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};

use crate::{place, sharing_keys};

fn ours(keeper: &Worldkeeper, words: &[&str]) -> Value {
    let text = keeper.run(["info", "--json"].iter().chain(words)).lines().join("\n");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn figures_are_those_of_stock() {
    for (borg, mode) in Borg::all().into_iter().zip(["repokey-blake2", "keyfile"]) {
        let borg = borg.with_passphrase(PASSPHRASE).warmed();
        let (_folder, keeper) = place(mode);
        let keeper = sharing_keys(keeper, &borg);
        let (repository, world) = (keeper.repository(), keeper.world());
        tree::sample(&world, "told");
        tree::nasty(&world.join("nasty"));
        fs::write(world.join("twice"), "said twice ".repeat(200_000)).expect("a file can be written");
        borg.init(&repository, mode);
        let options = ["--comment", "it's \"first\"", "--chunker-params", "buzhash,10,16,12,4095", "-C", "zstd"];
        let _ = borg.create(&repository, "theirs", &world, &options);
        fs::remove_file(world.join("twice")).expect("a file can be removed");
        let _ = borg.create(&repository, "second", &world, &[]);
        let name = keeper.backup();

        let stock = borg.json(["info".as_ref(), "--json".as_ref(), repository.as_os_str()]);
        let told = ours(&keeper, &[]);
        for key in ["repository", "encryption"] {
            assert_eq!(told[key], stock[key], "{borg}");
        }
        assert_eq!(told["cache"]["stats"], stock["cache"]["stats"], "{borg}");
        for (key, value) in stock.as_object().expect("it is an object") {
            assert_eq!(told[key].is_string(), value.is_string(), "{borg}: {key}");
        }
        let stock = borg.json(["info".as_ref(), "--json".as_ref(), "--last=3".as_ref(), repository.as_os_str()]);
        let told = ours(&keeper, &["--last", "3"]);
        assert_eq!(told["cache"]["stats"], stock["cache"]["stats"], "{borg}");
        let archives = |document: &Value| document["archives"].as_array().expect("there is a list").clone();
        let (told, stock) = (archives(&told), archives(&stock));
        // Whoever made them has one name.
        for key in ["username", "hostname"] {
            assert_eq!(stock[2][key], stock[0][key], "{borg}");
        }
        assert_eq!(told.iter().map(|about| &about["name"]).collect::<Vec<_>>(), ["theirs", "second", &name], "{borg}");
        for (told, mut stock) in told.into_iter().zip(stock) {
            if borg.version().starts_with("1.2.") {
                // It counts the archive's own object and the list of its items in, and knows no working directory.
                stock["stats"]["deduplicated_size"] = told["stats"]["deduplicated_size"].clone();
                stock["cwd"] = told["cwd"].clone();
            }
            assert_eq!(told, stock, "{borg}");
        }
        let _ = keeper.run(["info"]).says(&[mode, "append-only no", "quota none", "all archives"]);
        let _ = keeper.run(["info", "theirs"]).says(&[r#"'it'"'"'s "first"'"#, "this archive", "comment"]);
        let _ = keeper.try_run(["info", "nothing"]).exits(2).says(&["there is no archive nothing"]);
    }
}
