//! A server in this process with nothing behind it but a map, that does what a test wants of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use worldkeeper_core::{ChunkId, RepositoryError, RepositoryId, Stop};
use worldkeeper_remote::{Connect, ConnectError, Ended, Incoming, Link};
use worldkeeper_rpc::{Call, Class, Payload, RemoteError, Reply, Server, Version};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is done and answered.
    Do,
    /// The connection is lost, and it is not done.
    CutBefore,
    /// It is done, and the connection is lost with the answer.
    CutAfter,
    /// It fails.
    Fail,
    /// Nothing ever comes.
    Stall,
    /// Something else than an answer comes.
    Babble,
}

/// What a repository holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) objects: BTreeMap<ChunkId, Bytes>,
    pub(crate) key: Bytes,
    pub(crate) nonce: Option<u64>,
}

/// The machine that the repository is on.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Inner>);

type Decide = Box<dyn FnMut(&Call) -> Action + Send>;
/// Told what was asked (nothing, where it was to negotiate) and what would be answered; says what is sent instead.
type Tamper = Box<dyn FnMut(Option<&Call>, Vec<u8>) -> Vec<Incoming> + Send>;

struct Inner {
    stored: Mutex<Stored>,
    decide: Mutex<Decide>,
    tamper: Mutex<Option<Tamper>>,
    connections: AtomicUsize,
    /// How often the server had answered all it was asked.
    pauses: AtomicUsize,
    refuses: Mutex<usize>,
}

pub(crate) const ID: RepositoryId = RepositoryId([0x42; 32]);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            stored: Mutex::default(),
            decide: Mutex::new(Box::new(|_| Action::Do)),
            tamper: Mutex::default(),
            connections: AtomicUsize::new(0),
            pauses: AtomicUsize::new(0),
            refuses: Mutex::new(0),
        }))
    }

    pub(crate) fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.stored.lock().unwrap()
    }

    /// Decides from now on what becomes of calls.
    pub(crate) fn decide(&self, decide: impl FnMut(&Call) -> Action + Send + 'static) {
        *self.0.decide.lock().unwrap() = Box::new(decide);
    }

    /// Does so to the first call that `is_meant`, and nothing to those that follow.
    pub(crate) fn once(&self, action: Action, is_meant: impl Fn(&Call) -> bool + Send + 'static) {
        let mut is_done = false;
        self.decide(move |call| {
            if is_done || !is_meant(call) {
                return Action::Do;
            }
            is_done = true;
            action
        });
    }

    /// Sends from now on what this makes of each answer, of all connections. Nothing follows an end that it sends.
    pub(crate) fn tamper(&self, tamper: impl FnMut(Option<&Call>, Vec<u8>) -> Vec<Incoming> + Send + 'static) {
        *self.0.tamper.lock().unwrap() = Some(Box::new(tamper));
    }

    /// Refuses so many connections.
    pub(crate) fn refuse(&self, count: usize) {
        *self.0.refuses.lock().unwrap() = count;
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// How often everything was answered and more had to be waited for, since this was asked last.
    pub(crate) fn round_trips(&self) -> usize {
        self.0.pauses.swap(0, Ordering::SeqCst)
    }
}

impl Connect for Machine {
    fn connect(&self, _stop: &Stop) -> Result<Link, ConnectError> {
        let mut refuses = self.0.refuses.lock().unwrap();
        if *refuses > 0 {
            *refuses -= 1;
            let message = "nobody is there".to_owned();
            return Err(ConnectError { message, remedy: None, may_pass: true });
        }
        self.0.connections.fetch_add(1, Ordering::SeqCst);
        let (input, requests) = channel(4);
        let (answers, output) = channel(4);
        let machine = self.clone();
        thread::spawn(move || {
            let ended = machine.serve(requests, &answers);
            let _ = answers.blocking_send(Incoming::Ended(ended));
        });
        Ok(Link { input, output })
    }
}

