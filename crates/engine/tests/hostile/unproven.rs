//! Archives that do not prove who made them: they are told apart, keep nobody's place, and no rule takes them away.
//!
//! | row | what is put there by hand | test |
//! |---|---|---|
//! | F43 | a manifest without a TAM | `a_manifest_without_a_tam` |
//! | F43 | a manifest with the TAM of an archive, an archive as manifest | `a_manifest_with_the_tam_of_an_archive` |
//! | F43 | a TAM of a weaker type, of both | `a_tam_of_a_weaker_type`, here |
//! | F43 | an archive without a TAM | `an_archive_without_a_tam`, here |
//! | F43 | an archive with the TAM of a manifest, a manifest as archive | `an_archive_with_the_tam_of_a_manifest`, here |
//! | F43 | an archive that 1.2.4 has renamed or recreated | `an_archive_that_was_renamed_without_a_new_tam`, here; by 1.2.4 itself: `stock::unproven` |
//! | F43 | content that is a manifest | `a_file_whose_content_is_a_manifest` |
//! | F44 | two archives of one name | `two_archives_of_one_name` |
//! | F44 | exchanged ids, of archives and of objects | `two_archives_under_each_others_names`, `an_object_in_the_place_of_another`, here |
//! | F44 | items of another archive | `an_archive_with_the_items_of_another`, here |
//! | F45 | another repository, with or without a key | `a_repository_with_another_key`, `another_repository_with_another_passphrase`, `a_repository_without_encryption_in_its_place` |
//!
//! Those that are not here are in the file above.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use worldkeeper_archive::{ArchiveMetadata, ArchiveName};
use worldkeeper_core::{ChunkId, Clock as _};
use worldkeeper_crypto::EncryptionMode;
use worldkeeper_crypto::tam::Context;
use worldkeeper_engine::prune::{self, Count, Period, Rules, SeriesPlan};
use worldkeeper_engine::{Proofs, Session, Silent, delete, force_delete};

use crate::house::{House, replaced, signed, unsigned};

/// Does something to the second archive, the newest of the house.
type Forgery = fn(&House);

/// What can be done to an archive, and what is said of it then.
const FORGERIES: [(&str, Forgery); 9] = [
    ("it has no TAM", |house| house.replace_archive(1, &unsigned(&house.plaintext(house.id(1))))),
    ("does not match", |house| {
        house.replace_archive(1, &signed(&house.key, Context::Manifest, &house.plaintext(house.id(1))));
    }),
    ("HKDF_HMAC_SHA256", |house| {
        house.replace_archive(1, &replaced(&house.plaintext(house.id(1)), b"HKDF_HMAC_SHA512", b"HKDF_HMAC_SHA256"));
    }),
    ("does not match", |house| {
        house.replace_archive(
            1,
            &replaced(&house.plaintext(house.id(1)), b"\xa8hostname\xa4host", b"\xa8hostname\xa4tsoh"),
        );
    }),
    ("does not match", |house| {
        let items = |archive: usize| {
            let packed = house.plaintext(house.id(archive));
            (ArchiveMetadata::decode(&house.key, &packed).unwrap().0.items[0], packed)
        };
        let ((others, _), (own, packed)) = (items(0), items(1));
        house.replace_archive(1, &replaced(&packed, &own.0, &others.0));
    }),
    ("it is archive mc-", |house| {
        let id = house.id(0);
        house.change_manifest(|manifest| manifest.archives.get_mut(&house.archives[1]).unwrap().id = id);
    }),
    ("has no name", |house| {
        house.replace_archive(1, &signed(&house.key, Context::Archive, &house.plaintext(ChunkId::MANIFEST)));
    }),
    ("version 2", |house| {
        let packed = replaced(&unsigned(&house.plaintext(house.id(1))), b"\xa7version\x01", b"\xa7version\x02");
        house.replace_archive(1, &signed(&house.key, Context::Archive, &packed));
    }),
    ("is not in the repository", |house| {
        let id = house.id(1);
        house.repository.store().objects.remove(&id);
    }),
];

