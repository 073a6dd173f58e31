//! However a session ends: what was committed is there, what was not is gone, and the lock is free.

use std::os::unix::process::ExitStatusExt;

use worldkeeper_rpc::{Call, Class, Open, Page, Reply};
use worldkeeper_testkit::borg::Borg;

use crate::site::{Site, url};
use crate::talk::{Talk, commit, create, id, open, put};

/// A host with a repository of one object.
fn site() -> Site {
    let site = Site::new();
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    assert_eq!(talk.ask(&put(1, 1000)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
    let (status, said) = talk.end();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    site
}

/// Opens the repository and writes without committing.
fn halfway(site: &Site) -> Talk {
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&open(&site.repository())).is_ok());
    for number in 2..9 {
        assert_eq!(talk.ask(&put(number, 1 << 20)), Ok(Reply::Done));
    }
    talk
}

/// Asserts that the repository is as it was, and free.
#[track_caller]
fn is_as_it_was(site: &Site) {
    assert_eq!(site.left_behind(), [""; 0]);
    let mut talk = Talk::with(&mut site.serve(&[]));
    let now = Call::Open(Open { lock_wait: Some(0), exclusive: Some(true), ..Open::existing(path(site)) });
    assert!(talk.ask(&now).is_ok());
    assert_eq!(talk.ask(&Call::List(Page::default())), Ok(Reply::Ids(vec![id(1)])));
    assert_eq!(talk.end().0.code(), Some(0));
}

fn path(site: &Site) -> String {
    site.repository().display().to_string()
}

#[test]
fn a_signal_rolls_back_and_frees_the_lock() {
    for (signal, code, said) in [("TERM", 143, "Received SIGTERM"), ("HUP", 129, "SIGHUP"), ("INT", 130, "SIGINT")] {
        let site = site();
        let mut talk = halfway(&site);
        // In the middle of a message.
        talk.send(b"\x83\xa1i\x0a\xa1m\xa3put\xa1a\x82\xa2id\xda\x00\x20");
        talk.signal(signal);
        let (status, text) = talk.ended();
        assert_eq!(status.code(), Some(code), "{signal}: {text}");
        assert!(text.contains(said), "{signal}: {text}");
        is_as_it_was(&site);
    }
}

#[test]
fn a_signal_ends_a_server_whose_client_reads_nothing() {
    let site = site();
    let mut talk = halfway(&site);
    for _ in 0..8 {
        talk.post(&Call::Get { id: id(2) });
    }
    talk.signal("TERM");
    assert_eq!(talk.ended().0.code(), Some(143));
    is_as_it_was(&site);
}

#[test]
fn a_client_that_vanishes_leaves_nothing() {
    let site = site();
    let mut talk = halfway(&site);
    talk.send(b"\x83\xa1i\x0a\xa1m\xa3put\xa1a\x82\xa2id\xda\x00\x20half an id");
    let (status, said) = talk.end();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    is_as_it_was(&site);
}

#[test]
fn answers_that_nobody_reads_end_the_session() {
    let site = site();
    let mut talk = halfway(&site);
    talk.stop_reading();
    for _ in 0..8 {
        talk.post(&Call::Get { id: id(2) });
    }
    let (status, said) = talk.ended();
    assert_eq!(status.code(), Some(2), "{said}");
    is_as_it_was(&site);
}

#[test]
fn what_is_no_protocol_ends_the_session() {
    let site = site();
    let mut talk = halfway(&site);
    talk.send(b"GET / HTTP/1.1\r\n\r\n");
    let (status, said) = talk.ended();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("unexpected RPC data format from client"), "{said}");
    is_as_it_was(&site);
}

#[test]
fn a_server_that_was_killed_is_known_to_be_dead_by_the_next_one() {
    let site = site();
    let talk = halfway(&site);
    talk.signal("KILL");
    let (status, _) = talk.ended();
    assert_eq!(status.signal(), Some(9));
    assert!(!site.left_behind().is_empty(), "nobody has tidied up");
    let mut next = Talk::with(&mut site.serve(&[]));
    let now = Call::Open(Open { lock_wait: Some(0), exclusive: Some(true), ..Open::existing(path(&site)) });
    assert!(next.ask(&now).is_ok());
    // A write removes what the dead one had not committed.
    assert_eq!(next.ask(&put(9, 10)), Ok(Reply::Done));
    assert_eq!(next.ask(&Call::Rollback), Ok(Reply::Done));
    assert_eq!(next.end().0.code(), Some(0));
    is_as_it_was(&site);
}

#[test]
fn one_writes_at_a_time() {
    let site = site();
    let mut first = halfway(&site);
    let mut second = Talk::with(&mut site.serve(&[]));
    for exclusive in [true, false] {
        let now = Call::Open(Open { lock_wait: Some(0), exclusive: Some(exclusive), ..Open::existing(path(&site)) });
        let refused = second.ask(&now).unwrap_err();
        assert_eq!(refused.class(), Some(Class::LockTimeout));
        assert_eq!(refused.text(0), format!("{}/lock.exclusive", path(&site)));
    }
    // Whoever waits for ever gives up when nobody waits for that any more.
    let mut third = Talk::with(&mut site.serve(&[]));
    third.post(&Call::Open(Open { lock_wait: None, exclusive: Some(true), ..Open::existing(path(&site)) }));
    assert_eq!(third.end().0.code(), Some(0));

    assert_eq!(first.ask(&Call::Rollback), Ok(Reply::Done));
    assert_eq!(first.end().0.code(), Some(0));
    assert!(second.ask(&open(&site.repository())).is_ok());
    assert_eq!(second.end().0.code(), Some(0));
    is_as_it_was(&site);
}

#[test]
fn stock_on_the_same_host_and_our_server_keep_out_of_each_others_way() {
    for borg in Borg::all() {
        let site = Site::new();
        borg.init(&site.repository(), "none");
        let mut held = Talk::with(&mut site.serve(&[]));
        assert!(held.ask(&open(&site.repository())).is_ok());
        let args = ["with-lock", &path(&site), "true"];
        let _ = borg.try_run(args).exits(2).says(&["failed to create/acquire the lock"]);
        assert_eq!(held.end().0.code(), Some(0));

        // While stock has it, the command that it runs asks our server.
        let ssh = site.open();
        let remote = url(&site.repository());
        let program = borg.program().display().to_string();
        let mut locked = site.client(&borg, &ssh, &["with-lock", &path(&site), &program, "with-lock", &remote, "true"]);
        let _ = borg.outcome(&mut locked).exits(2).says(&["failed to create/acquire the lock"]);
        assert_eq!(site.left_behind(), [""; 0]);
    }
}

#[test]
fn a_session_may_open_one_repository_after_another() {
    let site = site();
    let mut talk = halfway(&site);
    let other = site.path("other");
    assert!(talk.ask(&create(&other)).is_ok());
    is_as_it_was(&site);
    assert_eq!(talk.ask(&Call::Len), Ok(Reply::Count(0)));
    assert_eq!(talk.ask(&Call::Destroy), Ok(Reply::Done));
    assert!(!other.exists());
    assert_eq!(talk.ask(&Call::Len).unwrap_err().name, "AttributeError");
    assert_eq!(talk.ask(&open(&other)).unwrap_err().class(), Some(Class::DoesNotExist));
    assert!(talk.ask(&open(&site.repository())).is_ok());
    assert_eq!(talk.end().0.code(), Some(0));
}