impl Machine {
    fn serve(&self, mut requests: Receiver<Bytes>, answers: &Sender<Incoming>) -> Ended {
        let gone = || Ended::Lost("the cable was cut".to_owned());
        let mut server = Server::new(Version::release(1, 4, 5));
        let mut now = self.stored().clone();
        let mut asked = None;
        loop {
            let pieces: Vec<_> = std::iter::from_fn(|| server.transmit()).collect();
            for incoming in self.tampered(asked.take().as_ref(), pieces) {
                if let Incoming::Ended(ended) = incoming {
                    return ended;
                }
                if answers.blocking_send(incoming).is_err() {
                    return gone();
                }
            }
            let call = match server.poll() {
                Ok(Some(call)) => call,
                Ok(None) if !server.wants_bytes() => continue,
                Ok(None) => {
                    let next = requests.try_recv().ok().or_else(|| {
                        self.0.pauses.fetch_add(1, Ordering::SeqCst);
                        requests.blocking_recv()
                    });
                    match next {
                        Some(bytes) => server.receive(&bytes),
                        None => return Ended::Exited(0),
                    }
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let action = (self.0.decide.lock().unwrap())(&call);
            match action {
                Action::CutBefore => return gone(),
                Action::Fail => {
                    let sizes = ["1.00 kB".into(), "2.00 kB".into()];
                    server.answer(&Err(RemoteError::borg(Class::StorageQuotaExceeded, sizes)));
                    asked = Some(call);
                    continue;
                }
                Action::Stall => {
                    while requests.blocking_recv().is_some() {}
                    return gone();
                }
                Action::Babble => {
                    let _ = answers.blocking_send(Incoming::Output(Bytes::from_static(b"Last login: Monday\n")));
                    continue;
                }
                Action::Do | Action::CutAfter => {}
            }
            let outcome = self.call(&call, &mut now);
            if action == Action::CutAfter {
                return gone();
            }
            server.answer(&outcome.map_err(|error| RemoteError::from_repository_error(&error, "/srv/repository")));
            asked = Some(call);
        }
    }

    /// What is sent for an answer.
    fn tampered(&self, asked: Option<&Call>, pieces: Vec<Bytes>) -> Vec<Incoming> {
        match self.0.tamper.lock().unwrap().as_mut() {
            Some(tamper) if !pieces.is_empty() => tamper(asked, pieces.concat()),
            _ => pieces.into_iter().map(Incoming::Output).collect(),
        }
    }

    fn call(&self, call: &Call, now: &mut Stored) -> Result<Reply, RepositoryError> {
        Ok(match call {
            Call::Open(_) => {
                *now = self.stored().clone();
                Reply::Opened(ID)
            }
            Call::Len => Reply::Count(now.objects.len() as u64),
            Call::Get { id } => {
                Reply::Data(Payload(now.objects.get(id).ok_or(RepositoryError::ObjectNotFound(*id))?.clone()))
            }
            Call::Put { id, data, .. } => {
                now.objects.insert(*id, data.0.clone());
                Reply::Done
            }
            Call::Delete { id, .. } => {
                now.objects.remove(id).ok_or(RepositoryError::ObjectNotFound(*id))?;
                Reply::Done
            }
            Call::List(page) | Call::Scan(page) => {
                let after = page.marker.map_or(Bound::Unbounded, Bound::Excluded);
                let ids = now.objects.range((after, Bound::Unbounded)).map(|(id, _)| *id);
                Reply::Ids(ids.take(page.limit.map_or(usize::MAX, |limit| limit as usize)).collect())
            }
            Call::Commit(_) => {
                self.stored().objects = now.objects.clone();
                Reply::Done
            }
            Call::Rollback => {
                now.objects = self.stored().objects.clone();
                Reply::Done
            }
            Call::SaveKey { keydata } => {
                (now.key, self.stored().key) = (keydata.0.clone(), keydata.0.clone());
                Reply::Done
            }
            Call::LoadKey => Reply::Data(Payload(now.key.clone())),
            Call::GetFreeNonce => Reply::FreeNonce(now.nonce),
            Call::CommitNonceReservation { next_unreserved, start_nonce } => {
                if *start_nonce != now.nonce {
                    return Err(RepositoryError::NonceConflict { expected: *start_nonce, found: now.nonce });
                }
                now.nonce = Some(*next_unreserved);
                self.stored().nonce = now.nonce;
                Reply::Done
            }
            Call::Check(_) => Reply::Sound(true),
            Call::Destroy | Call::BreakLock => Reply::Done,
        })
    }
}
