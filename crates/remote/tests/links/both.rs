//! What both transports promise, over one sshd.

use std::time::Duration;

use bytes::Bytes;
use worldkeeper_core::shell;
use worldkeeper_remote::command::{CommandConnector, CommandOptions};
use worldkeeper_remote::ssh::{SshConnector, SshOptions};
use worldkeeper_remote::{Connect, Ended, Incoming, RemoteLocation, ServeCommand};
use worldkeeper_testkit::sshd::Sshd;

use crate::talk::{connect, pieces, talk, talk_over};

/// An sshd, and each way to it.
struct Both {
    sshd: Sshd,
    ways: Vec<Box<dyn Connect>>,
}

impl Both {
    /// That run `command` there, whatever they ask for.
    fn forced(command: &str) -> Option<Self> {
        let sshd = Sshd::start()?;
        sshd.force(command);
        let url = sshd.url("/repository".as_ref());
        let location = RemoteLocation::parse(&url).unwrap().unwrap();
        let rsh = shell::split(&sshd.rsh()).unwrap();
        let command = CommandConnector::new(
            &location,
            &ServeCommand::default(),
            CommandOptions { rsh, patience: Duration::from_millis(100), ..Default::default() },
        );
        let options =
            SshOptions { keys: vec![sshd.key()], pinned: sshd.known_hosts("ed25519"), ..SshOptions::default() };
        let ssh = SshConnector::new(&location, ServeCommand::default(), options);
        Some(Self { sshd, ways: vec![Box::new(command), Box::new(ssh)] })
    }
}

#[test]
fn what_is_sent_comes_back_while_it_is_being_sent() {
    let Some(both) = Both::forced("cat") else { return };
    let sent: Vec<u8> = pieces(64).flatten().collect();
    for way in &both.ways {
        // 64 MiB each way at once, more than all windows and queues hold.
        let heard = talk(&**way, pieces(64));
        assert_eq!(heard.ended, Ended::Exited(0));
        assert!(heard.output == sent, "{} bytes came back", heard.output.len());
    }
}

#[test]
fn a_flood_of_errors_while_closing_is_taken() {
    let Some(both) = Both::forced("cat >/dev/null; head -c 10485760 /dev/zero >&2; echo end; exit 7") else { return };
    for way in &both.ways {
        let heard = talk(&**way, pieces(1));
        assert_eq!((heard.errors.len(), &*heard.output, heard.ended), (10 << 20, &b"end\n"[..], Ended::Exited(7)));
    }
}

#[test]
fn the_end_of_a_command_is_told_as_it_was() {
    let Some(both) = Both::forced("kill -9 $$") else { return };
    // ssh says 255 where the command was killed, and its own name for it.
    let ends = [Ended::Exited(255), Ended::Killed("SIGKILL".into())];
    for (way, expected) in both.ways.iter().zip(ends) {
        assert_eq!(talk(&**way, []).ended, expected);
    }
    both.sshd.force("exit 42");
    for way in &both.ways {
        assert_eq!(talk(&**way, []).ended, Ended::Exited(42));
    }
}

#[test]
fn a_command_that_reads_nothing_more_ends_the_sending_too() {
    let Some(both) = Both::forced("head -c 1000; exit 3") else { return };
    for way in &both.ways {
        let heard = talk(&**way, pieces(32));
        assert_eq!((heard.output.len(), heard.ended), (1000, Ended::Exited(3)));
    }
}

#[test]
fn a_server_that_is_killed_is_noticed_at_once() {
    let Some(both) = Both::forced("cat") else { return };
    for way in &both.ways {
        let mut link = connect(&**way);
        link.input.blocking_send(Bytes::from("alive")).unwrap();
        assert_eq!(link.output.blocking_recv(), Some(Incoming::Output(Bytes::from("alive"))));
        both.sshd.kill_connections();
        let ended = talk_over(link, pieces(8)).ended;
        assert!(matches!(ended, Ended::Lost(_) | Ended::Exited(255)), "{ended:?}");
    }
}

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_link_that_is_dropped_frees_what_it_took_however_busy_it_is() {
    let Some(both) = Both::forced("true") else { return };
    // What carries links stays, once there was one.
    both.ways.iter().for_each(|way| drop(talk(&**way, [])));
    // Waits for input, has too much to say, takes nothing.
    for command in ["echo on; cat", "echo on; cat /dev/zero", "echo on; sleep 1000"] {
        both.sshd.force(command);
        for way in &both.ways {
            let before = descriptors();
            let mut link = connect(&**way);
            assert!(matches!(link.output.blocking_recv(), Some(Incoming::Output(_))));
            // More than all queues and windows take.
            let input = link.input.clone();
            let sending = std::thread::spawn(move || pieces(16).all(|piece| input.blocking_send(piece).is_ok()));
            drop(link);
            while descriptors() > before {
                std::thread::yield_now();
            }
            let _ = sending.join().unwrap();
        }
    }
}
