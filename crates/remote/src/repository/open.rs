//! Opening a repository on another machine: the connection, the lock, and what everybody asks for first.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use worldkeeper_core::{ChunkId, Clock, RepositoryError, RepositoryId, Stop};
use worldkeeper_rpc::{Call, Class, Open, Outcome, Reply, Version, Window};

use super::{Manifest, RemoteRepository, unexpected};
use crate::conversation::{Broken, Conversation, ConversationOptions, Until};
use crate::{Connect, ConnectError};

/// What a repository is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteMode {
    /// For reading, beside other readers.
    Shared,
    /// For writing, alone.
    Exclusive,
    /// For reading, without a look at who else is there.
    WithoutLock,
}

/// Told that somebody else has the lock, and what is known of who it is.
pub type OnWait = Arc<dyn Fn(&str) + Send + Sync>;

/// How to open a repository on another machine.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Where it is, for people and for the run history: `ssh://user@host:port/path`.
    pub location: String,
    /// Where it is on the server, as the user said it.
    pub path: Vec<u8>,
    /// For what.
    pub mode: RemoteMode,
    /// How long to wait for the lock; `None` is for ever.
    pub wait: Option<Duration>,
    /// Told when a wait begins.
    pub on_wait: Option<OnWait>,
    /// How long a server may be silent that has something short to answer; `None` where the link itself notices.
    pub silence: Option<Duration>,
    /// How long a connection that was lost is tried to be made again.
    pub patience: Duration,
    /// How much may be under way.
    pub window: Window,
    /// Measures waiting, and passes it.
    pub clock: Arc<dyn Clock>,
    /// Ends waiting.
    pub stop: Stop,
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("location", &self.location)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// The version of borg whose client this is.
fn version() -> Version {
    Version::release(1, 4, 5)
}

/// How long a server is told to wait for the lock, in seconds: first, so that it is soon known that somebody has it, and
/// then. Between, it is seen whether there is still somebody who waits.
const FIRST_WAIT: i64 = 1;
const NEXT_WAIT: i64 = 10;
/// How often it is said who has the lock.
const TELL_AGAIN: Duration = Duration::from_hours(1);

/// What was asked for at once, because everybody asks for it first.
#[derive(Default)]
pub(super) struct Welcome {
    pub(super) manifest: Option<Outcome>,
    pub(super) key: Option<Outcome>,
    pub(super) nonce: Option<Outcome>,
    pub(super) object_count: Option<Outcome>,
}

/// A repository that a server has opened.
pub(super) struct Opened {
    pub(super) conversation: Conversation,
    pub(super) id: RepositoryId,
    pub(super) welcome: Welcome,
}

/// Why a server refuses to make a repository in a directory that is not there.
pub const NO_PARENT: &str = "the directory that it should be made in is not there";

impl RemoteRepository {
    /// Connects and opens a repository.
    pub fn open(connect: Arc<dyn Connect>, options: RemoteOptions) -> Result<Self, RepositoryError> {
        let opened = options.open(connect.as_ref(), options.mode)?;
        Ok(Self::of(opened, connect, options))
    }

    fn of(opened: Opened, connect: Arc<dyn Connect>, options: RemoteOptions) -> Self {
        let Opened { conversation, id, welcome } = opened;
        Self {
            connect,
            options,
            id,
            conversation: Mutex::new(Arc::new(conversation)),
            reconnecting: Mutex::new(()),
            welcome: Mutex::new(welcome),
            manifest: Mutex::new(Manifest::Unknown),
            in_transaction: false.into(),
            has_listed: false.into(),
        }
    }

    /// Connects and makes an empty repository, which is open for writing then, whatever the options say; an append-only one
    /// never frees anything.
    pub fn create(
        connect: Arc<dyn Connect>,
        options: RemoteOptions,
        append_only: bool,
        make_parent_dirs: bool,
    ) -> Result<Self, RepositoryError> {
        let options = RemoteOptions { mode: RemoteMode::Exclusive, ..options };
        let conversation = options.converse(connect.as_ref())?;
        let open = Open {
            create: true,
            exclusive: Some(true),
            lock_wait: Some(FIRST_WAIT),
            append_only,
            make_parent_dirs,
            ..Open::existing(options.path.clone())
        };
        let until = Until::Stop(&options.stop);
        match conversation.ask(&Call::Open(open), until).map_err(|broken| options.broken(broken))? {
            Ok(Reply::Opened(id)) => {
                let opened = Opened { conversation, id, welcome: Welcome::default() };
                Ok(Self::of(opened, connect, options))
            }
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.class() == Some(Class::ParentPathDoesNotExist) => {
                Err(RepositoryError::Refused { location: options.location, reason: NO_PARENT.to_owned() })
            }
            Err(error) => Err(options.refused(error)),
        }
    }

