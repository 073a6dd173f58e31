//! What the inputs are made from: recordings of stock borg.

use serde_json::Value;
use worldkeeper_testkit::fixtures::{self, sha_stream};
use worldkeeper_testkit::repositories::{self, Copy};
use worldkeeper_testkit::worlds;

/// Recorded inputs of a target.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "msgpack" => [hexes("crypto", "blob_msgpack_hex"), manifests(), files("hints.")].concat(),
        "segment" => files("data/"),
        "index" | "hints" | "integrity" => files(&format!("{target}.")),
        "config" => files("config"),
        "roster" => {
            texts(&[r#"{"shared": [["host@1", 4711, 0], ["a@b", 1, 99]], "exclusive": [["host@1", 1, 0]]}"#, "{}"])
        }
        "object" => [hexes("crypto", "object_hex"), hexes("crypto", "payload_hex")].concat(),
        "tam" => [manifests(), archives()].concat(),
        "key_blob" => strings("crypto", "keyfile_text").iter().map(|text| text[FIRST_LINE..].to_vec()).collect(),
        "key_file" => strings("crypto", "keyfile_text"),
        "paper" => vec![fixtures::json::<Value>("vectors/crypto.json")["paper_key"]["text"].as_str().unwrap().into()],
        "payload" => hexes("compression", "stored_hex"),
        "compression" => [strings("compression", "spec"), texts(&["obfuscate,110,auto,zstd,22"])].concat(),
        "chunker_params" => {
            texts(&["buzhash,19,23,21,4095", "10,16,12,4095", "fixed,65536", "fixed,4096,512", "default"])
        }
        "item" => items(),
        "item_stream" => items().chunks(7).map(|items| [&[37][..], &items.concat()].concat()).collect(),
        "manifest" => manifests(),
        "archive" => archives(),
        "patterns" => patterns(),
        "worlds" => files_of_worlds(),
        "plans" => files_to_cut(),
        "rpc_client" => messages("server->client", "hex"),
        "rpc_server" => messages("client->server", "hex"),
        "rpc_stderr" => messages("server stderr", "line"),
        "known_hosts" => texts(&KNOWN_HOSTS),
        other => panic!("there are no recordings for {other}"),
    }
}

/// Of a key file: `BORG_KEY `, an id, a newline.
const FIRST_LINE: usize = 9 + 64 + 1;

/// Made with `ssh-keygen` of OpenSSH 9.2, its `-H` too.
const KNOWN_HOSTS: [&str; 3] = [
    "# pinned\n[host.example.org]:2222 ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIBz/ba0cdoU34DVsdrWICFqUY1aVJvVfMEIRLGtFZ1+z root@host\n",
    "|1|cR7+0uHq1UUMbt9X/xl0YDXqilc=|Zt12b9JU/T81X0EpRJRynPGSkQk= ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIFqkGT1tJ5nbjT/5e+GWB/cRJu0fEAU6VCYy7R/N+oDG\n",
    "@cert-authority *.example.org,!bad?.example.org,[*]:2222 ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIBz/ba0cdoU34DVsdrWICFqUY1aVJvVfMEIRLGtFZ1+z\n@revoked * ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIFqkGT1tJ5nbjT/5e+GWB/cRJu0fEAU6VCYy7R/N+oDG\n",
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The files of the recorded repositories whose paths begin so; of the segments, those that are not long.
fn files(prefix: &str) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for name in repositories::NAMES {
        let copy = Copy::of(name);
        let mut folders = vec![copy.path()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.strip_prefix(copy.path()).unwrap().to_str().unwrap().starts_with(prefix) {
                    files.push(std::fs::read(path).unwrap());
                }
            }
        }
    }
    files.retain(|file| file.len() < 50_000);
    files
}

fn recordings() -> Vec<Value> {
    repositories::NAMES.iter().map(|name| fixtures::json(&format!("vectors/repos/{name}.json"))).collect()
}

fn manifests() -> Vec<Vec<u8>> {
    recordings().iter().map(|recording| bytes(&recording["manifest"]["packed_hex"])).collect()
}

fn items() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for recording in recordings() {
        collect(&recording["archives"], "packed_hex", &mut found);
    }
    found.iter().map(bytes).collect()
}

fn archives() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for recording in recordings() {
        collect(&recording["archives"], "metadata_packed_hex", &mut found);
    }
    found.iter().map(bytes).collect()
}

fn patterns() -> Vec<Vec<u8>> {
    let misc: Value = fixtures::json("vectors/misc.json");
    let mut found = Vec::new();
    collect(&misc["patterns_from"], "patterns_from", &mut found);
    let lines =
        |list: &Value| list.as_array().unwrap().iter().flat_map(|line| [line.as_str().unwrap(), "\n"]).collect();
    let mut seeds: Vec<String> = found.iter().map(lines).collect();
    let mut single = Vec::new();
    collect(&misc["pattern_match"], "pattern", &mut single);
    seeds.extend(single.iter().map(|pattern| format!("- {}\n", pattern.as_str().unwrap())));
    seeds.push("R /srv/world\n! re:^(a|b)+[^/]*\\.(dat|mca)$\n+ sh:**/region/*.mca\n".to_owned());
    seeds.into_iter().map(|seed| format!("{seed}home/u/file.txt").into_bytes()).collect()
}

/// Files as games write them, behind what picks a name for them and the length of the pieces they come in.
fn files_of_worlds() -> Vec<Vec<u8>> {
    let (region, level) = (worlds::region("fuzz", 24_000), worlds::gzip(&sha_stream("fuzz", 900)));
    let (database, current) = (worlds::sqlite(512, 4), b"MANIFEST-000001\n".to_vec());
    let files = [&region, &region, &level, &level, &database, &current, &current, &level];
    files.into_iter().enumerate().map(|(kind, file)| [&[kind as u8, 40][..], file].concat()).collect()
}

/// Files that games write in place, behind what picks a name for them, how they were cut before, and how full it is.
fn files_to_cut() -> Vec<Vec<u8>> {
    let (region, database) = (worlds::region("plans", 24_000), worlds::sqlite(4096, 3));
    let known = (0..4).flat_map(|is_full| [[0, 8, is_full], [4, 8, is_full]]);
    known.map(|known| [&known[..], if known[0] == 0 { &region[..] } else { &database[..] }].concat()).collect()
}

/// What was said in a session in one direction, and how its bytes are to be cut in front of it.
fn messages(direction: &str, key: &str) -> Vec<Vec<u8>> {
    let recording: Value = fixtures::json("vectors/rpc/borg1.4.5-check.json");
    let all = recording["messages"].as_array().expect("a session has messages").iter();
    let texts = all.filter(|message| message["dir"] == direction).filter_map(|message| message[key].as_str());
    match key {
        "hex" => texts.map(|text| [&[7][..], &hex::decode(text).expect("it is hex")].concat()).collect(),
        _ => texts.map(|text| format!("{text}\n").into_bytes()).collect(),
    }
}

/// The values of a key, wherever it stands in a recording, as text.
fn strings(recording: &str, key: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(&fixtures::json(&format!("vectors/{recording}.json")), key, &mut found);
    found.iter().filter_map(|value| Some(value.as_str()?.as_bytes().to_vec())).collect()
}

/// The same, from hex.
fn hexes(recording: &str, key: &str) -> Vec<Vec<u8>> {
    strings(recording, key).into_iter().filter_map(|text| hex::decode(text).ok()).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("hex is text")).expect("it is hex")
}

fn collect(value: &Value, key: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if name == key {
                    found.push(value.clone());
                } else {
                    collect(value, key, found);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, key, found)),
        _ => {}
    }
}
