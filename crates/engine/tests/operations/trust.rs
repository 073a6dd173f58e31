//! Is this the repository we left? What is read, what is written to, and what an acceptance costs.

use super::*;

#[test]
fn a_rolled_back_repository_is_read_but_not_written_until_it_is_accepted() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let first = house.backup();
    let old = house.repository.snapshot();
    house.backup();
    let mut session = house.try_open(&old).unwrap();
    assert!(matches!(session.trust(), Trust::Suspicious(Suspicion::RolledBack { .. })), "{:?}", session.trust());
    assert!(session.open_archive(&session.archive_info(&first.name).unwrap()).is_ok());
    let refused = create(&mut session, &house.create_options(), &Silent).unwrap_err();
    assert!(matches!(refused, CreateError::Session(SessionError::Untrusted(_))), "{refused:?}");
    let refused = delete(&mut session, std::slice::from_ref(&first.name), &Silent).unwrap_err();
    assert!(matches!(refused, DeleteError::Session(SessionError::Untrusted(_))), "{refused:?}");
    session.accept(&house.state()).unwrap();
    create(&mut session, &house.create_options(), &Silent).unwrap();
}

#[test]
fn another_repository_in_the_place_of_ours_is_not_written() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    let other = MemoryRepository::new(2);
    let elsewhere = house.state_at("elsewhere");
    Session::initialize(Box::new(other.clone()), EncryptionMode::None, &house.options(&elsewhere)).unwrap();
    let other = other.at("/memory/1");
    let mut session = house.try_open(&other).unwrap();
    assert!(matches!(session.trust(), Trust::Suspicious(Suspicion::Replaced { .. })), "{:?}", session.trust());
    session.accept(&house.state()).unwrap();
    assert_eq!(*house.try_open(&other).unwrap().trust(), Trust::Known);
}

#[test]
fn a_repository_that_is_made_anew_is_not_taken_for_a_replaced_one() {
    let house = House::new();
    for id in 1..6 {
        let repository = MemoryRepository::new(id).at("/memory");
        let state = house.state();
        Session::initialize(Box::new(repository.clone()), EncryptionMode::None, &house.options(&state)).unwrap();
        assert_eq!(*house.try_open(&repository).unwrap().trust(), Trust::Known, "number {id}");
    }
}

#[test]
fn where_a_repository_was_is_known_until_it_is_forgotten() {
    let house = House::ready(EncryptionMode::None);
    let (state, location) = (house.state(), house.open().location());
    assert_eq!(state.repository_at(&location).unwrap(), Some(house.open().id()));
    assert_eq!(state.repository_at("/elsewhere").unwrap(), None);
    state.forget_location("/elsewhere").unwrap();
    assert!(state.repository_at(&location).unwrap().is_some());
    state.forget_location(&location).unwrap();
    assert_eq!(state.repository_at(&location).unwrap(), None);
    // Should it come back, it is the one it was.
    assert_eq!(*house.open().trust(), Trust::Known);
    assert!(state.repository_at(&location).unwrap().is_some());
}

#[test]
fn a_look_at_a_copy_leaves_the_repository_where_it_was() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    let (state, location) = (house.state(), house.open().location());
    let copy = house.repository.clone().at("/copy");
    let moved = Trust::Moved { from: location.clone() };
    for _ in 0..2 {
        assert_eq!(*house.try_open(&copy).unwrap().trust(), moved);
        assert!(state.repository_at(&location).unwrap().is_some(), "were it gone there, it would be missed");
        assert!(state.repository_at("/copy").unwrap().is_some(), "and so it would be here");
    }
    // What is newer there is known all the same.
    let old = house.repository.snapshot();
    house.backup();
    house.try_open(&copy).unwrap();
    let trust = house.try_open(&old).unwrap().trust().clone();
    assert!(matches!(trust, Trust::Suspicious(Suspicion::RolledBack { .. })), "{trust:?}");
    // Who writes there goes on there.
    create(&mut house.try_open(&copy).unwrap(), &house.create_options(), &Silent).unwrap();
    assert_eq!(*house.try_open(&copy).unwrap().trust(), Trust::Known);
    assert_eq!(state.repository_at(&location).unwrap(), None);
    assert!(state.repository_at("/copy").unwrap().is_some());
    state.forget_location("/copy").unwrap();
    assert_eq!(state.repository_at("/copy").unwrap(), None);
}

#[test]
fn a_repository_that_was_never_seen_is_adopted_with_a_leap_of_the_counter() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    let before = house.repository.store().nonce.unwrap();
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    assert_eq!(*house.open().trust(), Trust::Adopted);
    house.backup();
    let leap = house.repository.store().nonce.unwrap() - before;
    assert!((1 << 48..1 << 57).contains(&leap), "{leap:#x}");
    assert_eq!(*house.open().trust(), Trust::Known);
}

#[test]
fn a_repository_without_a_key_is_not_ours_where_there_is_a_passphrase() {
    let house = House::ready(EncryptionMode::None);
    let archive = house.backup().name;
    assert_eq!(*house.open().trust(), Trust::Known, "it was made from here");
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    let state = house.state();
    for passphrase in [None, Some("")] {
        let options = SessionOptions { passphrase, ..house.options(&state) };
        let session = Session::open(Box::new(house.repository.clone()), &options).unwrap();
        assert_eq!(*session.trust(), Trust::Adopted);
    }
    let mut session = house.open();
    assert_eq!(*session.trust(), Trust::Suspicious(Suspicion::Unproven));
    let refused = create(&mut session, &house.create_options(), &Silent).unwrap_err();
    assert!(matches!(refused, CreateError::Session(SessionError::Untrusted(Suspicion::Unproven))), "{refused:?}");
    assert_eq!(*house.open().trust(), Trust::Suspicious(Suspicion::Unproven), "looking at it makes it no better");
    house.assert_restores(&archive, &house.world());
    session.accept(&house.state()).unwrap();
    house.backup();
    assert_eq!(*house.open().trust(), Trust::Known);
}

#[test]
fn an_adoption_that_is_cut_short_still_leaps() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    let before = house.repository.store().nonce.unwrap();
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    // Opened, and even looked at, but nothing was sealed.
    drop(house.open());
    house.backup();
    assert!(house.repository.store().nonce.unwrap() - before >= 1 << 48);
}

#[test]
fn what_was_accepted_is_sealed_far_from_what_the_repository_may_hide() {
    let house = House::ready(EncryptionMode::RepokeyBlake2);
    house.backup();
    let old = house.repository.snapshot();
    house.backup();
    let leap_of = |repository: &MemoryRepository, accept: &dyn Fn()| {
        let before = repository.store().nonce.unwrap();
        accept();
        house.clock.advance(Duration::from_hours(1));
        create(&mut house.try_open(repository).unwrap(), &house.create_options(), &Silent).unwrap();
        repository.store().nonce.unwrap() - before
    };
    let accept = |repository: &MemoryRepository| {
        assert!(!house.try_open(repository).unwrap().accept(&house.state()).unwrap(), "its counter can be read");
    };
    // An older copy: another client may have used counters that were rolled back with it.
    assert!(leap_of(&old, &|| accept(&old)) >= 1 << 48);
    // As it was left: there is nothing to fear.
    assert!(leap_of(&old, &|| accept(&old)) < 1 << 40);
    // Accepted by hand before anything was sealed.
    std::fs::remove_dir_all(house.folder.path().join("state")).unwrap();
    assert!(leap_of(&old, &|| accept(&old)) >= 1 << 48);
}
