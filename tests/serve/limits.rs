//! What a server does not let its clients do.

use std::fs;
use std::os::unix::fs::symlink;

use worldkeeper_rpc::{Arg, Call, Check, Class, Commit, Open, Page, Payload, Reply};
use worldkeeper_testkit::borg::Borg;

use crate::site::{Site, url};
use crate::talk::{Talk, commit, create, id, open, put};

#[test]
fn no_path_leads_out_of_what_is_allowed() {
    let site = Site::new();
    for name in ["a", "ab", "a/deep"] {
        fs::create_dir(site.path(name)).unwrap();
    }
    symlink(site.path("ab"), site.path("a/out")).unwrap();
    let allowed = site.path("a");
    let mut talk = Talk::with(&mut site.serve(&["--restrict-to-path", allowed.to_str().unwrap()]));
    let real = site.path("").canonicalize().unwrap();
    for (named, at) in [
        ("ab/new", "ab/new"),
        ("abc", "abc"),
        ("a/../ab/new", "ab/new"),
        ("a/out/new", "ab/new"),
        ("a/deep/../../new", "new"),
        ("/./ab/new", "ab/new"),
        ("~/ab/new", "ab/new"),
        ("/~/ab/new", "ab/new"),
    ] {
        let refused = talk.ask(&Call::Open(Open { create: true, ..Open::existing(named) })).unwrap_err();
        assert_eq!(refused.class(), Some(Class::PathNotAllowed), "{named}");
        assert_eq!(refused.text(0), real.join(at).display().to_string(), "{named}");
    }
    let absolute = talk.ask(&create(std::path::Path::new("/etc/borg"))).unwrap_err();
    assert_eq!(absolute.class(), Some(Class::PathNotAllowed));
    assert_eq!(fs::read_dir(site.path("ab")).unwrap().count(), 0);
    for named in ["a/new", "/./a/new2", "~/a/deep/new", "a/out/../a/new3"] {
        let opened = talk.ask(&Call::Open(Open { create: true, ..Open::existing(named) }));
        assert!(opened.is_ok(), "{named}: {opened:?}");
    }
    assert_eq!(talk.end().0.code(), Some(0));

    let only = site.path("a/new");
    let mut talk = Talk::with(&mut site.serve(&["--restrict-to-repository", only.to_str().unwrap()]));
    assert!(talk.ask(&open(&only)).is_ok());
    for other in [site.path("a"), site.path("a/new/data"), site.path("a/new2")] {
        assert_eq!(talk.ask(&open(&other)).unwrap_err().class(), Some(Class::PathNotAllowed));
    }
}

#[test]
fn a_forced_command_holds_whatever_stock_asks_for() {
    for borg in Borg::all().into_iter().chain(Borg::old()).map(|borg| borg.with_passphrase("secret").warmed()) {
        let site = Site::new();
        fs::create_dir(site.path("mine")).unwrap();
        let forced = site.forced(&format!("--restrict-to-path {} --storage-quota 20M", site.path("mine").display()));
        let (mine, other) = (url(&site.path("mine/r")), url(&site.path("mine-not")));
        let init = |at: &str| site.run(&borg, &forced, &["init", "-e", "none", "--storage-quota", "1T", at]);
        let _ = init(&other).exits(2).says(&["repository path not allowed"]);
        assert!(!site.path("mine-not").exists());
        let _ = init(&mine).exits(0);
        let config = fs::read_to_string(site.path("mine/r/config")).unwrap();
        assert!(config.contains("storage_quota = 20000000"), "{config}");
        // Its level of logging is the client's to choose.
        let debugged = site.run(&borg, &forced, &["list", "--debug", &mine]).exits(0);
        assert!(debugged.stderr().contains("Remote: "), "{debugged}");
    }
}

