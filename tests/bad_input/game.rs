//! What a game does, as an engine of one answer tells it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use worldkeeper_testkit::worldkeeper::Worldkeeper;
use worldkeeper_tests::within;

use crate::{machine_without_engine, place};

/// Answers every request at `socket` with this, as long as the test runs.
fn answer(socket: &Path, body: String) {
    let listener = UnixListener::bind(socket).expect("the name is free");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("whoever asks is there");
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let len = stream.read(&mut piece).expect("the request comes");
                request.extend_from_slice(&piece[..len]);
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
            write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}").expect("the answer is read");
        }
    });
}

/// Beside a game of whose container the engine says this; behind a socket of that name.
fn beside(keeper: &Worldkeeper, name: &str, state: &str) -> Worldkeeper {
    let socket = keeper.folder().join(name);
    answer(&socket, format!(r#"{{"Id":"1","State":{{{state}}}}}"#));
    watching(keeper, name)
}

fn watching(keeper: &Worldkeeper, socket: &str) -> Worldkeeper {
    let socket = keeper.folder().join(socket);
    keeper.clone().with("GAME_CONTAINER_NAME", "mc").with("DOCKER_HOST", format!("unix://{}", socket.display()))
}

/// Beside a game that rests, and ended then.
fn beside_one_that_ended(keeper: &Worldkeeper, name: &str, finished: &str) -> Worldkeeper {
    beside(keeper, name, &format!(r#""Status":"exited","FinishedAt":"{finished}""#))
}

/// A machine that has just begun: the daemon is there before the engine.
#[test]
fn an_engine_that_comes_later_is_watched_through() {
    let (folder, keeper) = place();
    let Some(machine) = machine_without_engine() else { return };
    let keeper = keeper.with("GAME_CONTAINER_NAME", "mc").without("DOCKER_HOST");
    let log = folder.path().join("log");
    let mut command = keeper.command_under(&machine, ["run"]);
    let mut daemon = command.stdout(File::create(&log).unwrap()).stderr(Stdio::null()).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let says = |words| within(Duration::from_secs(30), || said().contains(words).then_some(())).is_some();
    // It says so in its own place, whose socket is none of the machine's.
    let is_warned = says("there is no Docker socket");
    if is_warned {
        let socket = format!("/proc/{}/root/run/docker.sock", daemon.id());
        answer(Path::new(&socket), r#"{"ApiVersion":"1.41","Id":"1","State":{"Status":"exited"}}"#.to_owned());
    }
    let is_watched = is_warned && says("container mc is not running (exited)");
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success() && is_watched, "{}", said());
    assert!(!keeper.repository().exists(), "there is nothing of a game that rests");
}

#[test]
fn a_game_that_ended_long_after_the_last_good_archive_was_not_saved() {
    let (_folder, keeper) = place();
    let _ = keeper.backup();
    let _ = beside_one_that_ended(&keeper, "before", "2020-01-01T00:00:00Z").run(["status"]);
    // A century ago.
    for entry in fs::read_dir(keeper.state().join("history")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(":\"20", ":\"19")).unwrap();
    }
    for (name, finished) in [("never", "0001-01-01T00:00:00Z"), ("odd", "yesterday"), ("nothing", "")] {
        let _ = beside_one_that_ended(&keeper, name, finished).run(["status"]);
    }
    let played = beside_one_that_ended(&keeper, "later", "2026-11-06T23:00:00.123456789+01:00");
    let _ = played.try_run(["status"]).exits(1).says(&[
        "container mc ran until",
        "(Fri, 2026-11-06 22:00:00)",
        "played since is in no archive",
        "run `worldkeeper backup`",
    ]);
    let _ = played.backup();
    let _ = played.run(["status"]);
}

#[test]
fn a_game_that_may_run_while_its_world_is_replaced() {
    let (_folder, keeper) = place();
    let _ = keeper.backup();
    let restore = ["restore", "latest", "--overwrite"];
    for status in ["exited", "created", "dead"] {
        let _ = beside(&keeper, status, &format!(r#""Status":"{status}""#)).try_run(restore).exits(0);
    }
    for (status, said) in
        [("running", "container mc runs"), ("paused", "mc is paused"), ("restarting", "mc is restarting")]
    {
        let game = beside(&keeper, status, &format!(r#""Status":"{status}","Running":true"#));
        let _ = game.try_run(restore).exits(1).says(&[said, "is lost when it saves", "stop it first"]);
    }
    // Nobody listens.
    let silent = watching(&keeper, "nobody").try_run(restore).exits(1);
    let _ = silent.says(&["it is not known whether container mc runs", "stop it first"]);
    // Elsewhere it does no harm.
    let target = keeper.folder().join("elsewhere");
    let _ = watching(&keeper, "nobody").try_run(["restore", "latest", "--to", target.to_str().unwrap()]).exits(0);
}
