//! Every manifest, archive and item of the recorded repositories, read and written again byte for byte.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;
use worldkeeper_archive::{ArchiveMetadata, Item, ItemReader, Manifest, Operation, TamPolicy};
use worldkeeper_core::msgpack::Encoder;
use worldkeeper_core::time;
use worldkeeper_crypto::tam::Tam;
use worldkeeper_crypto::{EncryptionMode, Key, KeyFile};
use worldkeeper_testkit::fixtures;

#[derive(Deserialize)]
struct Repository {
    encryption: String,
    passphrase: Option<String>,
    key_export: Option<String>,
    manifest: RecordedManifest,
    archives: BTreeMap<String, RecordedArchive>,
}

#[derive(Deserialize)]
struct RecordedManifest {
    packed_hex: String,
    decoded: Json,
}

#[derive(Deserialize)]
struct RecordedArchive {
    id: String,
    metadata_packed_hex: String,
    metadata: Json,
    items: Vec<RecordedItem>,
}

#[derive(Deserialize)]
struct RecordedItem {
    packed_hex: String,
    decoded: BTreeMap<String, Json>,
}

fn repositories() -> impl Iterator<Item = (&'static str, Repository, Key)> {
    ["none-borg1.2.4", "none-borg1.4.5", "repokey-blake2-borg1.2.4", "repokey-blake2-borg1.4.5"].into_iter().map(
        |name| {
            let repository: Repository = fixtures::json(&format!("vectors/repos/{name}.json"));
            let mode: EncryptionMode = repository.encryption.parse().unwrap();
            let key = match &repository.key_export {
                Some(text) if mode != EncryptionMode::None => {
                    let key_file: KeyFile = text.parse().unwrap();
                    key_file.blob.open(mode, repository.passphrase.as_ref().unwrap()).unwrap()
                }
                _ => Key::plaintext(),
            };
            (name, repository, key)
        },
    )
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// The bytes of a recorded string: text where it is printable, else `{"hex": …}`.
fn bytes(json: &Json) -> Vec<u8> {
    match json {
        Json::String(text) => text.clone().into(),
        other => unhex(other["hex"].as_str().unwrap()),
    }
}

fn salt(tam: Tam) -> [u8; 64] {
    let Tam::Valid { salt } = tam else { panic!("stock's TAMs are valid") };
    salt.try_into().unwrap()
}

#[test]
fn manifests() {
    for (name, repository, key) in repositories() {
        let packed = unhex(&repository.manifest.packed_hex);
        let (mut manifest, tam) = Manifest::decode(&key, &packed, TamPolicy::Required).unwrap();

        let recorded = &repository.manifest.decoded;
        let archives = recorded["archives"].as_object().unwrap();
        assert_eq!(manifest.archives.len(), archives.len(), "{name}");
        for (archive, entry) in &manifest.archives {
            let recorded = &archives[archive.as_str().unwrap()];
            assert_eq!(entry.id.0.to_vec(), bytes(&recorded["id"]));
            assert_eq!(time::to_text(entry.time), recorded["time"].as_str().unwrap());
            assert_eq!(entry.id.to_string(), repository.archives[archive.as_str().unwrap()].id);
        }
        assert_eq!(manifest.tam_required(), key.mode() != EncryptionMode::None, "{name}");
        assert_eq!(manifest.item_keys.len(), 23, "{name}");
        for operation in [Operation::Read, Operation::Check, Operation::Write, Operation::Delete] {
            assert_eq!(manifest.check_features(operation), Ok(()));
        }

        let written = manifest.timestamp.take().unwrap();
        assert_eq!(manifest.write(&key, &salt(tam), written).unwrap(), packed, "{name}");
    }
}

#[test]
fn archive_metadata() {
    let mut archives = 0;
    for (name, repository, key) in repositories() {
        for (archive, recorded) in &repository.archives {
            let packed = unhex(&recorded.metadata_packed_hex);
            assert_eq!(key.id_hash(&packed).to_string(), recorded.id);
            let (metadata, tam) = ArchiveMetadata::decode(&key, &packed).unwrap();
            assert_eq!(metadata.encode(&key, &salt(tam)), packed, "{archive} of {name}");

            assert_eq!(metadata.name.as_str(), Some(archive.as_str()));
            assert_eq!(metadata.unknown, []);
            let recorded = &recorded.metadata;
            assert_eq!(time::to_text(metadata.time), recorded["time"].as_str().unwrap());
            assert_eq!(metadata.nfiles, recorded["nfiles"].as_u64());
            assert_eq!(metadata.csize, recorded["csize"].as_u64());
            assert_eq!(metadata.comment, Some(bytes(&recorded["comment"])));
            let cmdline: Vec<_> = recorded["cmdline"].as_array().unwrap().iter().map(bytes).collect();
            assert_eq!(metadata.cmdline, cmdline);
            archives += 1;
        }
    }
    assert_eq!(archives, 16);
}

#[test]
fn items() {
    let mut items = 0;
    for (name, repository, _) in repositories() {
        for (archive, recorded) in &repository.archives {
            for recorded in &recorded.items {
                let packed = unhex(&recorded.packed_hex);
                let item = Item::decode(&packed).unwrap();
                let mut encoder = Encoder::new();
                item.encode(&mut encoder);
                assert_eq!(encoder.finish(), packed, "{archive} of {name}: {:?}", recorded.decoded);
                matches(&item, &recorded.decoded);
                items += 1;
            }
        }
    }
    assert_eq!(items, 4 * (3 * 14 + 3));
}

fn matches(item: &Item, recorded: &BTreeMap<String, Json>) {
    for (key, value) in recorded {
        let integer = || i64::try_from(value.as_u64().unwrap()).unwrap();
        match key.as_str() {
            "_path_hex" => assert_eq!(item.path, unhex(value.as_str().unwrap())),
            "path" => {}
            "mode" => assert_eq!(i64::from(item.mode), integer()),
            "uid" => assert_eq!(item.uid, integer()),
            "gid" => assert_eq!(item.gid, integer()),
            "user" => assert_eq!(item.user, Some(bytes(value))),
            "group" => assert_eq!(item.group, Some(bytes(value))),
            "mtime" => assert_eq!(item.mtime_ns, integer()),
            "ctime" => assert_eq!(item.ctime_ns, Some(integer())),
            "atime" => assert_eq!(item.atime_ns, Some(integer())),
            "size" => assert_eq!(item.size, value.as_u64()),
            "rdev" => assert_eq!(item.rdev, value.as_u64()),
            "source" => assert_eq!(item.source, Some(bytes(value))),
            "hardlink_master" => assert_eq!(item.hardlink_master, value.as_bool()),
            "chunks" => {
                let chunks = item.chunks.as_ref().unwrap();
                assert_eq!(chunks.len(), value.as_array().unwrap().len());
                for (chunk, recorded) in chunks.iter().zip(value.as_array().unwrap()) {
                    assert_eq!(chunk.id.0.to_vec(), bytes(&recorded[0]));
                    assert_eq!(
                        (Some(chunk.size.into()), Some(chunk.csize.into())),
                        (recorded[1].as_u64(), recorded[2].as_u64())
                    );
                }
            }
            "xattrs" => {
                let xattrs = item.xattrs.as_ref().unwrap();
                let recorded = value.as_object().unwrap();
                assert_eq!(xattrs.len(), recorded.len());
                for (name, value) in xattrs {
                    let recorded = &recorded[str::from_utf8(name).unwrap()];
                    assert_eq!(*value, if recorded.is_null() { Vec::new() } else { bytes(recorded) });
                }
            }
            other => panic!("no test for {other}"),
        }
    }
    assert_eq!(item.unknown, []);
}

#[test]
fn item_streams_in_pieces_of_any_size() {
    for (_, repository, _) in repositories() {
        let recorded = &repository.archives["first"].items;
        let packed: Vec<_> = recorded.iter().map(|item| unhex(&item.packed_hex)).collect();
        let expected: Vec<_> = packed.iter().map(|packed| Item::decode(packed).unwrap()).collect();
        let stream = packed.concat();
        for len in [1, 2, 7, 100, 1000, stream.len()] {
            let mut reader = ItemReader::new();
            let mut items = Vec::new();
            for piece in stream.chunks(len) {
                reader.push(piece);
                while let Some(item) = reader.next_item().unwrap() {
                    items.push(item);
                }
            }
            assert_eq!(items, expected, "in pieces of {len}");
            assert_eq!(reader.finish(), Ok(()));
        }
    }
}
