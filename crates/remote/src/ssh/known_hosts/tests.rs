use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A key of a type, told apart by one byte. Only types are understood, so it needs to be no real one.
fn key(key_type: &str, byte: u8) -> Vec<u8> {
    let length = u32::try_from(key_type.len()).unwrap();
    [&length.to_be_bytes()[..], key_type.as_bytes(), &[byte; 32]].concat()
}

fn ed25519(byte: u8) -> Vec<u8> {
    key("ssh-ed25519", byte)
}

/// How a key stands on a line.
fn word(key: &[u8]) -> String {
    let key_type = if *key == ed25519(key[key.len() - 1]) { "ssh-ed25519" } else { "ssh-rsa" };
    format!("{key_type} {}", STANDARD.encode(key))
}

fn read(text: &str) -> Result<KnownHosts, KnownHostsError> {
    let mut known = KnownHosts::default();
    known.read("known_hosts", text.as_bytes()).map(|()| known)
}

/// What is said of key 1 at a host and port, by one line about key 1 for `hosts`.
#[track_caller]
fn is_known(hosts: &str, name: &str, port: u16) -> bool {
    let verdict =
        read(&format!("{hosts} {}\n", word(&ed25519(1)))).unwrap().judge(&HostName::new(name, port), &ed25519(1));
    assert!(matches!(verdict, Verdict::Known | Verdict::Unknown));
    verdict == Verdict::Known
}

#[test]
fn patterns_mean_what_openssh_says() {
    for (hosts, name, port, expected) in [
        ("host", "host", 22, true),
        ("host", "HOST", 22, true),
        ("Host", "host", 22, true),
        ("host", "host", 2222, false),
        ("[host]:2222", "host", 2222, true),
        ("[host]:22", "host", 22, false),
        ("[host]:2222", "host", 22, false),
        ("[::1]:2222", "::1", 2222, true),
        ("::1", "::1", 22, true),
        ("a,host,b", "host", 22, true),
        ("*.example.org", "a.b.example.org", 22, true),
        ("*.example.org", "example.org", 22, false),
        ("h?st", "host", 22, true),
        ("h?st", "hst", 22, false),
        ("*", "anything", 22, true),
        ("[*]:*", "host", 2222, true),
        ("*,!host", "host", 22, false),
        ("!host,*", "host", 22, false),
        ("!host", "other", 22, false),
        ("!*.lan,*", "a.lan", 22, false),
        ("!*.lan,*", "a.org", 22, true),
        ("a*b*c", "axxbyyc", 22, true),
        ("a*b*c", "axxbyy", 22, false),
        ("*a", "aba", 22, true),
        ("**", "x", 22, true),
        ("", "x", 22, false),
    ] {
        assert_eq!(is_known(hosts, name, port), expected, "{hosts:?} for {name}:{port}");
    }
}

#[test]
fn a_hashed_name_is_that_one_and_no_other() {
    // Made with `ssh-keygen -H` of OpenSSH 9.2 from "host" and "[host]:2222".
    for (hosts, port) in [(HASHED_HOST, 22), (HASHED_PORT, 2222)] {
        assert!(is_known(hosts, "host", port));
        assert!(is_known(hosts, "HOST", port));
        assert!(!is_known(hosts, "host2", port));
        assert!(!is_known(hosts, "host", port + 1));
    }
    for broken in ["|1|", "|1|AAAA", "|2|AAAA|AAAA", "|1|AAAA|AAAA|AAAA", "|1|A|A", "!|1|AAAA|AAAA"] {
        assert!(!is_known(broken, "host", 22), "{broken}");
    }
}

const HASHED_HOST: &str = "|1|QNa4bMpzQXgaX7qLPQMAcP7x1aA=|Hop1zTY3RXSmhaS9ptZ9SuKgdRo=";
const HASHED_PORT: &str = "|1|cR7+0uHq1UUMbt9X/xl0YDXqilc=|Zt12b9JU/T81X0EpRJRynPGSkQk=";

