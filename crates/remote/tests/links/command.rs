//! What only a spawned command has: a process.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use worldkeeper_core::Stop;
use worldkeeper_remote::command::{CommandConnector, CommandOptions, is_ours};
use worldkeeper_remote::{Connect, Ended, Incoming, RemoteLocation, ServeCommand};

use crate::talk::{connect, talk};

/// A shell script in place of `ssh`; host and command come to it as arguments.
fn script(script: &str) -> CommandConnector {
    script_with(script, CommandOptions::default())
}

fn script_with(script: &str, options: CommandOptions) -> CommandConnector {
    let location = RemoteLocation::parse("host:path").unwrap().unwrap();
    let rsh = ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    CommandConnector::new(&location, &ServeCommand::default(), CommandOptions { rsh, ..options })
}

#[test]
fn it_gets_host_and_command_as_borg_gives_them() {
    let heard = talk(&script("echo $@; cat; echo no >&2; exit 3"), [Bytes::from("in")]);
    assert_eq!((&*heard.output, &*heard.errors), (&b"host borg serve\nin"[..], &b"no\n"[..]));
    assert_eq!(heard.ended, Ended::Exited(3));
    assert_eq!(talk(&script("kill -9 $$"), []).ended, Ended::Killed("SIGKILL".into()));
}

#[test]
fn it_sees_no_secret() {
    let options = CommandOptions { hidden: vec!["PATH".into()], ..Default::default() };
    let heard = talk(&script_with("/usr/bin/env", options), []);
    let seen = String::from_utf8(heard.output).unwrap();
    assert!(seen.contains("CARGO") && !seen.lines().any(|line| line.starts_with("PATH=/")), "{seen}");
}

#[test]
fn one_that_is_not_there_is_said_to_be() {
    let location = RemoteLocation::parse("host:path").unwrap().unwrap();
    let options = CommandOptions { rsh: vec!["/no/such/ssh".into()], ..Default::default() };
    let connector = CommandConnector::new(&location, &ServeCommand::default(), options);
    let error = connector.connect(&Stop::default()).unwrap_err();
    assert!(error.message.starts_with("cannot start /no/such/ssh: No such file"), "{error}");
}

/// Ends when the process has gone, however it went.
fn wait_for_end(process: u32) {
    while is_ours(process) || Path::new("/proc").join(process.to_string()).exists() {
        std::thread::yield_now();
    }
}

#[test]
fn one_that_nobody_listens_to_any_more_is_ended_however_busy_it_is() {
    let options = || CommandOptions { patience: Duration::from_millis(50), ..Default::default() };
    for script in [
        "echo $$; cat",                                       // goes at the end of its input
        "echo $$; exec sleep 1000",                           // does not look
        "trap '' TERM; echo $$; while :; do sleep 0.1; done", // does not listen
        "echo $$; exec cat /dev/zero",                        // has too much to say
    ] {
        let mut link = connect(&script_with(script, options()));
        let Some(Incoming::Output(line)) = link.output.blocking_recv() else { panic!("{script} says nothing") };
        let number = String::from_utf8_lossy(&line).lines().next().unwrap().to_owned();
        let process = number.parse().unwrap();
        assert!(is_ours(process));
        drop(link);
        wait_for_end(process);
    }
}

#[test]
fn what_it_leaves_behind_is_not_waited_for() {
    let options = CommandOptions { patience: Duration::from_millis(50), ..Default::default() };
    let heard = talk(&script_with("sleep 1000 & echo $!", options), []);
    assert_eq!(heard.ended, Ended::Exited(0));
    let left = String::from_utf8(heard.output).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(left).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
}