    /// Connects, and asks nothing but which version of borg answers.
    pub fn version_at(connect: &dyn Connect, options: &RemoteOptions) -> Result<String, RepositoryError> {
        Ok(options.converse(connect)?.server_version())
    }

    /// Connects and removes the locks of a repository, whoever holds them.
    pub fn break_lock(connect: &dyn Connect, options: &RemoteOptions) -> Result<(), RepositoryError> {
        let conversation = options.converse(connect)?;
        let open = Open { lock: false, lock_wait: Some(0), ..Open::existing(options.path.clone()) };
        options.ask(&conversation, &Call::Open(open))?;
        options.ask(&conversation, &Call::BreakLock).map(drop)
    }
}

impl RemoteOptions {
    /// Connects, opens, and asks for what everybody asks for first.
    pub(super) fn open(&self, connect: &dyn Connect, mode: RemoteMode) -> Result<Opened, RepositoryError> {
        let conversation = self.converse(connect)?;
        let id = self.take_lock(&conversation, mode)?;
        let until = Until::Stop(&self.stop);
        let calls = [Call::Get { id: ChunkId::MANIFEST }, Call::LoadKey, Call::GetFreeNonce, Call::Len];
        let welcome = (|| {
            let asked = calls.iter().map(|call| conversation.request(call, until)).collect::<Result<Vec<_>, _>>()?;
            let mut answers = asked.into_iter().map(|asked| conversation.answer(asked, until));
            let mut next = || answers.next().transpose();
            Ok(Welcome { manifest: next()?, key: next()?, nonce: next()?, object_count: next()? })
        })();
        let welcome = welcome.map_err(|broken| self.broken(broken))?;
        Ok(Opened { conversation, id, welcome })
    }

    fn converse(&self, connect: &dyn Connect) -> Result<Conversation, RepositoryError> {
        let unreachable = |may_pass, source: Box<dyn std::error::Error + Send + Sync>| RepositoryError::Unreachable {
            location: self.location.clone(),
            may_pass,
            source,
        };
        let link = connect.connect(&self.stop).map_err(|error| {
            if self.stop.is_requested() {
                return RepositoryError::Stopped;
            }
            unreachable(error.may_pass, Box::new(error))
        })?;
        let options =
            ConversationOptions { window: self.window, silence: self.silence, clock: Arc::clone(&self.clock) };
        Conversation::begin(link, &version(), options, &self.stop).map_err(|broken| match broken {
            Broken::Lost(message) => unreachable(true, ConnectError { message, remedy: None, may_pass: true }.into()),
            Broken::NoServer(message) => {
                let remedy = "install borg there, or say where it is with BORG_REMOTE_PATH".to_owned();
                unreachable(false, ConnectError { message, remedy: Some(remedy), may_pass: false }.into())
            }
            broken => self.broken(broken),
        })
    }

    fn ask(&self, conversation: &Conversation, call: &Call) -> Result<Reply, RepositoryError> {
        let outcome = conversation.ask(call, Until::Stop(&self.stop)).map_err(|broken| self.broken(broken))?;
        outcome.map_err(|error| self.refused(error))
    }

    fn take_lock(&self, conversation: &Conversation, mode: RemoteMode) -> Result<RepositoryId, RepositoryError> {
        let began = self.clock.monotonic();
        let mut next = FIRST_WAIT;
        let mut told = None;
        loop {
            let now = self.clock.monotonic();
            let left = self.wait.map(|wait| wait.saturating_sub(now.saturating_sub(began)));
            let seconds = left.map_or(next, |left| (left.as_secs() as i64).min(next));
            let open = Open {
                lock: mode != RemoteMode::WithoutLock,
                exclusive: Some(mode == RemoteMode::Exclusive),
                lock_wait: Some(seconds),
                ..Open::existing(self.path.clone())
            };
            let call = Call::Open(open);
            let outcome = conversation.ask(&call, Until::Stop(&self.stop)).map_err(|broken| self.broken(broken))?;
            match outcome {
                Ok(Reply::Opened(id)) => return Ok(id),
                Ok(other) => return Err(unexpected(&other)),
                Err(error) if error.class() == Some(Class::LockTimeout) && left.is_none_or(|left| !left.is_zero()) => {
                    if told.is_none_or(|told| now.saturating_sub(told) >= TELL_AGAIN)
                        && let Some(on_wait) = &self.on_wait
                    {
                        told = Some(now);
                        on_wait(&format!("somebody else, says the server ({})", error.text(0)));
                    }
                    next = NEXT_WAIT;
                }
                Err(error) => return Err(self.refused(error)),
            }
        }
    }
}
