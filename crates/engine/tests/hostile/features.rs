//! Features that are mandatory for some operations, and unknown here: others go on.

use worldkeeper_archive::{ArchiveName, ManifestError};
use worldkeeper_core::msgpack::Value;
use worldkeeper_engine::{EditError, RecreateOptions, Recreater, SessionError, Silent, rename};

use crate::house::House;

impl House {
    fn forbid(&self, operation: &str) {
        let map = |key: &str, value| Value::Map(vec![(Value::Raw(key.into()), value)]);
        let features = map("mandatory", Value::Array(vec![Value::Raw("unheard-of".into())]));
        self.change_manifest(|manifest| {
            manifest.config.insert(b"feature_flags".to_vec(), map(operation, features));
        });
    }
}

/// As stock does.
#[test]
fn what_forbids_to_check_forbids_to_rename_and_recreate() {
    let house = House::new();
    house.forbid("check");
    let before = house.repository.store().objects.clone();
    let mut session = house.open().unwrap();
    let [name, _] = &house.archives;
    let renamed = rename(&mut session, name, &"renamed".parse().unwrap(), &Silent);
    let options = RecreateOptions { comment: Some("made anew".into()), ..RecreateOptions::default() };
    let recreated = Recreater::new(&options).recreate(&mut session, name, None, &mut |_, _| {}, &Silent).map(drop);
    for refused in [renamed, recreated] {
        let is_named = matches!(
            &refused,
            Err(EditError::Session(SessionError::Manifest(ManifestError::UnsupportedFeatures(names)))) if names == &["unheard-of"]
        );
        assert!(is_named, "{refused:?}");
    }
    assert!(house.repository.store().objects == before);
    drop(session);
    house.backup().unwrap();
}

#[test]
fn what_forbids_to_delete_keeps_the_checkpoints_of_earlier_runs() {
    let house = House::new();
    let checkpoint = ArchiveName::from_bytes(format!("{}.checkpoint", house.archives[0]));
    rename(&mut house.open().unwrap(), &house.archives[0], &checkpoint, &Silent).unwrap();
    house.forbid("delete");
    house.backup().unwrap();
    assert!(house.open().unwrap().archive_info(&checkpoint).is_some());
    house.change_manifest(|manifest| _ = manifest.config.remove(b"feature_flags".as_slice()));
    house.backup().unwrap();
    assert!(house.open().unwrap().archive_info(&checkpoint).is_none());
}
