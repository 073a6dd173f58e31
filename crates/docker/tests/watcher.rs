//! The watcher and the one-shot question against a daemon that misbehaves.

mod fake;

use std::time::Duration;

use fake::{FakeDaemon, Reply, container, event};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use worldkeeper_docker::State::{Missing, NotRunning, Running};
use worldkeeper_docker::{ContainerName, DockerError, Endpoint, MountKind, Pace, State, Watch, Watcher, inspect};

/// A pace at which nothing but the first reading, events and new connections makes the watcher look.
const BY_EVENTS: Pace = Pace {
    request_timeout: Duration::from_mins(1),
    settle: Duration::from_hours(1),
    check: Duration::from_hours(1),
    first_retry: Duration::from_millis(1),
    longest_retry: Duration::from_millis(2),
};

struct Watching {
    said: Receiver<Watch>,
    ended: JoinHandle<()>,
}

impl Watching {
    fn start(endpoint: &Endpoint, names: &[&str], pace: Pace) -> Self {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        let (sender, said) = channel(1);
        Self { said, ended: tokio::spawn(Watcher::with_pace(endpoint.clone(), names, pace).run(sender)) }
    }

    /// The states said next.
    async fn states(&mut self) -> Vec<State> {
        match self.said.recv().await.unwrap() {
            Watch::Known(containers) => containers.iter().map(|container| container.state).collect(),
            Watch::Unreachable { reason } => panic!("not reachable: {reason}"),
        }
    }

    /// The reason why nothing is known, said next.
    async fn reason(&mut self) -> String {
        match self.said.recv().await.unwrap() {
            Watch::Known(containers) => panic!("known: {containers:?}"),
            Watch::Unreachable { reason } => reason,
        }
    }
}

fn name(text: &str) -> ContainerName {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_happens_to_a_container_is_said_as_it_happens() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "exited"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [NotRunning("exited")]);
    daemon.stream_opened().await;
    for (time, (action, status, expected)) in [
        ("start", "running", Running),
        ("pause", "paused", NotRunning("paused")),
        ("unpause", "running", Running),
        ("die", "restarting", NotRunning("restarting")),
        ("start", "running", Running),
        ("die", "exited", NotRunning("exited")),
    ]
    .into_iter()
    .enumerate()
    {
        daemon.set("mc", container("1", status));
        daemon.send(&event(action, "1", &[("name", "mc")], time as i64));
        assert_eq!(watching.states().await, [expected], "{action}");
    }
}

#[tokio::test]
async fn a_container_may_be_removed_made_anew_and_renamed() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.stream_opened().await;

    daemon.remove("mc");
    daemon.send(&event("destroy", "1", &[("name", "mc")], 1));
    assert_eq!(watching.states().await, [Missing]);

    daemon.set("mc", container("2", "created"));
    daemon.send(&event("create", "2", &[("name", "mc")], 2));
    assert_eq!(watching.states().await, [NotRunning("created")]);
    daemon.set("mc", container("2", "running"));
    daemon.send(&event("start", "2", &[], 3));
    assert_eq!(watching.states().await, [Running], "an event with the new id alone is understood");

    daemon.remove("mc");
    daemon.send(&event("rename", "2", &[("name", "old"), ("oldName", "/mc")], 4));
    assert_eq!(watching.states().await, [Missing]);
    daemon.set("mc", container("3", "running"));
    daemon.send(&event("rename", "3", &[("name", "mc"), ("oldName", "/new")], 5));
    assert_eq!(watching.states().await, [Running]);
}

