//! Locks across containers: process ids are others' there, host names come and go, and only the state directory tells who
//! one is.

use std::process::{Command, Stdio};
use std::time::Duration;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::peers;
use worldkeeper_testkit::strace::{self, Call};
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};
use worldkeeper_tests::{eventually, locks};

use crate::place::Place;
use crate::stopped::Stopped;

/// The words that start a command with process ids and a host name of its own, as a container does; all of it ends
/// when the first of these processes is killed.
fn container(host: &str) -> Vec<String> {
    let enter = format!("hostname {host}; exec \"$@\"");
    let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "sh", "-c"];
    unshare.into_iter().map(str::to_owned).chain([enter, "container".to_owned()]).collect()
}

fn run_in(host: &str, keeper: &Worldkeeper, args: &[&str]) -> Outcome {
    Outcome::of(&mut keeper.command_under(&container(host), args))
}

/// Stops a backup in a container as it begins to write a segment.
fn stopped_in(host: &str, keeper: &Worldkeeper) -> Stopped {
    let wrapper = container(host);
    let wrapper: Vec<_> = wrapper.iter().map(String::as_str).collect();
    let syncs = Call::counted("fdatasync", 1);
    let stopped = Stopped::at(&syncs, keeper, &wrapper, &["backup"]).expect("a backup syncs");
    assert!(keeper.repository().join("lock.exclusive").exists(), "it holds the lock");
    stopped
}

fn is_possible() -> bool {
    let found = if peers::is_root() { Ok(()) } else { Err("namespaces need it".to_owned()) };
    strace::is_there() && peers::or_skip("root", found).is_some()
}

fn place() -> Option<Place> {
    let mut place = is_possible().then(|| Place::new("repokey-blake2"))?;
    let _ = place.archive("first");
    place.change_world("second");
    place.keeper = place.keeper.with("LOCK_WAIT", "0s");
    Some(place)
}

/// The process that is asked for has the same number in each of them.
#[test]
fn a_living_lock_of_ours_is_respected_in_every_container() {
    let Some(place) = place() else { return };
    let stopped = stopped_in("one", &place.keeper);
    for host in ["one", "two"] {
        let _ = run_in(host, &place.keeper, &["backup"]).exits(2).says(&["lock"]);
        let _ =
            run_in(host, &place.keeper.clone().with("WORLDKEEPER_STATE_DIR", place.folder().join("other")), &["list"])
                .exits(2)
                .says(&["lock"]);
    }
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let inner = borg.command();
        let mut command = Command::new("unshare");
        command.args(&container("one")[1..]).arg(inner.get_program());
        command.args(["--lock-wait", "0", "compact"]).arg(place.keeper.repository()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let _ = Outcome::of(&mut command).exits(2).says(&["lock"]);
    }
    stopped.end();
}

#[test]
fn a_dead_lock_of_ours_is_cleared_in_the_next_container() {
    let Some(place) = place() else { return };
    for host in ["two", "three"] {
        stopped_in("one", &place.keeper).end();
        // The first process of a container takes the others along, but the last of them may take a moment to be gone.
        let keeper = place.keeper.clone().with("LOCK_WAIT", "10s");
        let _ = run_in(host, &keeper, &["backup"]).exits(0);
        assert!(locks(&keeper.repository()).is_empty());
    }
}

/// Whoever has another state directory cannot know.
#[test]
fn a_dead_lock_of_another_state_directory_is_not_ours_to_clear() {
    let Some(place) = place() else { return };
    let other = place.keeper.clone().with("WORLDKEEPER_STATE_DIR", place.folder().join("other"));
    stopped_in("one", &place.keeper).end();
    let _ = run_in("one", &other, &["list"]).exits(2).says(&["lock", "break-lock"]);
    assert!(!locks(&place.keeper.repository()).is_empty());
}

#[test]
fn a_lock_of_stock_is_respected_in_every_container() {
    let Some(place) = place() else { return };
    for borg in Borg::all() {
        let borg = borg.with_passphrase(PASSPHRASE);
        let inner = borg.command();
        let mut command = Command::new("unshare");
        command.args(&container("one")[1..]).arg(inner.get_program());
        command.arg("with-lock").arg(place.keeper.repository()).args(["sh", "-c", "read release"]).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut holder = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("unshare can be started");
        eventually("stock holds the lock", Duration::from_mins(1), || {
            place.keeper.repository().join("lock.exclusive").exists().then_some(())
        });
        for host in ["one", "two"] {
            let _ = run_in(host, &place.keeper, &["backup"]).exits(2).says(&["lock"]);
        }
        drop(holder.stdin.take());
        let _ = holder.wait().expect("it can be waited for");
        let _ = place.keeper.clone().with("LOCK_WAIT", "10s").run(["backup"]);
    }
}
