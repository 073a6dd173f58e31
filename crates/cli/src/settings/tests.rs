//! Settings from tables of flags and variables.

use clap::Parser;
use worldkeeper_engine::prune::{Count, Period};

use super::*;
use crate::args::Args;

fn resolve(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
    let args = Args::try_parse_from(["worldkeeper", "run"].iter().chain(flags)).unwrap();
    let environment = [("HOME", "/home/steve")].iter().chain(variables).copied().collect();
    Settings::resolve(&args.flags, &environment).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })
}

#[track_caller]
fn refuses(flags: &[&str], variables: &[(&str, &str)], words: &str) {
    let error = resolve(flags, variables).unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[test]
fn without_anything_the_defaults_are_those_of_the_documentation() {
    let settings = resolve(&[], &[]).unwrap();
    let described = settings.describe();
    for (name, expected) in [
        ("name", "data"),
        ("repository", "/repository"),
        ("remote shell", "none"),
        ("remote path", "borg"),
        ("ssh key", "none"),
        ("ssh key passphrase file", "none"),
        ("ssh known hosts", "none"),
        ("upload rate limit", "none"),
        ("upload rate limit playing", "none"),
        ("encryption", "repokey-blake2"),
        ("make parent dirs", "no"),
        ("append only", "no"),
        ("storage quota", "none"),
        ("sources", "/data"),
        ("interval", "1h"),
        ("containers", ""),
        ("processors playing", "half"),
        ("compression", "lz4"),
        ("retention", "24 hourly, 7 daily, 4 weekly, 6 monthly"),
        ("state directory", "/home/steve/.local/state/worldkeeper"),
        ("log level", "INFO"),
        ("chunker params", "buzhash,19,23,21,4095"),
        ("sparse", "no"),
        ("one file system", "no"),
        ("world checks", "on"),
        ("world cuts", "on"),
        ("checkpoint interval", "5m"),
        ("verify", "on"),
    ] {
        let (_, value, origin) = described.iter().find(|(known, ..)| *known == name).unwrap();
        assert_eq!((value.as_str(), *origin), (expected, Origin::Default), "{name}");
    }
}

#[test]
fn variables_are_read() {
    let settings = resolve(
        &[],
        &[
            ("WORLDKEEPER_NAME", "survival"),
            ("BORG_REPO_PATH", "/srv/borg"),
            ("BORG_RSH", "ssh -i '/ssh/my key'"),
            ("BORG_REMOTE_PATH", "borg1"),
            ("SSH_KEY_PATH", "/ssh/key"),
            ("SSH_KEY_PASSPHRASE_FILE", "/ssh/passphrase"),
            ("SSH_KNOWN_HOSTS", "/ssh/known_hosts"),
            ("UPLOAD_RATE_LIMIT", "5MiB"),
            ("UPLOAD_RATE_LIMIT_PLAYING", "512"),
            ("BORG_ENCRYPTION", "none"),
            ("MAKE_PARENT_DIRS", "yes"),
            ("APPEND_ONLY", "yes"),
            ("MAKE_PARENT_DIRS", "yes"),
            ("STORAGE_QUOTA", "1.5G"),
            ("BACKUP_SOURCES", "/data/world, /data/world_nether"),
            ("BACKUP_INTERVAL", "1h30m"),
            ("GAME_CONTAINER_NAME", "mc,proxy"),
            ("DOCKER_HOST", "tcp://proxy:2375"),
            ("PROCESSORS_PLAYING", "3"),
            ("BORG_COMPRESSION", "zstd,3"),
            ("WORLDKEEPER_STATE_DIR", "/state"),
            ("LOCK_WAIT", "0"),
            ("WORLDKEEPER_LOG", "Debug"),
            ("BORG_PASSPHRASE_FILE", "/run/secrets/borg"),
            ("EXCLUDE_CACHES", "yes"),
            ("EXCLUDE_IF_PRESENT", ".nobackup, .skip"),
            ("KEEP_EXCLUDE_TAGS", "no"),
            ("ONE_FILE_SYSTEM", "yes"),
            ("READ_SPECIAL", "no"),
            ("WORLD_CHECKS", "off"),
            ("WORLD_CUTS", "off"),
            ("BORG_CHUNKER_PARAMS", "fixed,4096,512"),
            ("SPARSE", "1"),
            ("CHECKPOINT_INTERVAL", "0"),
            ("READ_TIMEOUT", "90"),
            ("VERIFY", "full"),
        ],
    )
    .unwrap();
    let values: Vec<_> = settings.describe().into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(
        values,
        [
            "survival",
            "/srv/borg",
            "none",
            "yes",
            "yes",
            "1.50 GB",
            "/data/world, /data/world_nether",
            "1h30m",
            "mc, proxy",
            "tcp://proxy:2375",
            "3",
            "zstd,3",
            "24 hourly, 7 daily, 4 weekly, 6 monthly",
            "/state",
            "0s",
            "DEBUG",
            "ssh -i /ssh/my key",
            "borg1",
            "/ssh/key",
            "/ssh/passphrase",
            "/ssh/known_hosts",
            "5MiB/s",
            "512KiB/s",
            "yes",
            ".nobackup, .skip",
            "no",
            "yes",
            "no",
            "off",
            "off",
            "fixed,4096,512",
            "yes",
            "never",
            "1m30s",
            "full",
        ]
    );
    let rate = |may_run| settings.remote.upload_rate(may_run).map(std::num::NonZeroU64::get);
    assert_eq!((rate(false), rate(true)), (Some(5 << 20), Some(512 << 10)), "the smaller one while the game runs");
    assert_eq!(settings.remote.rsh.value, ["ssh", "-i", "/ssh/my key"]);
    assert_eq!(settings.passphrase_file.unwrap().value, Path::new("/run/secrets/borg"));
    assert_eq!(settings.interval.origin, Origin::Variable("BACKUP_INTERVAL"));
}

#[test]
fn flags_beat_variables() {
    let settings = resolve(
        &["--interval", "2h", "--source", "a,b", "--source", "c", "--container", "mc"],
        &[("BACKUP_INTERVAL", "soon"), ("BACKUP_SOURCES", "/data"), ("GAME_CONTAINER_NAME", "/")],
    )
    .unwrap();
    assert_eq!(settings.interval.value, Duration::from_hours(2));
    assert_eq!(settings.interval.origin, Origin::Flag("--interval"));
    // A flag is repeated instead of split: a directory may have a comma in its name.
    assert_eq!(settings.sources.value, [Path::new("a,b"), Path::new("c")]);
    assert_eq!(settings.name.value, "mc");
}

#[test]
fn a_repository_on_another_machine_is_said_as_a_whole_or_in_pieces() {
    let pieces = [("REMOTE_HOST", "borg@nas"), ("REMOTE_PATH", "world"), ("REMOTE_PORT", "2222")];
    let repository = |flags: &[&str], variables: &[(&str, &str)]| {
        let repository = resolve(flags, variables).unwrap().repository;
        (repository.value.to_string(), repository.origin)
    };
    let url = "ssh://borg@nas:2222/./world".to_owned();
    assert_eq!(repository(&[], &pieces), (url.clone(), Origin::Variable("REMOTE_HOST")));
    assert_eq!(repository(&["--repository", &url], &[]), (url.clone(), Origin::Flag("--repository")));
    assert_eq!(repository(&["--repository", "/srv"], &pieces), ("/srv".to_owned(), Origin::Flag("--repository")));
    let both = [pieces.as_slice(), &[("BORG_REPO_PATH", "/srv")]].concat();
    refuses(&[], &both, "BORG_REPO_PATH and REMOTE_HOST are both set");
    refuses(&[], &[("BORG_REPO", "/srv"), ("REMOTE_PORT", "1")], "BORG_REPO and REMOTE_PORT are both set");
    refuses(&[], &[("REMOTE_PATH", "/srv")], "REMOTE_PATH is set, but not REMOTE_HOST");
}

#[test]
fn an_empty_variable_is_not_set_and_an_empty_flag_is_wrong() {
    let empty = ["BACKUP_INTERVAL", "BORG_REPO", "BACKUP_SOURCES", "KEEP_DAILY", "DOCKER_HOST", "WORLDKEEPER_NAME"];
    let settings = resolve(&[], &empty.map(|name| (name, ""))).unwrap();
    assert!(settings.describe().iter().all(|(.., origin)| *origin == Origin::Default));
    refuses(&["--interval", ""], &[], "--interval cannot be \"\"");
    refuses(&["--state-dir", ""], &[], "--state-dir cannot be \"\"");
}

#[test]
fn bad_values_are_named_with_their_origin() {
    refuses(&[], &[("BACKUP_INTERVAL", "soon")], "BACKUP_INTERVAL cannot be \"soon\": a duration is");
    refuses(&["--interval", "0"], &[], "--interval cannot be \"0\": an interval is at least one second");
    refuses(
        &[],
        &[("BORG_REPO", "nas:")],
        "BORG_REPO cannot be \"nas:\": it names another machine, but it names no path",
    );
    refuses(&["--rsh", "ssh 'a"], &[], "--rsh cannot be \"ssh 'a\": a quotation mark is not closed");
    refuses(&["--rsh", " "], &[], "--rsh cannot be \" \": a command is expected");
    refuses(&["--remote-path", ""], &[], "--remote-path cannot be \"\": the name or path of borg");
    refuses(&["--ssh-key", ""], &[], "--ssh-key cannot be \"\": the path of a file or directory is expected");
    refuses(&[], &[("PROCESSORS_PLAYING", "0")], "PROCESSORS_PLAYING cannot be \"0\": expected a number of processors");
    refuses(&[], &[("UPLOAD_RATE_LIMIT", "fast")], "UPLOAD_RATE_LIMIT cannot be \"fast\": expected how much");
    refuses(
        &["--upload-rate-limit-playing", "8kbit"],
        &[],
        "--upload-rate-limit-playing cannot be \"8kbit\": a rate is",
    );
    refuses(&[], &[("BORG_COMPRESSION", "gzip")], "BORG_COMPRESSION cannot be \"gzip\"");
    refuses(&["--storage-quota", "5M"], &[], "--storage-quota cannot be \"5M\": expected a size of at least 10M");
    refuses(&[], &[("APPEND_ONLY", "maybe")], "APPEND_ONLY cannot be \"maybe\": expected yes or no");
    refuses(&[], &[("BORG_ENCRYPTION", "aes")], "BORG_ENCRYPTION cannot be \"aes\": expected repokey");
    refuses(&[], &[("BACKUP_SOURCES", "/a,,/b")], "BACKUP_SOURCES cannot be \"/a,,/b\"");
    refuses(&[], &[("BACKUP_SOURCES", "/a,/a")], "the source /a is named twice");
    refuses(&[], &[("GAME_CONTAINER_NAME", "a/b")], "GAME_CONTAINER_NAME cannot be \"a/b\"");
    refuses(&[], &[("WORLD_CHECKS", "maybe")], "WORLD_CHECKS cannot be \"maybe\": expected on or off");
    refuses(&["--world-cuts", "fine"], &[], "--world-cuts cannot be \"fine\": expected on or off");
    refuses(&[], &[("DOCKER_HOST", "https://x")], "DOCKER_HOST cannot be \"https://x\"");
    refuses(&[], &[("WORLDKEEPER_LOG", "loud")], "WORLDKEEPER_LOG cannot be \"loud\": expected one of debug");
    refuses(&[], &[("WORLDKEEPER_NAME", "a/b")], "WORLDKEEPER_NAME cannot be \"a/b\"");
    refuses(&[], &[("BACKUP_CRON", "0 * * * *")], "BACKUP_CRON is set, but a schedule by cron expression is not");
    refuses(&[], &[("WORLDKEEPER_NAEM", "x")], "did you mean WORLDKEEPER_NAME?");
    refuses(&["--source", "/"], &[], "the series has no name: no name can be made from the source /");
    refuses(&[], &[("HOME", "")], "neither XDG_STATE_HOME nor HOME is set");
}

#[test]
fn one_rule_replaces_all_default_rules() {
    let rules = resolve(&["--keep-daily", "3"], &[("KEEP_LAST", "-1")]).unwrap().retention;
    let expected = vec![(Period::Secondly, Count::Unlimited), (Period::Daily, Count::AtMost(3))];
    assert_eq!(rules.value.periods, expected);
    assert_eq!(rules.origin, Origin::Flag("--keep-daily"));
    assert_eq!(rules.value.within, None);
    let rules = resolve(&[], &[("KEEP_WITHIN", "2d")]).unwrap().retention.value;
    assert_eq!((rules.within, rules.periods.len()), (Some(Duration::from_hours(48)), 0));
    refuses(&[], &[("KEEP_DAILY", "0")], "every archive would be deleted");
    refuses(&[], &[("KEEP_DAILY", "many")], "KEEP_DAILY cannot be \"many\"");
    refuses(&[], &[("KEEP_WITHIN", "2x")], "KEEP_WITHIN cannot be \"2x\"");
}

#[test]
fn what_is_no_text_is_said_to_be_none() {
    let environment = [("BACKUP_INTERVAL", OsStr::from_bytes(b"1h\xff"))].into_iter().collect();
    let args = Args::try_parse_from(["worldkeeper", "run"]).unwrap();
    let error = Settings::resolve(&args.flags, &environment).unwrap_err();
    assert_eq!(error.to_string(), "BACKUP_INTERVAL is not valid UTF-8");
}