#[tokio::test]
async fn another_volume_is_news() {
    let mut daemon = FakeDaemon::start();
    let with = |volume: &str| {
        let mounts = format!(
            r#"[{{"Type":"volume","Name":"{volume}","Source":"/volumes/{volume}/_data","Destination":"/data"}}]"#
        );
        Reply::Json(200, format!(r#"{{"Id":"1","State":{{"Status":"running"}},"Mounts":{mounts}}}"#))
    };
    daemon.set("mc", with("world"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    daemon.stream_opened().await;
    for (time, volume) in [(1, "world"), (2, "new")] {
        daemon.set("mc", with(volume));
        let Watch::Known(containers) = watching.said.recv().await.unwrap() else { panic!("nothing is known") };
        assert_eq!(containers[0].mounts[0].kind, MountKind::Volume(volume.to_owned()));
        daemon.set("mc", with("new"));
        daemon.send(&event("start", "1", &[("name", "mc")], time));
    }
    let mounts = inspect(&daemon.endpoint, &name("mc")).await.unwrap().mounts;
    assert_eq!(mounts[0].destination, "/data");
}

#[tokio::test]
async fn each_of_several_containers_has_its_state() {
    let mut daemon = FakeDaemon::start();
    daemon.set("lobby", container("1", "paused"));
    daemon.set("world", container("2", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["lobby", "world", "none"], BY_EVENTS);
    assert_eq!(watching.states().await, [NotRunning("paused"), Running, Missing]);
    daemon.stream_opened().await;
    daemon.set("none", container("3", "dead"));
    daemon.send(&event("die", "3", &[("name", "none")], 1));
    assert_eq!(watching.states().await, [NotRunning("paused"), Running, NotRunning("dead")]);
}

#[tokio::test]
async fn events_of_others_and_doubled_ones_are_passed_over() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.stream_opened().await;
    daemon.send(&event("start", "9", &[("name", "other")], 1));
    daemon.send(&event("die", "8", &[("name", "mc2")], 2));
    daemon.set("mc", container("1", "exited"));
    daemon.send(&event("die", "1", &[("name", "mc")], 3));
    daemon.send(&event("die", "1", &[("name", "mc")], 3));
    assert_eq!(watching.states().await, [NotRunning("exited")]);
    daemon.set("mc", container("1", "running"));
    daemon.send(&event("start", "1", &[("name", "mc")], 4));
    assert_eq!(watching.states().await, [Running]);
    assert_eq!(
        daemon.requests("/containers/").len(),
        3,
        "one at the begin, one for each event that says something new"
    );
}

#[tokio::test]
async fn a_stream_that_is_cut_is_taken_up_where_it_ended() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.stream_opened().await;
    let last = event("die", "1", &[("name", "mc")], 1_700_000_000_000_000_042);
    daemon.set("mc", container("1", "exited"));
    daemon.send(&last);
    assert_eq!(watching.states().await, [NotRunning("exited")]);

    daemon.replay(&last);
    daemon.set("mc", container("1", "running"));
    daemon.send(r#"{"Type":"container","Action":"sta"#);
    daemon.cut();
    assert_eq!(watching.states().await, [Running], "what was missed is read anew");
    daemon.stream_opened().await;
    let requests = daemon.requests("/events");
    assert!(!requests[0].contains("since="), "{requests:?}");
    assert!(requests[1].contains("since=1700000000.000000042"), "{requests:?}");

    daemon.set("mc", container("1", "paused"));
    daemon.send(&event("pause", "1", &[("name", "mc")], 1_700_000_000_000_000_043));
    assert_eq!(watching.states().await, [NotRunning("paused")]);
    assert_eq!(daemon.requests("/containers/").len(), 4, "the repeated event made nobody look");
}

#[tokio::test]
async fn a_clock_set_back_does_not_silence_the_events() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.stream_opened().await;
    for (time, status, expected) in [(1_000, "exited", NotRunning("exited")), (-5, "running", Running)] {
        daemon.set("mc", container("1", status));
        daemon.send(&event("start", "1", &[("name", "mc")], time));
        assert_eq!(watching.states().await, [expected]);
    }
    daemon.set("mc", container("1", "dead"));
    daemon.cut();
    assert_eq!(watching.states().await, [NotRunning("dead")]);
    daemon.stream_opened().await;
    assert!(daemon.requests("/events")[1].contains("since=0.000000000"));
}

#[tokio::test]
async fn garbage_on_the_stream_is_a_cut() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    for (garbage, status) in [("<html>\n", "exited"), ("{\"Type\":7}\n", "paused"), ("{}\n[1,2]\n", "dead")] {
        daemon.stream_opened().await;
        daemon.set("mc", container("1", status));
        daemon.send(garbage);
        assert_eq!(watching.states().await, [NotRunning(status)], "{garbage}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_not_taken_for_a_state() {
    let too_long = 9 << 20;
    for (reply, expected) in [
        (Reply::Json(409, r#"{"message":"it is being removed"}"#.to_owned()), "409: it is being removed"),
        (Reply::Json(500, r#"{"message":"boom"}"#.to_owned()), "500: boom"),
        (Reply::Json(503, "<html>bad gateway\u{7}</html>".to_owned()), "503: <html>bad gateway </html>"),
        (Reply::Json(403, String::new()), "403"),
        (Reply::Json(200, "{".to_owned()), "EOF while parsing"),
        (Reply::Json(200, "{}".to_owned()), "says nothing of its state"),
        (Reply::Json(200, r#"{"State":{"Status":"dancing"}}"#.to_owned()), "dancing"),
        (Reply::Json(200, r#"{"State":{}}"#.to_owned()), "says nothing of its state"),
        (Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"State\":"), "inspect container mc"),
        (Reply::Raw("SSH-2.0-OpenSSH_9.2\r\n"), "inspect container mc"),
        (Reply::Raw(""), "inspect container mc"),
        (Reply::Long(too_long), "the daemon sent too much"),
    ] {
        let daemon = FakeDaemon::start();
        daemon.set("mc", reply.clone());
        let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
        let reason = watching.reason().await;
        assert!(reason.starts_with("cannot inspect container mc through unix:///"), "{reply:?}: {reason}");
        assert!(reason.contains(expected), "{reply:?}: {reason}");
        assert!(reason.chars().count() < 500, "{reason}");
        daemon.set("mc", container("1", "running"));
        assert_eq!(watching.states().await, [Running], "{reply:?} is survived");
    }
}

#[tokio::test]
async fn one_container_that_cannot_be_read_makes_all_unknown() {
    let daemon = FakeDaemon::start();
    daemon.set("a", container("1", "running"));
    daemon.set("b", Reply::Json(500, String::new()));
    let mut watching = Watching::start(&daemon.endpoint, &["a", "b"], BY_EVENTS);
    assert!(watching.reason().await.contains("inspect container b"));
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_not_waited_for_for_ever() {
    let pace =
        Pace { request_timeout: Duration::from_millis(50), longest_retry: Duration::from_millis(50), ..BY_EVENTS };
    for path in ["/version", "/containers/mc"] {
        let daemon = FakeDaemon::start();
        daemon.set("mc", container("1", "running"));
        daemon.override_path(path, Some(Reply::Silence));
        let mut watching = Watching::start(&daemon.endpoint, &["mc"], pace);
        assert!(watching.reason().await.contains("no answer within"));
        daemon.override_path(path, None);
        // A machine that is slow itself may need more than one attempt.
        while let Watch::Unreachable { .. } = watching.said.recv().await.unwrap() {}
    }
}

#[tokio::test]
async fn a_daemon_that_restarts_is_found_again_and_asked_anew() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.stream_opened().await;
    let stopped = daemon.stop().await;
    assert!(watching.reason().await.contains("docker.sock"));
    let daemon = stopped.start();
    daemon.set("mc", container("1", "running"));
    assert_eq!(watching.states().await, [Running]);
}

#[tokio::test]
async fn a_socket_that_is_not_there_yet_is_waited_for() {
    let daemon = FakeDaemon::start();
    let endpoint = daemon.endpoint.clone();
    let stopped = daemon.stop().await;
    let mut watching = Watching::start(&endpoint, &["mc"], BY_EVENTS);
    let reason = watching.reason().await;
    assert!(reason.contains("No such file or directory"), "{reason}");
    let _daemon = stopped.start();
    assert_eq!(watching.states().await, [Missing]);
}

#[tokio::test]
async fn a_proxy_that_forbids_events_and_the_version_still_lets_us_look() {
    let daemon = FakeDaemon::start();
    daemon.override_path("/events", Some(Reply::Json(403, "forbidden".to_owned())));
    daemon.override_path("/version", Some(Reply::Json(403, "forbidden".to_owned())));
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.set("mc", container("1", "exited"));
    assert_eq!(watching.states().await, [NotRunning("exited")]);
}

#[tokio::test]
async fn what_no_event_tells_is_found_by_looking() {
    let daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let often = Pace { settle: Duration::from_millis(1), check: Duration::from_millis(1), ..BY_EVENTS };
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], often);
    assert_eq!(watching.states().await, [Running]);
    daemon.set("mc", container("1", "exited"));
    assert_eq!(watching.states().await, [NotRunning("exited")]);
    assert_eq!(daemon.requests("/events").len(), 1, "over one connection");
}

/// Its host was restarted, and its socket is another one: what is mounted here is the old one's.
#[tokio::test]
async fn a_socket_that_nobody_listens_at_any_more_comes_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let mut watching = Watching::start(&Endpoint::Unix(socket), &["mc"], BY_EVENTS);
    let reason = watching.reason().await;
    assert!(reason.contains("onnection refused") && reason.contains("must be restarted, too"), "{reason}");
    // Elsewhere a new start of ours is of no use.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut watching = Watching::start(&Endpoint::Tcp { host: "127.0.0.1".to_owned(), port }, &["mc"], BY_EVENTS);
    let reason = watching.reason().await;
    assert!(reason.contains("onnection refused") && !reason.contains("restarted"), "{reason}");
}

/// A proxy answers while what is behind it is away, and says so in its own words.
#[tokio::test]
async fn only_who_speaks_of_the_container_says_that_it_is_missing() {
    let daemon = FakeDaemon::start();
    for (body, is_missing) in [
        (r#"{"message":"No such container: mc"}"#, true),
        // Podman's words.
        (
            r#"{"cause":"no such container","message":"no container with name or ID \"mc\" found: no such container","response":404}"#,
            true,
        ),
        ("404 page not found\n", false),
        (r#"{"message":"page not found"}"#, false),
        (r#"{"message":"no such service"}"#, false),
        ("<html><title>404 Not Found</title></html>", false),
        ("{}", false),
        ("", false),
    ] {
        daemon.set("mc", Reply::Json(404, body.to_owned()));
        let error = inspect(&daemon.endpoint, &name("mc")).await.unwrap_err();
        assert_eq!(matches!(error, DockerError::NoSuchContainer(_)), is_missing, "{body}: {error}");
        assert!(is_missing || error.to_string().contains("404"), "{body}: {error}");
    }
}

/// An engine takes the begin of an id for a container's name, too.
#[tokio::test]
async fn a_name_of_hexadecimal_digits_is_not_taken_for_another_containers_id() {
    const ID: &str = "bedada0123456789bedada0123456789bedada0123456789bedada0123456789";
    let daemon = FakeDaemon::start();
    let reply = |name: &str| {
        Reply::Json(200, format!(r#"{{"Id":"{ID}","Name":"{name}","State":{{"Status":"running","Running":true}}}}"#))
    };
    for (asked, known_as, is_meant) in [
        ("mc", "/mc", true),
        ("mc", "mc", true),
        ("bed", "/bed", true),
        ("bed", "/other", false),
        ("bedada", "/other", false),
        (&ID[..11], "/other", false),
        // As `docker ps` shows them.
        (&ID[..12], "/other", true),
        (ID, "/other", true),
    ] {
        daemon.set(asked, reply(known_as));
        match inspect(&daemon.endpoint, &name(asked)).await {
            Ok(container) => assert!(is_meant && container.state == Running, "{asked} of {known_as}"),
            Err(error) => assert!(!is_meant && matches!(error, DockerError::NoSuchContainer(_)), "{asked}: {error}"),
        }
    }
}

#[tokio::test]
async fn nobody_is_watched_for_nobody() {
    let mut daemon = FakeDaemon::start();
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Missing]);
    daemon.stream_opened().await;
    drop(watching.said);
    watching.ended.await.unwrap();
}

#[tokio::test]
async fn a_container_can_be_asked_for_once() {
    let daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    daemon.set("paused", container("2", "paused"));
    daemon.set("broken", Reply::Json(500, String::new()));
    let times = r#""StartedAt":"2026-11-06T20:00:00.5Z","FinishedAt":"2026-11-06T23:00:00.5Z""#;
    daemon.set("exited", Reply::Json(200, format!(r#"{{"Id":"3","State":{{"Status":"exited",{times}}}}}"#)));
    let exited = inspect(&daemon.endpoint, &name("exited")).await.unwrap();
    assert_eq!((exited.state, exited.started.as_deref()), (NotRunning("exited"), Some("2026-11-06T20:00:00.5Z")));
    assert_eq!(exited.finished.as_deref(), Some("2026-11-06T23:00:00.5Z"));
    assert_eq!(inspect(&daemon.endpoint, &name("mc")).await.unwrap().state, Running);
    assert_eq!(inspect(&daemon.endpoint, &name("paused")).await.unwrap().state, NotRunning("paused"));
    let missing = inspect(&daemon.endpoint, &name("none")).await.unwrap_err();
    assert!(matches!(missing, DockerError::NoSuchContainer(_)));
    assert_eq!(missing.to_string(), "there is no container none");
    let broken = inspect(&daemon.endpoint, &name("broken")).await.unwrap_err();
    assert!(matches!(broken, DockerError::Unreachable { .. }));
    let endpoint = daemon.endpoint.clone();
    drop(daemon.stop().await);
    let gone = inspect(&endpoint, &name("mc")).await.unwrap_err();
    assert!(matches!(gone, DockerError::Unreachable { .. }));
}

#[tokio::test]
async fn a_tcp_endpoint_is_spoken_to_as_a_socket_is() {
    let mut daemon = FakeDaemon::start_on_tcp().await;
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    assert_eq!(watching.states().await, [Running]);
    daemon.stream_opened().await;
    daemon.set("mc", container("1", "exited"));
    daemon.send(&event("die", "1", &[("name", "mc")], 1));
    assert_eq!(watching.states().await, [NotRunning("exited")]);
}

#[tokio::test]
async fn requests_look_as_a_server_expects_them() {
    let mut daemon = FakeDaemon::start();
    daemon.set("mc", container("1", "running"));
    let mut watching = Watching::start(&daemon.endpoint, &["mc"], BY_EVENTS);
    watching.states().await;
    daemon.stream_opened().await;
    let requests = daemon.requests("");
    assert_eq!(requests[..2], ["GET /version HTTP/1.1 host: docker", "GET /containers/mc/json HTTP/1.1 host: docker"]);
    assert!(requests[2].starts_with("GET /events?filters=%7B"), "{requests:?}");
    for word in ["container", "start", "die", "pause", "unpause", "destroy", "rename", "create"] {
        assert!(requests[2].contains(&format!("%22{word}%22")), "{word}: {requests:?}");
    }
}
