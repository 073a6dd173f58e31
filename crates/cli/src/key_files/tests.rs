use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlob};
use worldkeeper_repository::OsDisk;
use worldkeeper_testkit::disk::{Fault, MemoryDisk};

use super::*;

const ID: RepositoryId = RepositoryId([7; 32]);

fn key_file(repository_id: RepositoryId, passphrase: &str) -> KeyFile {
    let key = Key::generate(EncryptionMode::Keyfile, repository_id, &mut |bytes| bytes.fill(1));
    KeyFile { repository_id, blob: KeyBlob::seal(&key, passphrase, &mut |salt| salt.fill(2)) }
}

fn key_files(variables: &[(&str, &Path)]) -> KeyFiles {
    let environment = variables.iter().map(|(name, path)| (*name, path.as_os_str())).collect();
    KeyFiles::new(Arc::new(OsDisk), &environment, Path::new("/state"))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn they_are_where_stock_has_them() {
    let place = |variables: &[(&str, &str)]| {
        let variables: Vec<_> = variables.iter().map(|(name, path)| (*name, Path::new(path))).collect();
        key_files(&variables).place().to_str().unwrap().to_owned()
    };
    let all = [
        ("BORG_KEY_FILE", "/file"),
        ("BORG_KEYS_DIR", "/keys"),
        ("BORG_CONFIG_DIR", "/config"),
        ("BORG_BASE_DIR", "/base"),
        ("XDG_CONFIG_HOME", "/xdg"),
        ("HOME", "/home/me"),
    ];
    let expected =
        ["/file", "/keys", "/config/keys", "/base/.config/borg/keys", "/xdg/borg/keys", "/home/me/.config/borg/keys"];
    for (index, expected) in expected.into_iter().enumerate() {
        assert_eq!(place(&all[index..]), expected);
    }
    assert_eq!(place(&[]), "/state/keys");
}

#[test]
fn names_are_those_of_stock() {
    // Each made by stock's `Location.to_key_filename`.
    for (location, name) in [
        ("/srv/borg", "srv_borg"),
        ("/srv/my world.borg/", "srv_my_world_borg"),
        ("/übung/ß_1", "übung_ß_1"),
        (&format!("/{}", "x/".repeat(80)), &"x_".repeat(50)),
    ] {
        assert_eq!(name_of(location), name);
    }
}

#[test]
fn a_key_is_found_by_its_first_line_and_replaced_where_it_is() {
    let folder = folder();
    let keys = folder.path().join("config/keys");
    let key_files = key_files(&[("BORG_KEYS_DIR", &keys)]);
    assert_eq!(key_files.find(ID).unwrap(), None);

    let other = key_file(RepositoryId([8; 32]), "p");
    key_files.save(&other, "/srv/borg").unwrap();
    let first = key_file(ID, "p");
    key_files.save(&first, "/srv/borg").unwrap();
    assert_eq!(key_files.find(ID).unwrap().as_ref(), Some(&first));
    assert_eq!(fs::read_to_string(keys.join("srv_borg.2")).unwrap(), first.to_string());
    assert_eq!(fs::metadata(keys.join("srv_borg.2")).unwrap().permissions().mode() & 0o7777, 0o600);

    fs::rename(keys.join("srv_borg.2"), keys.join("any name")).unwrap();
    fs::write(keys.join("a picture"), [0xff; 99]).unwrap();
    fs::create_dir(keys.join("a folder")).unwrap();
    let second = key_file(ID, "another");
    key_files.save(&second, "/srv/borg").unwrap();
    assert_eq!(fs::read_to_string(keys.join("any name")).unwrap(), second.to_string());
    assert_eq!(key_files.find(other.repository_id).unwrap(), Some(other));
}

#[test]
fn a_damaged_key_is_said_to_be_unless_a_whole_one_is_there() {
    let folder = folder();
    let key_files = key_files(&[("BORG_KEYS_DIR", folder.path())]);
    let text = key_file(ID, "p").to_string();
    fs::write(folder.path().join("a.tmp"), &text[..90]).unwrap();
    assert_eq!(key_files.find(ID).unwrap(), None, "it was never finished");
    fs::write(folder.path().join("a"), &text[..90]).unwrap();
    assert!(matches!(key_files.find(ID), Err(KeyStoreError::Damaged { .. })));
    fs::write(folder.path().join("b"), &text).unwrap();
    assert_eq!(key_files.find(ID).unwrap(), Some(key_file(ID, "p")));
    fs::remove_file(folder.path().join("b")).unwrap();
    key_files.save(&key_file(ID, "p"), "/srv/borg").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), text, "put back from a copy");
}

#[test]
fn the_one_file_that_is_named_is_never_taken_from_another_repository() {
    let folder = folder();
    let file = folder.path().join("the key");
    let key_files = key_files(&[("BORG_KEY_FILE", &file)]);
    assert_eq!(key_files.find(ID).unwrap(), None);
    for content in [key_file(RepositoryId([8; 32]), "p").to_string(), "my diary".to_owned()] {
        fs::write(&file, &content).unwrap();
        assert!(matches!(key_files.find(ID), Err(KeyStoreError::NotTheKey { .. })));
        let refused = key_files.save(&key_file(ID, "p"), "/srv/borg");
        assert!(matches!(refused, Err(KeyStoreError::NotTheKey { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
    fs::remove_file(&file).unwrap();
    key_files.save(&key_file(ID, "p"), "/srv/borg").unwrap();
    assert_eq!(key_files.find(ID).unwrap(), Some(key_file(ID, "p")));
}

/// Whatever call of the disk fails, and whatever is left when the power goes, the key is there: the old one or the new one.
#[test]
fn a_key_file_is_replaced_or_it_is_not() {
    let (old, new) = (key_file(ID, "old"), key_file(ID, "new"));
    let environment = [("BORG_KEYS_DIR", Path::new("/keys").as_os_str())].into_iter().collect();
    let open = |disk: &MemoryDisk| KeyFiles::new(Arc::new(disk.clone()), &environment, Path::new("/state"));
    let found = |disk: &MemoryDisk| open(disk).find(ID).unwrap().expect("there is a key");
    let mut points = 0;
    for for_ever in [false, true] {
        for call in 1.. {
            let disk = MemoryDisk::new();
            open(&disk).save(&old, "/repository").unwrap();
            disk.fail(Some(Fault { call, kind: ErrorKind::Other, for_ever }));
            let saved = open(&disk).save(&new, "/repository");
            let calls = disk.calls();
            disk.fail(None);
            let mut left = vec![disk.after_kill()];
            left.extend((0..50).map(|seed| disk.after_power_failure(seed)));
            for disk in &left {
                let found = found(disk);
                assert!(found == new || found == old && saved.is_err(), "call {call}, for ever: {for_ever}");
                // The next change is not kept from it by what the last one left.
                open(disk).save(&new, "/repository").unwrap();
                assert_eq!(open(disk).find(ID).unwrap(), Some(new.clone()));
            }
            points += left.len();
            if calls < call {
                break;
            }
        }
    }
    assert!(points > 400, "{points}");
}