#[test]
fn a_host_that_shows_another_key_has_changed_whatever_its_type() {
    let rsa = key("ssh-rsa", 7);
    let known = read(&format!("# a comment\n\nhost {}\nother {}\n", word(&rsa), word(&ed25519(9)))).unwrap();
    let host = HostName::new("host", 22);
    assert_eq!(known.judge(&host, &rsa), Verdict::Known);
    let Verdict::Changed(keys) = known.judge(&host, &ed25519(9)) else { panic!("it is another host's") };
    assert_eq!((keys[0].key_type.as_str(), keys[0].place.line), ("ssh-rsa", 3));
    assert_eq!(known.judge(&HostName::new("third", 22), &rsa), Verdict::Unknown);
}

#[test]
fn what_is_revoked_is_refused_wherever_it_is_known_too() {
    let (one, two) = (word(&ed25519(1)), word(&ed25519(2)));
    let known = read(&format!("host {one}\n@revoked * {one}\nhost {two}\n@revoked other {two}\n")).unwrap();
    let host = HostName::new("host", 22);
    assert!(matches!(known.judge(&host, &ed25519(1)), Verdict::Revoked(place) if place.line == 2));
    assert_eq!(known.judge(&host, &ed25519(2)), Verdict::Known);
}

#[test]
fn an_authority_is_no_key_of_the_host() {
    let known = read(&format!("@cert-authority *.lan {}\n", word(&ed25519(1)))).unwrap();
    let host = HostName::new("a.lan", 22);
    assert_eq!(known.judge(&host, &ed25519(1)), Verdict::Unknown);
    assert_eq!(known.authorities(&host).collect::<Vec<_>>(), [ed25519(1)]);
    assert_eq!(known.authorities(&HostName::new("a.org", 22)).count(), 0);
}

#[test]
fn what_cannot_be_read_is_never_trusted() {
    let one = word(&ed25519(1));
    for line in [
        "host",
        "host ssh-ed25519",
        "host ssh-ed25519 AAAA",
        "host ssh-ed25519 !!!!",
        &format!("host {}", one.replace("ssh-ed25519 ", "ssh-rsa ")),
        &format!("host 1024 35 {one}"),
    ] {
        assert_eq!(read(line).unwrap().judge(&HostName::new("host", 22), &ed25519(1)), Verdict::Unknown, "{line}");
        // What it revokes is not known: nothing is.
        assert_eq!(read(&format!("\n@revoked {line}")).unwrap_err().place.line, 2, "{line}");
    }
    for line in ["@", "@revokd host", "@Revoked host", "@revoked", "@revoked @revoked host"] {
        assert!(read(&format!("{line} {one}")).is_err(), "{line}");
    }
}

#[test]
fn fields_are_parted_by_any_blanks_and_a_comment_may_follow() {
    let known = read(&format!("\t host \t {}  me@here # x\r\n", word(&ed25519(1)).replace(' ', "  "))).unwrap();
    assert_eq!(known.judge(&HostName::new("host", 22), &ed25519(1)), Verdict::Known);
}

#[test]
fn a_pin_is_added_and_taken_away_and_nothing_else_changes() {
    let (one, two) = (word(&ed25519(1)), word(&ed25519(2)));
    let host = HostName::new("Host", 2222);
    let others = format!("# mine\nother {one}\n@revoked [host]:2222 {two}\n[host]:22 {one}");
    let pinned = pin(others.as_bytes(), &host, "ssh-ed25519", &ed25519(1));
    assert_eq!(String::from_utf8_lossy(&pinned), format!("{others}\n[host]:2222 {one}\n"));
    assert_eq!(read(str::from_utf8(&pinned).unwrap()).unwrap().judge(&host, &ed25519(1)), Verdict::Known);
    assert_eq!(String::from_utf8_lossy(&unpin(&pinned, &host)), format!("{others}\n"));
    assert_eq!(pin(b"", &HostName::new("h", 22), "ssh-ed25519", &ed25519(1)), format!("h {one}\n").into_bytes());
}
