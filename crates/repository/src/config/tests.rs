use worldkeeper_core::{RepositoryError, RepositoryId};

use super::*;

const ID: &str = "5555555555555555555555555555555555555555555555555555555555555555";

fn parse(text: &str) -> Result<Config, RepositoryError> {
    Config::parse(text.as_bytes(), "/r")
}

/// A config with one line replaced, or added.
fn with(key: &str, line: &str) -> String {
    let lines = [
        ("version", "version = 1".to_owned()),
        ("segments_per_dir", "segments_per_dir = 1000".to_owned()),
        ("max_segment_size", "max_segment_size = 524288000".to_owned()),
        ("id", format!("id = {ID}")),
    ];
    let mut text = "[repository]\n".to_owned();
    for (_, other) in lines.iter().filter(|(name, _)| *name != key) {
        text += other;
        text += "\n";
    }
    text + line + "\n"
}

#[test]
fn a_new_config_is_the_text_that_stock_writes() {
    let config = Config::new(&CreateOptions::new(RepositoryId([0x55; 32])));
    let text = config.ini.to_string();
    let expected = format!(
        "[repository]\nversion = 1\nsegments_per_dir = 1000\nmax_segment_size = 524288000\nappend_only = 0\n\
         storage_quota = 0\nadditional_free_space = 0\nid = {ID}\n\n"
    );
    assert_eq!(text, expected);
    assert_eq!(parse(&text).unwrap().id, config.id);
}

#[test]
fn values_are_read_as_python_reads_them() {
    let text = format!(
        "# a comment\n[repository]\nVERSION: 1\n; another\nsegments_per_dir=1_000\nmax_segment_size = 500M\n\
         append_only = Yes\nstorage_quota = 1.5G\nid = {ID}\nkey = line one\n\tline two\n\n    line three\n\n\
         future = kept\n[other]\na = b\n"
    );
    assert!(parse(&text).is_err(), "an underscore is no digit of ours");
    let config = parse(&text.replace("1_000", " 1000 ")).unwrap();
    assert_eq!(config.segments_per_dir, 1000);
    assert_eq!(config.max_segment_size, 500_000_000);
    assert_eq!(config.storage_quota, 1_500_000_000);
    assert!(config.append_only);
    assert_eq!(config.key(), Some("line one\nline two\n\nline three"));
}

#[test]
fn a_key_is_kept_with_tabs_and_unknown_values_stay() {
    let mut config = parse(&with("", "Future = kept\n[other]\na = b")).unwrap();
    assert_eq!(config.key(), None);
    config.set_key("one\ntwo\n");
    let text = config.ini.to_string();
    assert!(text.contains("key = one\n\ttwo\n"), "{text}");
    assert!(text.contains("future = kept\n"), "{text}");
    assert!(text.contains("[other]\na = b\n"), "{text}");
    let again = parse(&text).unwrap();
    assert_eq!(again.key(), Some("one\ntwo"));
    assert_eq!(again.ini.to_string(), text);
}

#[test]
fn only_version_1_is_taken() {
    let version = |line| match parse(&with("version", line)) {
        Err(RepositoryError::UnsupportedVersion { version, .. }) => version,
        other => panic!("{other:?}"),
    };
    assert_eq!(version("version = 2"), "2 (borg 2)");
    assert_eq!(version("version = 0"), "0");
    assert_eq!(version("version = x"), "x");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (key, line, reason) in [
        ("version", "", "version is missing"),
        ("id", "", "id is missing"),
        ("id", "id = 55", "id cannot be \"55\""),
        ("segments_per_dir", "segments_per_dir = 0", "segments_per_dir cannot be \"0\""),
        ("max_segment_size", "max_segment_size = 4273995776", "max_segment_size cannot be \"4273995776\""),
        ("max_segment_size", "max_segment_size = -1", "max_segment_size cannot be \"-1\""),
        ("", "append_only = maybe", "append_only cannot be \"maybe\""),
        ("", "storage_quota = 1X", "storage_quota cannot be \"1X\""),
        ("", "id = again", "line 6 repeats a section or a key"),
        ("", "what is this", "line 6 is neither a section nor a value"),
    ] {
        match parse(&with(key, line)) {
            Err(RepositoryError::InvalidConfig { reason: found, .. }) => assert_eq!(found, reason, "{line:?}"),
            other => panic!("{line:?}: {other:?}"),
        }
    }
    for (text, reason) in [
        ("", "no repository section found"),
        ("[other]\n", "no repository section found"),
        ("version = 1\n", "line 1 stands before the first section"),
    ] {
        match parse(text) {
            Err(RepositoryError::InvalidConfig { reason: found, .. }) => assert_eq!(found, reason),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("0", Some(0)),
        ("524288000", Some(524_288_000)),
        ("500M", Some(500_000_000)),
        ("1.5K", Some(1500)),
        ("2P", Some(2_000_000_000_000_000)),
        ("1e3", Some(1000)),
        ("", None),
        ("M", None),
        ("-5", None),
        ("nan", None),
        ("infT", None),
        ("5k", None),
    ] {
        assert_eq!(parse_size(text), bytes, "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived_and_what_is_read_is_written_alike(text in "([a-c \\t\\n=:#;\\[\\]]{0,60}|\\PC{0,60})") {
        if let Ok(ini) = Ini::parse(&text) {
            let written = ini.to_string();
            let again = Ini::parse(&written);
            proptest::prop_assert!(again.is_ok_and(|again| again.to_string() == written), "{text:?} became {written:?}");
        }
        let _ = parse(&text);
    }
}