/// Keeps the newest archive alone.
fn plan(house: &House, session: &Session) -> SeriesPlan {
    let rules = Rules { within: None, periods: vec![(Period::Secondly, Count::AtMost(1))] };
    prune::plan_series(session, "mc", &BTreeSet::new(), &rules, house.clock.now(), &TimeZone::UTC).unwrap()
}

/// What is decided about, and whether it stays.
fn kept(plan: &SeriesPlan) -> Vec<(String, bool)> {
    let decided = plan.decisions.iter().map(|decision| (decision.archive.name.clone(), decision.keep.is_some()));
    decided.collect()
}

#[test]
fn they_are_told_apart_keep_nobodys_place_and_no_rule_takes_them_away() {
    for (expected, forge) in FORGERIES {
        let house = House::new();
        forge(&house);
        let (id, [first, forged]) = (house.id(1), house.archives.clone());
        let mut session = house.open().unwrap();
        let Proofs { proven, unproven, .. } = session.prove(session.archives()).unwrap();
        assert_eq!(proven.iter().map(|archive| &archive.name).collect::<Vec<_>>(), [&first], "{expected}");
        let [(archive, problem)] = &unproven[..] else { panic!("{expected}: {unproven:?}") };
        let said = worldkeeper_core::error_text(problem);
        assert!(archive.name == forged && said.contains(expected), "{expected}: {said}");
        let alone = plan(&house, &session);
        assert_eq!(kept(&alone), [(first.to_string(), true)], "{expected}: the only good one stays");
        assert_eq!(alone.unproven.len(), 1, "{expected}");

        // A later archive takes the first one's place. What the forged one needs is not known where it cannot be read:
        // then nothing goes at all.
        let of_it = references(&session, &forged);
        drop(session);
        let third = house.backup().unwrap();
        session = house.open().unwrap();
        let plan = plan(&house, &session);
        assert_eq!(kept(&plan), [(third.to_string(), true), (first.to_string(), false)], "{expected}");
        let pruned = prune::prune(&mut session, &plan.decisions, &Silent);
        assert!(pruned.is_ok() || of_it.is_empty(), "{expected}: {pruned:?}");
        assert_eq!(session.archive_info(&forged).unwrap().id, id, "{expected}");
        let left = house.repository.chunk_ids();
        assert!(of_it.iter().all(|id| left.contains(id)), "{expected}");

        // By its name it goes.
        let named = std::slice::from_ref(&forged);
        let deleted = delete(&mut session, named, &Silent).or_else(|_| force_delete(&mut session, named, &Silent));
        assert!(deleted.is_ok() && session.archive_info(&forged).is_none(), "{expected}: {deleted:?}");
        assert!(session.unproven(&session.archive_info(&third).unwrap()).unwrap().is_none(), "{expected}");
    }
}

/// The chunks of an archive's list of items, if it can be read without a proof.
fn references(session: &Session, name: &ArchiveName) -> Vec<ChunkId> {
    let opened = session.open_unproven_archive(&session.archive_info(name).unwrap());
    opened.map(|archive| archive.metadata.items).unwrap_or_default()
}

/// Asked for as stock wants to be asked, it is read, and its items are those that it had.
#[test]
fn what_is_asked_for_is_read() {
    for (expected, forge) in FORGERIES.into_iter().take(5) {
        let house = House::new();
        forge(&house);
        let session = house.open().unwrap();
        let info = session.archive_info(&house.archives[1]).unwrap();
        assert_eq!(session.open_archive(&info).is_ok(), expected.contains("no TAM"), "{expected}");
        let archive = session.open_unproven_archive(&info).unwrap();
        assert!(!archive.is_authenticated && session.items(&archive).all(|item| item.is_ok()), "{expected}");
    }
}

/// Without a key nothing proves anything, and nothing has to; but what is wrong is wrong.
#[test]
fn without_a_key_only_a_wrong_tam_counts() {
    // Whatever its TAM was made for: anybody can make one.
    for (number, is_proven) in [(0, true), (1, false), (2, false)] {
        let house = House::of_mode(EncryptionMode::None);
        FORGERIES[number].1(&house);
        let session = house.open().unwrap();
        assert_eq!(session.prove(session.archives()).unwrap().proven.len() == 2, is_proven, "{}", FORGERIES[number].0);
    }
}
