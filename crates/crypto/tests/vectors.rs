//! Everything that stock borg recorded about keys, in all seven modes: `vectors/crypto.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use worldkeeper_core::RepositoryId;
use worldkeeper_crypto::tam::{self, Context, Tam, TamError};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob, KeyBlobError, KeyFile, KeyStorage};
use worldkeeper_testkit::fixtures;

#[derive(Deserialize)]
struct Vectors {
    repository_id: String,
    modes: BTreeMap<String, Mode>,
    key_blobs: Vec<Blob>,
}

#[derive(Deserialize)]
struct Mode {
    type_byte: u8,
    key_storage: String,
    keys: Option<Keys>,
    objects: Vec<Sealed>,
    ids: Ids,
    tam: Vec<TamExample>,
}

#[derive(Deserialize)]
struct Keys {
    enc_key: String,
    enc_hmac_key: String,
    id_key: String,
    chunk_seed: i32,
}

#[derive(Deserialize)]
struct Sealed {
    plaintext: String,
    payload_hex: String,
    id: String,
    nonce: Option<String>,
    next_nonce: Option<String>,
    object_hex: String,
}

#[derive(Deserialize)]
#[expect(non_snake_case, reason = "named as in the fixture")]
struct Ids {
    empty: String,
    zeros_1MiB: String,
}

#[derive(Deserialize)]
struct TamExample {
    context: String,
    salt: String,
    packed_hex: String,
    id_if_archive: String,
}

#[derive(Deserialize)]
struct Blob {
    mode: String,
    passphrase: String,
    iterations: u32,
    salt: String,
    base64_lines: Vec<String>,
    keyfile_text: String,
    config_value_text: String,
}

