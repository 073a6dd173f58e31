//! Clients that mean harm: whatever they say, the server answers or ends, and leaves a repository that is whole.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use worldkeeper_core::msgpack::{Decoder, Encoder};
use worldkeeper_rpc::{Call, Check, Reply};
use worldkeeper_testkit::gate::{self, Random};
use worldkeeper_testkit::segments;

use crate::site::Site;
use crate::talk::{Talk, commit, create, open, put};

/// Messages of a session.
const MESSAGES: usize = 100;

/// What is called, most of it of use to nobody.
const METHODS: [&str; 19] = [
    "negotiate",
    "open",
    "__len__",
    "get",
    "put",
    "delete",
    "list",
    "scan",
    "commit",
    "rollback",
    "check",
    "destroy",
    "save_key",
    "load_key",
    "get_free_nonce",
    "commit_nonce_reservation",
    "break_lock",
    "inject_exception",
    "__init__",
];

/// What arguments are called, and of what kind they are.
const ARGUMENTS: [(&str, Kind); 20] = [
    ("client_data", Kind::Map),
    ("path", Kind::Path),
    ("create", Kind::Flag),
    ("lock_wait", Kind::Number),
    ("lock", Kind::Flag),
    ("exclusive", Kind::Flag),
    ("append_only", Kind::Flag),
    ("make_parent_dirs", Kind::Flag),
    ("id", Kind::Id),
    ("data", Kind::Bytes),
    ("wait", Kind::Flag),
    ("limit", Kind::Number),
    ("marker", Kind::Id),
    ("compact", Kind::Flag),
    ("threshold", Kind::Share),
    ("repair", Kind::Flag),
    ("keydata", Kind::Bytes),
    ("next_unreserved", Kind::Number),
    ("start_nonce", Kind::Number),
    ("kind", Kind::Bytes),
];

#[derive(Clone, Copy)]
enum Kind {
    Map,
    Path,
    Flag,
    Number,
    Id,
    Bytes,
    Share,
}

/// Where repositories might be.
const PATHS: [&str; 9] = [
    "repository",
    "repository",
    "repository",
    "../outside",
    "/../../etc",
    "~/repository/data",
    "/~root",
    "a\0b",
    "repository/../repository/../outside",
];

struct Case(u64);

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session {}", self.0)
    }
}

#[test]
fn gate_hostile_clients_harm_nothing() {
    let cases: Vec<_> = (0..gate::amount(200, 20_000) as u64).map(Case).collect();
    gate::each(&cases, || (), |(), Case(number)| session(&mut Random::of(gate::seed().wrapping_add(*number))));
}

fn session(random: &mut Random) {
    let folder = gate::folder();
    let site = Site::in_folder(folder);
    let mut talk = Talk::with(&mut site.serve(&[]));
    assert!(talk.ask(&create(&site.repository())).is_ok());
    assert_eq!(talk.ask(&put(1, 100)), Ok(Reply::Done));
    assert_eq!(talk.ask(&commit()), Ok(Reply::Done));
    assert_eq!(talk.end().0.code(), Some(0));

    let root = site.path("");
    let said: Vec<_> = (0..MESSAGES).flat_map(|number| message(random, number)).collect();
    let options = ["--restrict-to-path", root.to_str().unwrap(), "--storage-quota", "10M"];
    let (status, answers, errors) = talk_to(&mut site.serve(&options), said);
    assert!(matches!(status, Some(0 | 2)), "{status:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    // Whatever was answered was answered in whole.
    let mut left = &answers[..];
    while !left.is_empty() {
        let mut decoder = Decoder::with_floats(left);
        decoder.skip().expect("a whole message");
        left = &left[decoder.position()..];
    }
    assert_eq!(site.left_behind(), [""; 0], "{errors}");
    assert!(!root.parent().unwrap().join("outside").exists());
    if site.repository().join("config").exists() {
        let mut talk = Talk::with(&mut site.serve(&[]));
        let opened = talk.ask(&open(&site.repository()));
        assert!(opened.is_ok(), "{opened:?}");
        // One that was made anew and holds nothing that counts is not called sound, as in stock.
        let is_sound = segments::read(&site.repository()).values().any(|segment| segments::is_committed(segment));
        assert_eq!(talk.ask(&Call::Check(Check::default())), Ok(Reply::Sound(is_sound)));
        assert_eq!(talk.end().0.code(), Some(0));
    }
}

/// Says everything at once and takes what comes until the server ends.
fn talk_to(command: &mut Command, said: Vec<u8>) -> (Option<i32>, Vec<u8>, String) {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let saying = thread::spawn(move || drop(input.write_all(&said)));
    let mut errors = child.stderr.take().unwrap();
    let hearing = thread::spawn(move || {
        let mut said = Vec::new();
        errors.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    });
    let mut answers = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut answers).unwrap();
    saying.join().unwrap();
    (child.wait().unwrap().code(), answers, hearing.join().unwrap())
}

