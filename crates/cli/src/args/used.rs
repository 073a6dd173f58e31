//! Which settings each verb uses: its help shows these and no others.
//!
//! All are taken behind every verb, since they are said once for all of them in the environment. So each verb gets a
//! hidden copy of every setting that it has no use for, in the place of the one that clap would give it.

use clap::{Arg, Command};

use super::KEEP;

/// The repository, and how it is opened.
const OPEN: &[&str] = &["repository", "passphrase_file", "state_dir", "lock_wait", "log_level"];
/// How one on another machine is reached.
const REACH: &[&str] = &["rsh", "remote_path", "ssh_key", "ssh_key_passphrase_file", "ssh_known_hosts"];
/// How much is sent.
const UPLOAD: &[&str] = &["upload_rate_limit", "upload_rate_limit_playing"];
/// The series, of which `latest` is the newest archive: by its name, or by what gives it one.
const SERIES: &[&str] = &["name", "sources", "containers"];
/// How a repository is made.
const MAKE: &[&str] = &["encryption", "append_only", "make_parent_dirs", "storage_quota"];
/// What is read, and how.
const READ: &[&str] =
    &["sources", "one_file_system", "read_special", "world_checks", "world_cuts", "sparse", "read_timeout"];
/// How chunks are made.
const CHUNKS: &[&str] = &["compression", "chunker_params"];
/// How archives are stored.
const STORE: &[&str] = &["checkpoint_interval", "verify"];
/// Whether the game runs.
const GAME: &[&str] = &["containers", "docker_host"];
/// What is left to it.
const PLAYING: &[&str] = &["processors_playing"];
/// When a backup is due.
const DUE: &[&str] = &["interval"];
/// What a pruning keeps.
const KEPT: &[&str] = &[
    "keep_last",
    "keep_minutely",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
    "keep_within",
];

/// The verbs, and what each uses.
const USED: &[(&str, &[&[&str]])] = &[
    ("run", &[OPEN, REACH, UPLOAD, SERIES, MAKE, READ, CHUNKS, STORE, GAME, PLAYING, DUE, KEPT]),
    ("backup", &[OPEN, REACH, UPLOAD, SERIES, MAKE, READ, CHUNKS, STORE, GAME, PLAYING]),
    ("list", &[OPEN, REACH, SERIES]),
    ("info", &[OPEN, REACH, SERIES]),
    ("find", &[OPEN, REACH]),
    ("restore", &[OPEN, REACH, SERIES, GAME]),
    ("diff", &[OPEN, REACH, SERIES]),
    ("rename", &[OPEN, REACH, SERIES]),
    ("recreate", &[OPEN, REACH, UPLOAD, SERIES, CHUNKS]),
    ("export-tar", &[OPEN, REACH, SERIES]),
    ("import-tar", &[OPEN, REACH, UPLOAD, CHUNKS, STORE]),
    ("delete", &[OPEN, REACH]),
    ("undelete", &[OPEN, REACH]),
    ("prune", &[OPEN, REACH, SERIES, KEPT]),
    ("compact", &[OPEN, REACH]),
    ("check", &[OPEN, REACH]),
    ("config", &[REACH, &["repository", "state_dir", "lock_wait", "log_level"]]),
    ("key", &[OPEN, REACH]),
    ("break-lock", &[REACH, &["repository", "state_dir", "log_level"]]),
    ("adopt", &[REACH, &["passphrase_file", "state_dir", "lock_wait", "log_level"]]),
    ("trust-host", &[&["repository", "state_dir", "log_level"]]),
    ("ssh-key", &[&["repository", "remote_path", "state_dir", "log_level"]]),
    #[cfg(feature = "bench")]
    ("bench", &[&["log_level"]]),
    ("serve", &[]),
    ("status", &[&["repository", "state_dir", "log_level"], SERIES, GAME, DUE]),
    ("doctor", &[OPEN, REACH, SERIES, GAME]),
];

/// The verbs that use so many that they stand under headings.
const USE_MANY: [&str; 2] = ["run", "backup"];

const SETTINGS: &str = "Settings";

/// The command line, with the help of each verb cut down to what it uses.
pub(super) fn command(command: Command) -> Command {
    let settings: Vec<Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    USED.iter().fold(command, |command, (verb, used)| {
        command.mut_subcommand(verb, |verb| {
            let is_own = |setting: &&Arg| verb.get_arguments().any(|own| own.get_id() == setting.get_id());
            let shown = |setting: &Arg| shown(setting, verb.get_name(), used);
            let copies: Vec<_> = settings.iter().filter(|setting| !is_own(setting)).map(shown).collect();
            verb.args(copies)
        })
    })
}

/// A setting as the help of a verb has it.
fn shown(setting: &Arg, verb: &str, used: &[&[&str]]) -> Arg {
    let setting = setting.clone();
    if !used.iter().any(|group| group.contains(&setting.get_id().as_str())) {
        return setting.hide(true);
    }
    let stays = USE_MANY.contains(&verb) || setting.get_help_heading() == Some(KEEP);
    if stays { setting } else { setting.help_heading(SETTINGS) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::super::Args;
    use super::*;

    fn help(verb: &str) -> String {
        let mut command = command(Args::command()).term_width(110);
        command.build();
        command.find_subcommand_mut(verb).unwrap().render_long_help().to_string()
    }

    #[test]
    fn every_verb_and_every_setting_is_in_the_table() {
        let command = Args::command();
        let verbs: BTreeSet<_> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(USED.iter().map(|(verb, _)| *verb).collect::<BTreeSet<_>>(), verbs);
        let settings = command.get_arguments().filter(|arg| arg.is_global_set());
        let settings: BTreeSet<_> = settings.map(|arg| arg.get_id().as_str()).collect();
        let used: BTreeSet<_> = USED.iter().flat_map(|(_, used)| used.concat()).collect();
        assert_eq!(used, settings);
        // A verb's own argument of that id would be taken for the setting.
        for verb in command.get_subcommands() {
            let own = verb.get_arguments().map(|arg| arg.get_id().as_str()).filter(|id| settings.contains(id));
            let expected: &[&str] = if verb.get_name() == "restore" { &["sparse"] } else { &[] };
            assert_eq!(own.collect::<Vec<_>>(), expected, "{}", verb.get_name());
        }
    }

    #[test]
    fn help_shows_what_the_verb_uses_and_no_line_is_too_wide() {
        for &(verb, used) in USED {
            let help = help(verb);
            for setting in Args::command().get_arguments().filter(|arg| arg.is_global_set()) {
                let flag = format!("--{} ", setting.get_long().unwrap());
                let is_used = used.concat().contains(&setting.get_id().as_str());
                let is_own = verb == "restore" && flag == "--sparse ";
                let is_shown = help.lines().any(|line| format!("{} ", line.trim_start()).contains(&flag));
                assert!(is_own || is_shown == is_used, "{verb}: {flag}\n{help}");
            }
            assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
        }
    }

    #[test]
    fn what_is_not_shown_is_taken_all_the_same() {
        for line in
            ["list --keep-daily 3 --source a", "--keep-daily 3 --source a list", "key --source a export --keep-daily 3"]
        {
            let matches =
                command(Args::command()).try_get_matches_from(std::iter::once("worldkeeper").chain(line.split(' ')));
            let args = <Args as clap::FromArgMatches>::from_arg_matches(&matches.unwrap()).unwrap();
            assert_eq!(args.flags.keep_daily.as_deref(), Some("3"), "{line}");
            assert_eq!(args.flags.sources, ["a"], "{line}");
        }
    }
}