fn vectors() -> Vectors {
    fixtures::json("vectors/crypto.json")
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

impl Vectors {
    fn repository_id(&self) -> RepositoryId {
        self.repository_id.parse().unwrap()
    }

    /// The recorded key of each mode, made by drawing the recorded bytes.
    fn keys(&self) -> impl Iterator<Item = (Key, &Mode)> {
        self.modes.iter().map(|(name, recorded)| {
            let mode = name.parse().unwrap();
            let drawn = recorded.keys.as_ref().map_or_else(Vec::new, |keys| {
                let seed = keys.chunk_seed.to_be_bytes().to_vec();
                [unhex(&keys.enc_key), seed, unhex(&keys.enc_hmac_key), unhex(&keys.id_key)].into()
            });
            let mut drawn = drawn.into_iter();
            let mut random = |buffer: &mut [u8]| {
                let bytes = drawn.next().expect("nothing else is drawn");
                // The rest of a BLAKE2b key is zeros.
                assert!(bytes[buffer.len()..].iter().all(|byte| *byte == 0));
                buffer.copy_from_slice(&bytes[..buffer.len()]);
            };
            let key = Key::generate(mode, self.repository_id(), &mut random);
            assert!(drawn.next().is_none(), "{mode} draws everything");
            (key, recorded)
        })
    }
}

fn plaintext(name: &str) -> Vec<u8> {
    match name {
        "short" => b"hello, borg".to_vec(),
        "text" => b"The quick brown fox jumps over the lazy dog. ".repeat(20),
        "random100" => fixtures::sha_stream("borg-vector:pt", 100),
        other => panic!("unknown plaintext {other}"),
    }
}

#[test]
fn modes_are_as_recorded() {
    let vectors = vectors();
    assert_eq!(vectors.modes.len(), EncryptionMode::ALL.len());
    for mode in EncryptionMode::ALL {
        let recorded = &vectors.modes[mode.name()];
        assert_eq!(mode.type_byte(), recorded.type_byte, "{mode}");
        let storage = match recorded.key_storage.as_str() {
            "no_storage" => KeyStorage::Nowhere,
            "keyfile" => KeyStorage::KeyFile,
            "repository" => KeyStorage::Repository,
            other => panic!("unknown storage {other}"),
        };
        assert_eq!(mode.key_storage(), storage, "{mode}");
    }
}

#[test]
fn ids_are_as_recorded() {
    for (key, recorded) in vectors().keys() {
        assert_eq!(key.id_hash(b"").to_string(), recorded.ids.empty, "{key:?}");
        assert_eq!(key.id_hash(&vec![0; 1 << 20]).to_string(), recorded.ids.zeros_1MiB, "{key:?}");
        assert_eq!(key.chunk_seed(), recorded.keys.as_ref().map_or(0, |keys| keys.chunk_seed));
        for object in &recorded.objects {
            let id = object.id.parse().unwrap();
            assert_eq!(key.verify_id(&id, &plaintext(&object.plaintext)), Ok(()), "{key:?}");
            assert!(key.verify_id(&id, b"something else").is_err());
        }
    }
}

#[test]
fn objects_are_sealed_and_opened_as_recorded() {
    for (key, recorded) in vectors().keys() {
        assert_eq!(recorded.objects.len(), 7);
        for recorded in &recorded.objects {
            let (payload, object) = (unhex(&recorded.payload_hex), unhex(&recorded.object_hex));
            assert_eq!(EncryptionMode::of_object(&object), Ok(key.mode()));
            assert_eq!(key.open(&object).unwrap(), payload, "{key:?}");
            let mut reused = b"what an earlier object left".repeat(100);
            key.open_into(&object, &mut reused).unwrap();
            assert_eq!(reused, payload, "{key:?}");

            let nonce = recorded.nonce.as_ref().map_or(0, |nonce| nonce.parse().unwrap());
            let mut sealed = [vec![0xaa; key.overhead()], payload.clone()].concat();
            key.seal(nonce, &mut sealed);
            assert_eq!(sealed, object, "{key:?}");

            let used = recorded.next_nonce.as_ref().map_or(0, |next| next.parse::<u64>().unwrap() - nonce);
            assert_eq!(key.blocks(payload.len()), used, "{key:?}");
            assert_eq!(
                key.nonce_after(&object),
                recorded.nonce.is_some().then(|| nonce.saturating_add((object.len() as u64).div_ceil(16)))
            );
        }
    }
}

#[test]
fn tams_are_made_and_verified_as_recorded() {
    for (key, recorded) in vectors().keys() {
        for example in &recorded.tam {
            let context = match example.context.as_str() {
                "manifest" => Context::Manifest,
                "archive" => Context::Archive,
                other => panic!("unknown context {other}"),
            };
            let (packed, salt) = (unhex(&example.packed_hex), unhex(&example.salt));
            assert_eq!(key.id_hash(&packed).to_string(), example.id_if_archive);
            assert_eq!(tam::verify(&key, context, &packed), Ok(Tam::Valid { salt: salt.clone() }), "{key:?}");

            let other = if context == Context::Archive { Context::Manifest } else { Context::Archive };
            assert_eq!(tam::verify(&key, other, &packed), Err(TamError::Invalid), "{key:?}, in another context");
            for at in [3, packed.len() / 2, packed.len() - 1] {
                let mut changed = packed.clone();
                changed[at] ^= 1;
                assert!(tam::verify(&key, context, &changed).is_err(), "{key:?}, byte {at} changed");
            }

            // Made anew: the value of `tam` lies between what is in front of it and what follows.
            let at = packed.windows(4).position(|window| window == b"\xa3tam").unwrap() + 4;
            let mut encoder = worldkeeper_core::msgpack::Encoder::append_to(packed[..at].to_vec());
            let unsigned = tam::Unsigned::encode(salt.try_into().unwrap(), &mut encoder);
            let end = encoder.len();
            encoder.packed(&packed[end..]);
            let mut made = encoder.finish();
            unsigned.sign(&key, context, &mut made);
            assert_eq!(made, packed, "{key:?}");
        }
    }
}

#[test]
fn key_blobs_are_opened_as_recorded() {
    let vectors = vectors();
    for recorded in &vectors.key_blobs {
        let mode: EncryptionMode = recorded.mode.parse().unwrap();
        let text = recorded.base64_lines.join("\n");
        let blob: KeyBlob = text.parse().unwrap();
        assert_eq!(blob.to_string(), text);

        let key = blob.open(mode, &recorded.passphrase).unwrap();
        assert_eq!(key.repository_id(), Some(vectors.repository_id()));
        assert_eq!(key.tam_required(), Some(true));
        for object in &vectors.modes[&recorded.mode].objects {
            assert_eq!(key.open(&unhex(&object.object_hex)).unwrap(), unhex(&object.payload_hex));
        }
        assert_eq!(blob.open(mode, "something else").unwrap_err(), KeyBlobError::WrongPassphrase);

        let in_config = recorded.config_value_text.strip_prefix("key = ").unwrap();
        assert_eq!(in_config.parse(), Ok(blob.clone()));
        let key_file: KeyFile = recorded.keyfile_text.parse().unwrap();
        assert_eq!(key_file.to_string(), recorded.keyfile_text);
        assert_eq!(key_file, KeyFile { repository_id: vectors.repository_id(), blob });
    }
}

#[test]
fn key_blobs_are_sealed_as_recorded() {
    let mut sealed = 0;
    // Nobody writes blobs with fewer iterations.
    for recorded in vectors().key_blobs.iter().filter(|recorded| recorded.iterations == 100_000) {
        let text = recorded.base64_lines.join("\n");
        let key = text.parse::<KeyBlob>().unwrap().open(recorded.mode.parse().unwrap(), &recorded.passphrase).unwrap();
        let blob = KeyBlob::seal(&key, &recorded.passphrase, &mut |salt| salt.copy_from_slice(&unhex(&recorded.salt)));
        assert_eq!(blob.to_string(), text);
        sealed += 1;
    }
    assert_eq!(sealed, 4);
}

#[test]
fn the_keys_of_recorded_repositories_are_opened() {
    #[derive(Deserialize)]
    struct Recorded {
        passphrase: String,
        repository_id: String,
        key_export: String,
        key: RepositoryKey,
        manifest: Packed,
    }
    #[derive(Deserialize)]
    struct RepositoryKey {
        chunk_seed: i32,
    }
    #[derive(Deserialize)]
    struct Packed {
        packed_hex: String,
    }

    for borg in ["1.2.4", "1.4.5"] {
        let recorded: Recorded = fixtures::json(&format!("vectors/repos/repokey-blake2-borg{borg}.json"));
        let key_file: KeyFile = recorded.key_export.parse().unwrap();
        assert_eq!(key_file.repository_id.to_string(), recorded.repository_id);
        let key = key_file.blob.open(EncryptionMode::RepokeyBlake2, &recorded.passphrase).unwrap();
        assert_eq!(key.chunk_seed(), recorded.key.chunk_seed);
        let manifest = unhex(&recorded.manifest.packed_hex);
        assert!(matches!(tam::verify(&key, Context::Manifest, &manifest), Ok(Tam::Valid { .. })));
    }
}