/// A message: most are well-formed and senseless, some are broken.
fn message(random: &mut Random, number: usize) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let method = if number.is_multiple_of(10) { "open" } else { *random.pick(&METHODS) };
    let arguments = random.below(5);
    if random.below(8) == 0 {
        encoder.array(4).uint(1).uint(number as u64).raw(method).array(arguments);
        (0..arguments).for_each(|_| value(random, &mut encoder, 0));
    } else {
        encoder.map(3).raw("i").uint(number as u64).raw("m").raw(method).raw("a").map(arguments + 2);
        // Enough that many are understood.
        encoder.raw("path").raw(random.pick(&PATHS)).raw("id").raw([random.below(3) as u8; 32]);
        for _ in 0..arguments {
            let (name, kind) = *random.pick(&ARGUMENTS);
            encoder.raw(name);
            if random.below(4) == 0 {
                value(random, &mut encoder, 0);
            } else {
                argument(random, &mut encoder, kind);
            }
        }
    }
    let mut bytes = encoder.finish();
    // Rarely, for what is not understood at all ends the session.
    match random.below(400) {
        0 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        1 => bytes.truncate(random.below(bytes.len())),
        _ => {}
    }
    bytes
}

fn argument(random: &mut Random, encoder: &mut Encoder, kind: Kind) {
    match kind {
        Kind::Map => _ = encoder.map(1).raw("client_version").array(2).uint(1).uint(4),
        Kind::Path => _ = encoder.raw(random.pick(&PATHS)),
        Kind::Flag => _ = encoder.bool(random.below(2) == 0),
        Kind::Number => _ = encoder.uint(random.below(4) as u64),
        Kind::Id => _ = encoder.raw([random.below(4) as u8; 32]),
        Kind::Bytes => _ = encoder.raw(vec![b'k'; random.below(10_000)]),
        Kind::Share => _ = encoder.float(0.1),
    }
}

fn value(random: &mut Random, encoder: &mut Encoder, depth: usize) {
    match random.below(13) {
        0 => _ = encoder.nil(),
        1 => _ = encoder.bool(true),
        2 => _ = encoder.bool(false),
        3 => _ = encoder.uint(random.below(300) as u64),
        4 => _ = encoder.uint(u64::MAX - random.below(3) as u64),
        5 => _ = encoder.int(-1 - random.below(3) as i64),
        6 => _ = encoder.int(i64::MIN),
        7 => _ = encoder.float([0.1, -1.0, f64::NAN, f64::INFINITY, 1e300][random.below(5)]),
        8 => _ = encoder.raw([random.below(4) as u8; 32]),
        9 => _ = encoder.raw(vec![0x5b; random.below(100_000)]),
        10 => _ = encoder.raw("\n[repository]\r\nappend_only = 1\0\u{85}"),
        kind if depth < 6 => {
            let len = random.below(4);
            if kind == 11 {
                encoder.array(len)
            } else {
                encoder.map(len)
            };
            (0..if kind == 11 { len } else { 2 * len }).for_each(|_| value(random, encoder, depth + 1));
        }
        _ => _ = encoder.nil(),
    }
}

/// What is announced is not believed before it comes.
#[test]
fn what_is_announced_takes_no_memory() {
    let site = Site::new();
    let mut limited = Command::new("prlimit");
    // Enough for the largest request and for what is done with it, by far not for what is announced.
    limited.args(["--data=400000000"]).arg(site.path("bin/borg")).arg("serve").env_clear();
    limited.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", site.path(""));
    for announced in
        [&b"\xdb\xff\xff\xff\xff"[..], b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
    {
        let said = [b"\x83\xa1i\x01\xa1m\xa4open\xa1a\x81\xa4path", announced, b"some"].concat();
        let (status, answers, errors) = talk_to(&mut limited, said);
        assert!(matches!(status, Some(0 | 2)), "{announced:02x?}: {errors}");
        assert_eq!(answers, b"");
    }
    // Nested as deeply as a message can be, and more.
    for len in [1 << 20, 20 << 20, 30 << 20] {
        let (status, answers, errors) = talk_to(&mut limited, vec![0x91; len]);
        assert!(matches!(status, Some(0 | 2)), "{len}: {errors}");
        assert_eq!(answers, b"");
    }
}
