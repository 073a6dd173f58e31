//! A server for stock's clients with nothing behind it but a file: what drives the server half in tests.
//!
//! `rpc_server FILE …`; whatever follows is what borg would tell ssh. The repository is a JSON file with all objects in it,
//! written anew with each commit.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use worldkeeper_core::{ChunkId, RepositoryError, RepositoryId};
use worldkeeper_rpc::stderr::{Level, LogMessage, Progress};
use worldkeeper_rpc::{Call, Open, Page, Payload, RemoteError, Reply, Server, Version};

fn main() {
    let file = PathBuf::from(std::env::args_os().nth(1).expect("the arguments are in the header"));
    let mut server = Server::new(Version::release(1, 4, 5));
    let mut repository = None;
    let mut buffer = vec![0; 64 << 10];
    loop {
        while let Some(piece) = server.transmit() {
            stdout().write_all(&piece).expect("the client reads");
        }
        stdout().flush().expect("the client reads");
        match server.poll() {
            Ok(Some(Call::Open(open))) => {
                let opened = InFile::open(&file, &open);
                let outcome = opened.as_ref().map(|_| Reply::Opened(ID)).map_err(|error| to_remote(error, &file));
                repository = opened.ok();
                server.answer(&outcome);
            }
            Ok(Some(call)) => {
                let repository = repository.as_mut().expect("nothing is called before it is open");
                let outcome = repository.call(&call, server.logs_json());
                server.answer(&outcome.map_err(|error| to_remote(&error, &file)));
            }
            Ok(None) if !server.wants_bytes() => {}
            Ok(None) => match stdin().read(&mut buffer).expect("the client writes") {
                0 => return,
                len => server.receive(&buffer[..len]),
            },
            Err(error) => panic!("{error}"),
        }
    }
}

fn to_remote(error: &RepositoryError, file: &Path) -> RemoteError {
    RemoteError::from_repository_error(error, &file.display().to_string())
}

/// There is one at a time.
const ID: RepositoryId = RepositoryId([0x42; 32]);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Stored {
    objects: BTreeMap<String, Vec<u8>>,
    key: Vec<u8>,
    nonce: Option<u64>,
}

struct InFile {
    file: PathBuf,
    committed: Stored,
    now: Stored,
}

impl InFile {
    fn open(file: &Path, open: &Open) -> Result<Self, RepositoryError> {
        let path = || file.display().to_string();
        let committed = match (fs::read(file), open.create) {
            (Ok(_), true) => return Err(RepositoryError::AlreadyExists(path())),
            (Err(_), false) => return Err(RepositoryError::DoesNotExist(path())),
            (Ok(bytes), false) => serde_json::from_slice(&bytes).expect("we have written it"),
            (Err(_), true) => Stored::default(),
        };
        let repository = Self { file: file.to_owned(), now: committed.clone(), committed };
        repository.store();
        Ok(repository)
    }

    fn call(&mut self, call: &Call, json: bool) -> Result<Reply, RepositoryError> {
        Ok(match call {
            Call::Open(_) => unreachable!("it is open"),
            Call::Len => Reply::Count(self.now.objects.len() as u64),
            Call::Get { id } => {
                let object = self.now.objects.get(&id.to_string()).ok_or(RepositoryError::ObjectNotFound(*id))?;
                Reply::Data(Payload(object.clone().into()))
            }
            Call::Put { id, data, .. } => {
                self.now.objects.insert(id.to_string(), data.0.to_vec());
                Reply::Done
            }
            Call::Delete { id, .. } => {
                self.now.objects.remove(&id.to_string()).ok_or(RepositoryError::ObjectNotFound(*id))?;
                Reply::Done
            }
            Call::List(page) | Call::Scan(page) => Reply::Ids(self.page(page)),
            Call::Commit(_) => {
                self.committed = self.now.clone();
                self.store();
                Reply::Done
            }
            Call::Rollback => {
                self.now.objects = self.committed.objects.clone();
                Reply::Done
            }
            Call::Check(_) => {
                assert!(json, "stock's clients negotiate");
                check_aloud();
                Reply::Sound(true)
            }
            Call::Destroy => {
                fs::remove_file(&self.file).expect("it is there");
                Reply::Done
            }
            Call::SaveKey { keydata } => {
                self.change(|stored| stored.key = keydata.0.to_vec());
                Reply::Done
            }
            Call::LoadKey => Reply::Data(Payload(self.now.key.clone().into())),
            Call::GetFreeNonce => Reply::FreeNonce(self.now.nonce),
            Call::CommitNonceReservation { next_unreserved, start_nonce } => {
                if *start_nonce != self.now.nonce {
                    return Err(RepositoryError::NonceConflict { expected: *start_nonce, found: self.now.nonce });
                }
                self.change(|stored| stored.nonce = Some(*next_unreserved));
                Reply::Done
            }
            Call::BreakLock => Reply::Done,
        })
    }

    fn page(&self, page: &Page) -> Vec<ChunkId> {
        let after = page.marker.map_or(Bound::Unbounded, |marker| Bound::Excluded(marker.to_string()));
        let ids =
            self.now.objects.range((after, Bound::Unbounded)).map(|(id, _)| id.parse().expect("we have written it"));
        ids.take(page.limit.map_or(usize::MAX, |limit| limit as usize)).collect()
    }

    /// What is no part of a transaction.
    fn change(&mut self, change: impl Fn(&mut Stored)) {
        change(&mut self.now);
        change(&mut self.committed);
        self.store();
    }

    fn store(&self) {
        fs::write(&self.file, serde_json::to_vec(&self.committed).expect("it is JSON")).expect("it can be written");
    }
}

fn check_aloud() {
    let message = LogMessage {
        level: Level::Warning,
        logger: "borg.repository".to_owned(),
        message: "There is only a file, ☃.".to_owned(),
        msgid: None,
    };
    let progress = Progress {
        operation: 1,
        msgid: Some("repository.check".to_owned()),
        message: Some("Checking segments 100.0%".to_owned()),
        steps: Some((1, 1)),
        finished: false,
    };
    eprint!("{}", message.to_json_line(1.5));
    eprint!("{}", progress.to_json_line(1.5));
    eprint!("{}", Progress { message: None, steps: None, finished: true, ..progress }.to_json_line(1.5));
}