#[test]
fn a_quota_holds_for_whatever_is_put() {
    let site = Site::new();
    let mut talk = Talk::with(&mut site.serve(&["--storage-quota", "10M"]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    assert_eq!(talk.ask(&put(1, 5_000_000)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
    let exceeded = talk.ask(&put(2, 5_000_000)).unwrap_err();
    assert_eq!(exceeded.class(), Some(Class::StorageQuotaExceeded));
    assert_eq!((exceeded.text(0), exceeded.text(1)), ("10.00 MB".to_owned(), "10.00 MB".to_owned()));
    // It is said again until somebody rolls back.
    for call in [put(3, 10), commit()] {
        assert_eq!(talk.ask(&call).unwrap_err().class(), Some(Class::StorageQuotaExceeded));
    }
    assert_eq!(talk.ask(&Call::List(Page::default())), Ok(Reply::Ids(vec![id(1)])));
    // A manifest is an object like any other: it could be put for ever.
    for number in 0..3 {
        let doomed = talk.ask(&put(0, 4_000_000));
        assert_eq!(doomed.is_ok(), number == 0, "{number}: {doomed:?}");
        if number == 0 {
            assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
        } else {
            assert_eq!(talk.ask(&Call::Rollback), Ok(Reply::Done));
        }
    }
    assert_eq!(talk.end().0.code(), Some(0));

    // The server's word counts more than the repository's, in both directions.
    for (options, fits) in [(&["--storage-quota", "50M"][..], true), (&[], false)] {
        let mut talk = Talk::with(&mut site.serve(options));
        assert!(talk.ask(&open(&site.repository())).is_ok());
        assert_eq!(talk.ask(&put(4, 5_000_000)).is_ok(), fits, "{options:?}");
        assert_eq!(talk.ask(&Call::Rollback), Ok(Reply::Done));
    }
}

#[test]
fn append_only_keeps_all_that_was_ever_committed() {
    let site = Site::new();
    let mut talk = Talk::with(&mut site.serve(&["--append-only"]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    // Who makes a repository is not bound by it, as with stock.
    let config = fs::read_to_string(site.repository().join("config")).unwrap();
    assert!(config.contains("append_only = 0"), "{config}");
    assert_eq!(talk.ask(&put(1, 1000)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));

    assert!(talk.ask(&open(&site.repository())).is_ok());
    assert_eq!(talk.ask(&Call::Delete { id: id(1), wait: None }), Ok(Reply::Done));
    assert_eq!(talk.ask(&Call::Commit(Commit::default())), Ok(Reply::Done));
    assert_eq!(talk.ask(&Call::Len), Ok(Reply::Count(0)));
    let segment = fs::read(site.repository().join("data/0/0")).unwrap();
    assert!(segment.windows(1000).any(|window| window == [1; 1000]), "it is still there");
    for call in [Call::Destroy, Call::Check(Check { repair: true, ..Check::default() })] {
        let refused = talk.ask(&call).unwrap_err();
        assert_eq!(refused.name, "ValueError");
        assert!(refused.text(0).ends_with(" is in append-only mode"), "{refused}");
    }
    assert_eq!(talk.ask(&Call::Check(Check::default())), Ok(Reply::Sound(true)));
    assert_eq!(talk.end().0.code(), Some(0));
    let log = fs::read_to_string(site.repository().join("transactions")).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    for borg in Borg::all() {
        let _ = borg.run(["check", "--repository-only", site.repository().to_str().unwrap()]);
    }
}

#[test]
fn append_only_keeps_the_key_without_which_nothing_can_be_read() {
    let site = Site::new();
    let key = |text: &str| Call::SaveKey { keydata: Payload(text.as_bytes().to_vec().into()) };
    let unlocked = Call::Open(Open { lock: false, ..Open::existing(site.repository().to_str().unwrap()) });
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    assert_eq!(talk.end().0.code(), Some(0));
    // Whoever is cut off while making it begins anew.
    let mut talk = Talk::with(&mut site.serve(&["--append-only"]));
    assert!(talk.ask(&open(&site.repository())).is_ok());
    for text in ["one", "another", "the key\nof two lines"] {
        assert_eq!(talk.ask(&key(text)), Ok(Reply::Done), "nothing needs the one before");
    }
    assert_eq!(talk.ask(&put(1, 10)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
    assert_eq!(talk.end().0.code(), Some(0));
    let keeps = |options: &[&str], hint: &str| {
        let mut talk = Talk::with(&mut site.serve(options));
        for opening in [open(&site.repository()), unlocked.clone()] {
            assert!(talk.ask(&opening).is_ok());
            assert_eq!(talk.ask(&key("the key\nof two lines")), Ok(Reply::Done), "the first, and the same");
            for other in ["gone", ""] {
                let refused = talk.ask(&key(other)).unwrap_err();
                assert_eq!(refused.class(), Some(Class::Error));
                assert!(refused.text(0).contains("key change-passphrase"), "{refused}");
                assert!(refused.text(0).contains(hint), "{refused}");
            }
            assert_eq!(talk.ask(&Call::LoadKey), Ok(Reply::Data(Payload(b"the key\nof two lines"[..].into()))));
        }
        assert_eq!(talk.end().0.code(), Some(0));
    };
    keeps(&["--append-only"], "without --append-only");
    // The repository's own word counts as much.
    let config = site.repository().join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("append_only = 0", "append_only = 1")).unwrap();
    keeps(&[], "worldkeeper config append_only 0");
    keeps(&["--append-only"], "worldkeeper config append_only 0");
    fs::write(&config, text).unwrap();
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&unlocked).is_ok());
    assert_eq!(talk.ask(&key("another")), Ok(Reply::Done));
}

#[test]
fn what_clients_say_wrongly_is_answered_as_stock_answers_it() {
    let site = Site::new();
    let mut talk = Talk::with(&mut site.serve(&[]));
    fs::create_dir(site.path("full")).unwrap();
    fs::write(site.path("full/file"), "").unwrap();
    for (named, create, class) in [
        ("nothing", false, Class::DoesNotExist),
        ("full", false, Class::InvalidRepository),
        ("full/file", false, Class::InvalidRepository),
        ("full", true, Class::PathAlreadyExists),
        ("full/file", true, Class::PathAlreadyExists),
        ("no/parent", true, Class::ParentPathDoesNotExist),
    ] {
        let refused = talk.ask(&Call::Open(Open { create, ..Open::existing(named) })).unwrap_err();
        assert_eq!(refused.class(), Some(class), "{named}: {refused}");
    }
    assert!(talk.ask(&create(&site.repository())).is_ok());
    let below = Open { create: true, ..Open::existing("repository/data/new") };
    assert!(talk.ask(&open(&site.repository())).is_ok());
    assert_eq!(talk.ask(&put(1, 10)), Ok(Reply::Done));
    let page = Page { limit: Some(5), marker: Some(id(7)) };
    for call in [Call::List(page), Call::Scan(page)] {
        let unknown = talk.ask(&call).unwrap_err();
        assert_eq!((unknown.name.as_str(), unknown.args), ("KeyError", vec![Arg::from("marker not found")]));
    }
    let none = talk.ask(&Call::Scan(Page { limit: Some(0), marker: None })).unwrap_err();
    assert_eq!(none.name, "ValueError");
    let large = talk.ask(&put(2, 20_971_480)).unwrap_err();
    assert_eq!(large.text(0), "More than allowed put data [20971480 > 20971479]");
    // None of that was the end of the transaction.
    assert_eq!(talk.ask(&put(2, 20_971_479)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
    // A key that would be a line of its own to other readers of the config.
    let key = Call::SaveKey { keydata: Payload(b"key\rappend_only = 1"[..].into()) };
    assert_eq!(talk.ask(&key).unwrap_err().class(), Some(Class::Error));
    let key = Call::SaveKey { keydata: Payload(b"one\n[two]\nappend_only = 1"[..].into()) };
    assert_eq!(talk.ask(&key), Ok(Reply::Done));
    assert!(talk.ask(&open(&site.repository())).is_ok(), "the config can be read");
    assert_eq!(talk.ask(&Call::LoadKey), Ok(Reply::Data(Payload(b"one\n[two]\nappend_only = 1"[..].into()))));
    assert_eq!(talk.ask(&Call::Open(below)).unwrap_err().class(), Some(Class::AlreadyExists));
    assert_eq!(talk.end().0.code(), Some(0));
}

#[test]
fn pages_tell_of_each_object_once() {
    let site = Site::new();
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    for number in (0..200).rev() {
        assert_eq!(talk.ask(&put(number, 10)), Ok(Reply::Done));
    }
    assert_eq!(talk.ask(&Call::Delete { id: id(50), wait: None }), Ok(Reply::Done));
    for method in [Call::List, Call::Scan] {
        let (mut marker, mut found) = (None, Vec::new());
        loop {
            let Ok(Reply::Ids(page)) = talk.ask(&method(Page { limit: Some(7), marker })) else { panic!("no page") };
            assert!(page.len() <= 7);
            marker = page.last().copied();
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        let Ok(Reply::Ids(all)) = talk.ask(&method(Page::default())) else { panic!("no ids") };
        assert_eq!(found, all);
        let mut sorted = found;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).filter(|number| *number != 50).map(id).collect::<Vec<_>>());
    }
    let Ok(Reply::Ids(scanned)) = talk.ask(&Call::Scan(Page::default())) else { panic!("no ids") };
    assert_eq!(scanned.first(), Some(&id(199)), "in the order in which they were put");
}
