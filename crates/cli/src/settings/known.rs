//! Which environment variables mean something, and what is said about those that do not.

use super::{Environment, SettingsError};

/// All variables of ours.
const KNOWN: [&str; 52] = [
    "WORLDKEEPER_NAME",
    "WORLDKEEPER_STATE_DIR",
    "WORLDKEEPER_LOG",
    "BORG_REPO_PATH",
    "BORG_REPO",
    "REMOTE_HOST",
    "REMOTE_PATH",
    "REMOTE_USER",
    "REMOTE_PORT",
    "BORG_RSH",
    "BORG_REMOTE_PATH",
    "SSH_KEY_PATH",
    "SSH_KEY_PASSPHRASE_FILE",
    "SSH_KNOWN_HOSTS",
    "UPLOAD_RATE_LIMIT",
    "UPLOAD_RATE_LIMIT_PLAYING",
    "BORG_PASSPHRASE",
    "BORG_PASSPHRASE_FILE",
    "BORG_PASSPHRASE_FD",
    "BORG_PASSCOMMAND",
    "BORG_ENCRYPTION",
    "APPEND_ONLY",
    "MAKE_PARENT_DIRS",
    "STORAGE_QUOTA",
    "BORG_COMPRESSION",
    "BORG_CHUNKER_PARAMS",
    "SPARSE",
    "VERIFY",
    "CHECKPOINT_INTERVAL",
    "READ_TIMEOUT",
    "BACKUP_SOURCES",
    "EXCLUDE_CACHES",
    "EXCLUDE_IF_PRESENT",
    "KEEP_EXCLUDE_TAGS",
    "ONE_FILE_SYSTEM",
    "READ_SPECIAL",
    "WORLD_CHECKS",
    "WORLD_CUTS",
    "BACKUP_INTERVAL",
    "GAME_CONTAINER_NAME",
    "DOCKER_HOST",
    "PROCESSORS_PLAYING",
    "KEEP_LAST",
    "KEEP_MINUTELY",
    "KEEP_HOURLY",
    "KEEP_DAILY",
    "KEEP_WEEKLY",
    "KEEP_MONTHLY",
    "KEEP_YEARLY",
    "KEEP_WITHIN",
    "LOCK_WAIT",
    "TZ",
];

/// Variables that will mean something, what that is, and what there is instead. Passing over them would back up at the wrong
/// time, or let archives go that were to stay.
const LATER: [(&str, &str, &str); 4] = [
    ("BACKUP_CRON", "a schedule by cron expression", "backups by interval (BACKUP_INTERVAL=1h) work"),
    ("KEEP_SECONDLY", "borg's other name for KEEP_LAST", "KEEP_LAST keeps as many"),
    ("KEEP_13WEEKLY", "a rule by quarters of thirteen weeks", "set KEEP_MONTHLY to three times that number"),
    ("KEEP_3MONTHLY", "a rule by quarters of three months", "set KEEP_MONTHLY to three times that number"),
];

/// What Kubernetes sets for a service called `worldkeeper`.
const KUBERNETES: [&str; 2] = ["WORLDKEEPER_SERVICE_", "WORLDKEEPER_PORT"];

/// Refuses variables that were surely meant for us and would have no effect.
pub(super) fn check(environment: &Environment) -> Result<(), SettingsError> {
    for (variable, what, instead) in LATER {
        if environment.value(variable).is_some() {
            return Err(SettingsError::NotSupportedYet { variable, what, instead });
        }
    }
    for name in environment.names().filter(|name| name.starts_with("WORLDKEEPER_")) {
        if !KNOWN.contains(&name) && !KUBERNETES.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(SettingsError::UnknownVariable { name: name.to_owned(), nearest: nearest(name) });
        }
    }
    Ok(())
}

/// Variables that nearly have a name of ours, each with the one that may be meant. The environment is other programs', too,
/// so they are no error; but passed over in silence, a misspelt `KEEP_DAILY` lets archives go that were to stay.
pub(crate) fn misspelt(environment: &Environment) -> impl Iterator<Item = (&str, &'static str)> {
    let set = environment.names().filter(|name| environment.value(name).is_some() && !KNOWN.contains(name));
    set.filter_map(|name| Some((name, *KNOWN.iter().find(|known| is_nearly(name, known))?)))
}

/// Returns whether a name begins with the first word of a known one, and goes on nearly as that does, or ends before it.
fn is_nearly(name: &str, known: &str) -> bool {
    let (Some((first, rest)), Some((known_first, known_rest))) = (name.split_once('_'), known.split_once('_')) else {
        return false;
    };
    // Of less there are too many that differ in two letters.
    let is_long = name.len() >= 8;
    // Days for daily, caches for cache.
    let stem = |word: &str| word.strip_suffix("LY").or(word.strip_suffix('S')).unwrap_or(word).to_owned();
    let distance = strsim::damerau_levenshtein;
    let ends_early = || known_rest.strip_prefix(rest).is_some_and(|more| more.starts_with('_'));
    let is_near = || ends_early() || distance(rest, known_rest) <= 2 || distance(&stem(rest), &stem(known_rest)) <= 1;
    is_long && first == known_first && is_near()
}

/// The known variable most like `name`, by its whole name or by what follows the first word.
fn nearest(name: &str) -> &'static str {
    let likeness = |known: &&'static str| {
        let whole = strsim::normalized_damerau_levenshtein(name, known);
        let rest = strsim::normalized_damerau_levenshtein(behind_first_word(name), behind_first_word(known));
        // Who stopped too early meant what goes on; else the whole name decides between those that end alike.
        f64::from(u8::from(known.starts_with(name))) + whole.max(rest) + whole / 100.0
    };
    let mut best = KNOWN[0];
    for known in &KNOWN {
        if likeness(known) > likeness(&best) {
            best = known;
        }
    }
    best
}

fn behind_first_word(name: &str) -> &str {
    name.split_once('_').map_or(name, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(variables: &[(&str, &str)]) -> Option<String> {
        check(&variables.iter().copied().collect()).err().map(|error| error.to_string())
    }

    #[test]
    fn unknown_variables_name_the_nearest() {
        for (name, expected) in [
            ("WORLDKEEPER_NAM", "WORLDKEEPER_NAME"),
            ("WORLDKEEPER_STATEDIR", "WORLDKEEPER_STATE_DIR"),
            ("WORLDKEEPER_STATE", "WORLDKEEPER_STATE_DIR"),
            ("WORLDKEEPER_LOG_LEVEL", "WORLDKEEPER_LOG"),
            ("WORLDKEEPER_INTERVAL", "BACKUP_INTERVAL"),
            ("WORLDKEEPER_SOURCES", "BACKUP_SOURCES"),
            ("WORLDKEEPER_REPO", "BORG_REPO"),
            ("WORLDKEEPER_PASSPHRASE_FILE", "BORG_PASSPHRASE_FILE"),
        ] {
            assert_eq!(nearest(name), expected, "{name}");
            assert!(error(&[(name, "x")]).is_some_and(|error| error.contains(name)), "{name}");
            // An unknown name stays unknown when it is empty.
            assert!(error(&[(name, "")]).is_some());
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let variables = [
            ("WORLDKEEPER_SERVICE_HOST", "10.0.0.1"),
            ("WORLDKEEPER_PORT", "tcp://10.0.0.1:80"),
            ("WORLDKEEPER_PORT_80_TCP", "x"),
            ("WORLDKEEPERS", "x"),
            ("KEEP_CALM", "1"),
            ("BACKUP_CRON", ""),
        ];
        assert_eq!(error(&variables), None);
    }

    #[test]
    fn what_is_nearly_ours_names_what_may_be_meant() {
        for (name, expected) in [
            ("KEEP_DAYLY", Some("KEEP_DAILY")),
            ("KEEP_DAYS", Some("KEEP_DAILY")),
            ("KEEP_HOURS", Some("KEEP_HOURLY")),
            ("BACKUP_INTERVALL", Some("BACKUP_INTERVAL")),
            ("BACKUP_SOURCE", Some("BACKUP_SOURCES")),
            ("EXCLUDE_CACHE", Some("EXCLUDE_CACHES")),
            ("BORG_PASPHRASE", Some("BORG_PASSPHRASE")),
            ("GAME_CONTAINER", Some("GAME_CONTAINER_NAME")),
            ("GAME_CONT", None),
            ("REMOTE_HOSTS", Some("REMOTE_HOST")),
            ("KEEP_CALM", None),
            ("KEEP_MAX", None),
            ("KEPT_DAILY", None),
            ("BACKUP_DIR", None),
            ("TZS", None),
        ] {
            let environment = [(name, "3")].into_iter().collect();
            assert_eq!(misspelt(&environment).next(), expected.map(|known| (name, known)), "{name}");
        }
        assert_eq!(misspelt(&[("KEEP_DAYLY", ""), ("KEEP_DAILY", "3")].into_iter().collect()).next(), None);
    }

    /// What stock reads means something, and what others often set is theirs.
    /// Source: borg 1.4.5, all names in its modules.
    #[test]
    fn the_variables_of_borg_and_others_are_not_misspelt() {
        const THEIRS: &str = "BORG_BASE_DIR BORG_CACHE_DIR BORG_CHECK_I_KNOW_WHAT_I_AM_DOING BORG_CONFIG_DIR \
            BORG_DELETE_I_KNOW_WHAT_I_AM_DOING BORG_DISPLAY_PASSPHRASE BORG_EXIT_CODES BORG_FILES_CACHE_SUFFIX \
            BORG_FILES_CACHE_TTL BORG_FUSE_IMPL BORG_HOSTNAME BORG_HOST_ID BORG_JSON_INDENT BORG_KEYS_DIR BORG_KEY_FILE \
            BORG_LOGGING_CONF BORG_MOUNT_DATA_CACHE_ENTRIES BORG_MSGPACK_VERSION_CHECK BORG_NEW_PASSPHRASE \
            BORG_RELOCATED_REPO_ACCESS_IS_OK BORG_SECURITY_DIR BORG_SELFTEST BORG_SHOW_SYSINFO \
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK BORG_USERNAME BORG_USE_CHUNKS_ARCHIVE BORG_VERSION BORG_WORKAROUNDS \
            DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH REMOTE_ADDR SSH_AUTH_SOCK SSH_CONNECTION SSH_CLIENT SSH_ASKPASS";
        let environment = THEIRS.split_whitespace().map(|name| (name, "x")).collect();
        assert_eq!(misspelt(&environment).collect::<Vec<_>>(), []);
    }

    #[test]
    fn what_comes_later_is_not_passed_over() {
        for (variable, ..) in LATER {
            assert!(error(&[(variable, "x")]).unwrap().contains("not supported yet"), "{variable}");
        }
    }
}
