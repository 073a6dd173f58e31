//! What to do about an error: one hint for each that somebody can do something about.

mod lines;
mod repository;
mod settings;
#[cfg(test)]
mod tests;
mod trust;

use std::error::Error;
use std::io;
use std::path::Path;

use worldkeeper_archive::ArchiveName;
use worldkeeper_core::shell::quote;
use worldkeeper_engine::{
    CreateError, DeleteError, DiffError, EditError, ExtractError, FindError, ImportError, RestoreError, RootError,
    SessionError, Suspicion, TarError, UndeleteError, WrongFingerprint,
};
use worldkeeper_scheduler::DaemonError;
use worldkeeper_scheduler::job::{BackupError, RetentionError};

use crate::commands::{
    ArchiveError, CONFIRMATION, CheckProblem, ContainerError, ExportProblem, ImportProblem, KeepsElse, KeyCopyError,
    LATEST, RecreateProblem, RestoreProblem, SourceProblem,
};
use crate::open::AccessError;
use crate::place::SharedDirectory;
use repository::{RIGHT_PASSPHRASE, connect, disk, repository, session, setting, state};
use settings::{file, secret, settings};
use trust::{ssh_key, trust};

/// What to do about an error, if this is one of those that somebody can do something about.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    HINTS.iter().find_map(|hint| hint(error))
}

/// What to do about each kind of error; none is of two kinds. A transparent one is not followed by the one it shows: what is
/// here for it has to look into it.
const HINTS: &[fn(&(dyn Error + 'static)) -> Option<String>] = &[
    |error| of(error, access),
    |error| of(error, repository),
    |error| of(error, shared_directory),
    |error| of(error, session),
    |error| of(error, create),
    |error| of(error, import),
    |error| of(error, tar_file),
    |error| of(error, delete),
    |error| of(error, backup),
    |error| of(error, retention),
    |error| of(error, edit),
    |error| of(error, undelete),
    |error| of(error, diff),
    |error| of(error, find),
    |error| of(error, setting),
    |error| of(error, extract),
    |error| of(error, export),
    |error| of(error, write),
    |error| of(error, state),
    |error| of(error, disk),
    |error| of(error, settings),
    |error| of(error, secret),
    |error| of(error, file),
    |error| of(error, key_copy),
    |error| of(error, fingerprint),
    |error| of(error, check),
    |error| of(error, trust),
    |error| of(error, ssh_key),
    |error| of(error, connect),
    |error| of(error, restore),
    |error| of(error, recreate),
    |error| of(error, source),
    |error| of(error, container),
    |error| of(error, keeps_else),
    |error| of(error, archive),
    |error| of(error, daemon),
];

/// What to do about it, if it is of the kind that `hint` is for.
fn of<E: Error + 'static, H: Into<Option<String>>>(error: &(dyn Error + 'static), hint: fn(&E) -> H) -> Option<String> {
    error.downcast_ref().and_then(|error| hint(error).into())
}

/// What a hint ends with that is to be copied, line by line: a command, a piece of a file.
pub(super) fn lines(error: &(dyn Error + 'static)) -> Vec<String> {
    if let Some(RestoreProblem::ReadOnly { lines, .. }) = error.downcast_ref() {
        return lines.text.lines().map(str::to_owned).collect();
    }
    if let Some(AccessError::Fleeting(directory)) = error.downcast_ref() {
        let mut lines = mount("worldkeeper", directory).to_vec();
        lines.extend(["volumes:", "  worldkeeper:"].map(str::to_owned));
        return lines;
    }
    Vec::new()
}

/// What mounts something in the compose file.
pub(super) fn mount(what: &str, directory: &Path) -> [String; 4] {
    let mount = format!("      - {what}:{}", directory.display());
    ["services:", "  worldkeeper:", "    volumes:", &mount].map(str::to_owned)
}

const LEAVE_OUT: &str = "--exclude leaves it out; `worldkeeper restore` brings what can be read of all others";

const SEE_LIST: &str = "`worldkeeper list` shows the archives there are";

/// Whoever has used `latest` with other verbs takes it for a name.
fn no_such_archive(name: &[u8]) -> &'static str {
    if name == LATEST.as_bytes() {
        "`latest` is another archive after each backup, so here it means none: name the one that is meant as `worldkeeper \
         list` shows it"
    } else {
        SEE_LIST
    }
}

const SEE_ARCHIVE: &str = "`worldkeeper list ARCHIVE` shows what is in it";

fn access(error: &AccessError) -> Option<String> {
    match error {
        AccessError::Repository(error) => repository(error),
        AccessError::Session(error) => session(error),
        AccessError::State(error) => state(error),
        AccessError::WrongPassphrase { .. } => Some(RIGHT_PASSPHRASE.to_owned()),
        AccessError::Fleeting(_) => Some(
            "it would be lost with the container, and every backup with it. Mount a volume there, or give a passphrase \
             by BORG_PASSPHRASE_FILE. In the compose file:"
                .to_owned(),
        ),
        AccessError::Gone { location, .. } => Some(format!(
            "is its volume mounted? No new one is made in its place, which would hide that it is missing. If it is gone \
             for good, say so, and the next backup makes a new one: worldkeeper adopt {location}"
        )),
        AccessError::Config { location, copy, .. } => {
            let (copy, config) = (copy.display().to_string(), format!("{location}/config"));
            let (copy, config) = (quote(&copy), quote(&config));
            Some(format!("if the rest is as it should be, put the copy of it back: cp {copy} {config}"))
        }
        AccessError::Untrusted { location, suspicion: Suspicion::Unproven | Suspicion::OpenToAnybody } => Some(format!(
            "whoever made it can read all that goes there. For a new one that is encrypted, name a directory where nothing is. \
             If it is meant so, say so: worldkeeper adopt {location}; or, where the state directory does not last, set \
             BORG_ENCRYPTION=none"
        )),
        AccessError::Untrusted { location, .. } => Some(format!(
            "it may have been replaced by an older copy, or by somebody. List and restore still work. If it is right as \
             it is, say so: worldkeeper adopt {location}"
        )),
        AccessError::Random(_) => None,
    }
}

fn shared_directory(_: &SharedDirectory) -> String {
    "give it a directory of its own, with --state-dir or WORLDKEEPER_STATE_DIR".to_owned()
}

const ANOTHER_TARGET: &str = "name another directory with --to DIR";

const FILE_SIZE_LIMIT: &str = "a file size limit (ulimit -f) is in the way, or the file system takes no file that large: raise \
                               the limit, or use another file system";

fn system(kind: io::ErrorKind, what: &str) -> Option<String> {
    Some(match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("there is no space left for {what}: make some on its disk")
        }
        io::ErrorKind::FileTooLarge => FILE_SIZE_LIMIT.into(),
        io::ErrorKind::PermissionDenied => {
            format!("run as a user who may do that, or give this one the right to {what}")
        }
        io::ErrorKind::ReadOnlyFilesystem => format!("{what} is mounted read-only: mount it so that it can be written"),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => format!(
            "a file, or a link that leads nowhere, is in the place of {what}, or on the way there: move it away, or name \
             another place"
        ),
        _ => return None,
    })
}

/// What to do about a file that was named to be read or written.
fn named_file(kind: io::ErrorKind, path: &Path) -> String {
    system(kind, &path.display().to_string()).unwrap_or_else(|| match kind {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
            "name a file, in a directory that is there; - is standard input or output".to_owned()
        }
        _ => "see what is wrong with its disk, or name another file".to_owned(),
    })
}

fn archive(error: &ArchiveError) -> String {
    match error {
        ArchiveError::NoSuchArchive { name, .. } => no_such_archive(name.as_bytes()).to_owned(),
        ArchiveError::NotOfSeries { newest, .. } => format!(
            "name the series with --name, as it was when it was backed up, or the archive itself; the newest of all is \
             {newest}"
        ),
        ArchiveError::PassedOver { newest, before, .. } => {
            let before = before.as_ref().map(|name| format!(", or the one before it, {name}")).unwrap_or_default();
            format!("`worldkeeper check` says more of it. Name the archive that is meant: {newest}{before}")
        }
        ArchiveError::FarLess { newest, before, .. } => format!(
            "if the world was lost, and the game has made a new one since, {before} is the one to restore. Name the archive that \
             is meant: {before} or {newest}"
        ),
        ArchiveError::OnlyUnproven { newest, .. } => format!(
            "`worldkeeper list` says of each what is wrong with it. The one that is meant can be named: {newest}"
        ),
        ArchiveError::NoArchive { checkpoint: Some(name), .. } => format!(
            "what a backup had saved that was cut off is there. Before the next one, have that brought back: worldkeeper restore \
             {name} --to DIR"
        ),
        ArchiveError::NoArchive { .. } => "make the first one: worldkeeper backup".to_owned(),
        ArchiveError::TwoMeanings(_) => {
            "give that one another name: worldkeeper rename latest NAME. Or name the one that is meant".to_owned()
        }
        ArchiveError::FromTheFuture { newest, before, .. } => {
            let before = before.as_ref().map(|name| format!(", or the one before it, {name}")).unwrap_or_default();
            format!(
                "this machine's clock is wrong, or that of the one that made it was. Name the archive that is meant: {newest}\
                 {before}"
            )
        }
    }
}

fn delete(error: &DeleteError) -> Option<String> {
    match error {
        DeleteError::Session(SessionError::Archive(broken)) if broken.is_beyond_us() => Some(format!(
            "what it needs is not known, so nothing was deleted. It need not be damaged: stock borg reads more of one file than \
             Worldkeeper does, and may delete, or recreate {} with larger chunks",
            broken.name
        )),
        DeleteError::Session(SessionError::Archive(broken)) => Some(format!(
            "what it needs is not known, so nothing was deleted. What can be mended is mended by: worldkeeper check --repair. \
             If it cannot be, or is not worth it: worldkeeper delete --force {}",
            broken.name
        )),
        DeleteError::Session(error) => session(error),
        DeleteError::NoSuchArchive(name) => Some(no_such_archive(name.as_bytes()).to_owned()),
        DeleteError::FromTheFuture { name, .. } => Some(format!(
            "set the clock right. If it was wrong when that archive was made, and is right now: worldkeeper delete {name}"
        )),
        _ => None,
    }
}

fn undelete(error: &UndeleteError) -> Option<String> {
    match error {
        UndeleteError::Session(error) => session(error),
        UndeleteError::NoSuchArchive(_) => Some("`worldkeeper undelete` shows which there are".to_owned()),
        UndeleteError::Ambiguous { .. } => Some("name the one that is meant by the first digits of its id".to_owned()),
        UndeleteError::NameTaken(name) => {
            Some(format!("give that one another name first: worldkeeper rename {name} NAME"))
        }
        UndeleteError::Incomplete { .. } => Some(
            "a compaction has freed the space since. Nothing was brought back; other archives may be whole".to_owned(),
        ),
        _ => None,
    }
}

fn backup(error: &BackupError) -> Option<String> {
    match error {
        BackupError::Lacking { .. } => Some(
            "the files are named above. Make them readable (in a container, run as the game's user), or leave them out \
             with --exclude. Nothing is pruned until then"
                .to_owned(),
        ),
        BackupError::Create { .. } if error.is_stopped() => Some(
            "no archive was made: the repository is as it was before, but for a checkpoint, if the backup took long enough for \
             one. The next backup begins anew, and stores again nothing that is there"
                .to_owned(),
        ),
        _ => None,
    }
}

fn retention(error: &RetentionError) -> Option<String> {
    matches!(error, RetentionError::ClockSet(_))
        .then(|| "see that the clock is right, then start the daemon again".to_owned())
}

fn keeps_else(_: &KeepsElse) -> String {
    "what it keeps stands on its command line alone. Say here, too, what is to be kept, like --keep-daily 7; or set it \
     in the environment of both (KEEP_DAILY=7)"
        .to_owned()
}

fn container(error: &ContainerError) -> String {
    format!("look at the names in `docker ps --all`, and mend {}", error.origin)
}

fn create(error: &CreateError) -> Option<String> {
    match error {
        CreateError::Session(error) => session(error),
        CreateError::Source(error) => Some(root(error)),
        CreateError::Hangs { .. } => Some(
            "look at what is mounted there: its server or process is gone, or very slow; or nobody writes into what \
             --read-special opens. --read-timeout says how long to wait"
                .to_owned(),
        ),
        CreateError::Stuck { .. } => Some(
            "look at what is mounted there: its server or process is gone. When that is back, or what is mounted is taken \
             away (umount -f), the next backup is made; else start the container again"
                .to_owned(),
        ),
        CreateError::Lost { .. } => Some(
            "most likely what lies there was moved while the backup was made; the next one tells. If it does not, this \
             is a bug: please report it"
                .to_owned(),
        ),
        _ => None,
    }
}

fn import(error: &ImportError) -> Option<String> {
    match error {
        ImportError::NameTaken(name) => Some(name_taken(name)),
        ImportError::Create(error) => create(error),
        ImportError::Tar(TarError::NoTar { .. } | TarError::Endless { offset: 0 }) => Some(
            "name a tar, as it is or compressed by gzip, xz, zstd or lz4; with `-`, see that whatever writes it has not failed"
                .to_owned(),
        ),
        ImportError::Tar(TarError::Endless { .. }) => {
            Some("if whoever wrote it writes no end marks, --ignore-zeros takes it as it is".to_owned())
        }
        ImportError::Tar(_) => Some("nothing was changed; see that the tar is whole, then import it again".to_owned()),
        _ => None,
    }
}

/// About a tar that was named to be read.
fn tar_file(ImportProblem { path, source }: &ImportProblem) -> String {
    named_file(source.kind(), path)
}

fn name_taken(name: &ArchiveName) -> String {
    format!("choose another name, or make this one free: worldkeeper rename {name} NAME")
}

fn edit(error: &EditError) -> Option<String> {
    match error {
        EditError::Session(error) => session(error),
        EditError::NoSuchArchive(_) => Some(SEE_LIST.to_owned()),
        EditError::NameTaken(name) => Some(name_taken(name)),
        EditError::Unauthenticated(_) => Some(
            "if a borg before 1.0.9 made it, or 1.2.4 or older changed it, `borg upgrade --archives-tam` of a later one proves it; \
             list and restore work as it is"
                .to_owned(),
        ),
        _ => None,
    }
}

fn recreate(error: &RecreateProblem) -> String {
    match error {
        RecreateProblem::NothingToDo(_) => {
            "say what is to be different: a path or pattern, --comment, --timestamp, --recompress, --chunker-params or --target"
                .to_owned()
        }
        RecreateProblem::Temporary(_) => "the archive that it was made from is still there; delete this one".to_owned(),
    }
}

fn check(error: &CheckProblem) -> Option<String> {
    matches!(error, CheckProblem::NotConfirmed | CheckProblem::Refused).then(|| {
        format!(
            "make a copy of the repository if you can, then repair it on a terminal, or say that it may be: \
             {CONFIRMATION}=YES worldkeeper check --repair"
        )
    })
}

fn daemon(error: &DaemonError) -> Option<String> {
    match error {
        DaemonError::Interrupted => Some("whatever was left half done is rolled back by the next command".to_owned()),
        DaemonError::Panicked => Some("please report it, with what was written before it".to_owned()),
        _ => None,
    }
}

fn root(error: &RootError) -> String {
    match error {
        RootError::Unreadable { source, .. } => name_sources(source.kind()),
        RootError::LeftOut { .. } => "name the game's directory, not ours".to_owned(),
        RootError::SameNames { .. } => {
            "files of the two could not be told apart when they are restored: name them without `/./`, or mount them where their \
             paths differ"
                .to_owned()
        }
        RootError::NoProc => "mount it: mount -t proc proc /proc".to_owned(),
    }
}

fn name_sources(kind: io::ErrorKind) -> String {
    if kind == io::ErrorKind::PermissionDenied {
        "make it readable; in a container, run as the game's user".to_owned()
    } else {
        NAME_SOURCES.to_owned()
    }
}

const NAME_SOURCES: &str = "name the directories to back up with --source or BACKUP_SOURCES; in a container they have \
                            to be mounted";

fn key_copy(error: &KeyCopyError) -> Option<String> {
    Some(match error {
        KeyCopyError::Disk(error) => named_file(error.kind(), &error.path),
        KeyCopyError::Write { path, source } => named_file(source.kind(), path),
        KeyCopyError::NotRegular(_) => "name a file, or none: the copy goes to standard output then".to_owned(),
        KeyCopyError::Input(_) => return None,
        KeyCopyError::NotText(_) | KeyCopyError::NoKey { .. } => {
            "name what `key export` wrote, or stock borg; with --paper, if it was written for paper".to_owned()
        }
        KeyCopyError::Line { .. } | KeyCopyError::Incomplete { .. } => "compare it with the paper".to_owned(),
    })
}

fn fingerprint(_: &WrongFingerprint) -> String {
    "`worldkeeper key export` takes a new copy, and prints its fingerprint".to_owned()
}

fn source(error: &SourceProblem) -> String {
    match error {
        SourceProblem::Missing { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            format!("{NAME_SOURCES}. To try it out, `run --demo` makes a small world there")
        }
        SourceProblem::Missing { source, .. } => name_sources(source.kind()),
        SourceProblem::Link { target, .. } => format!("name what it leads to: {}", target.display()),
    }
}

fn diff(error: &DiffError) -> Option<String> {
    if let DiffError::Session(error) = error { session(error) } else { None }
}

fn find(error: &FindError) -> Option<String> {
    if let FindError::Session(error) = error { session(error) } else { None }
}

fn extract(error: &ExtractError) -> Option<String> {
    match error {
        ExtractError::Session(error) => session(error),
        ExtractError::TarBroken { .. } => Some(LEAVE_OUT.to_owned()),
        _ => None,
    }
}

fn export(error: &ExportProblem) -> String {
    match error {
        ExportProblem::File { path, source } => named_file(source.kind(), path),
        ExportProblem::NothingMatches(_) => SEE_ARCHIVE.to_owned(),
        ExportProblem::Bzip2(_) => "name it .tar.zst, .tar.xz, .tar.gz, .tar.lz4 or .tar".to_owned(),
    }
}

/// About what is restored, where it goes to.
fn write(error: &RestoreError) -> Option<String> {
    let RestoreError::Io { source, .. } = error else { return None };
    system(source.kind(), "the target").or_else(|| Some(ANOTHER_TARGET.to_owned()))
}

fn restore(error: &RestoreProblem) -> Option<String> {
    match error {
        RestoreProblem::NotEmpty(_) | RestoreProblem::Exists(_) => {
            Some("--overwrite replaces the files that are there; --to DIR restores elsewhere".to_owned())
        }
        RestoreProblem::ReadOnly { lines, .. } => Some(lines::explained(lines)),
        RestoreProblem::NoOrigin { .. } | RestoreProblem::NothingMatches { .. } => Some(format!(
            "{SEE_ARCHIVE}; --to DIR restores anything elsewhere, and without it what came from the sources (--source, \
             BACKUP_SOURCES) goes back to them"
        )),
        RestoreProblem::Link(path) => Some(format!(
            "restore elsewhere with --to DIR, and move what is wanted to where the link leads; or move the link away: {}",
            path.display()
        )),
        RestoreProblem::List { older, .. } => {
            let older =
                older.as_ref().map(|name| format!(" An older archive may be whole: {name}.")).unwrap_or_default();
            Some(format!(
                "--to DIR restores what is left of it elsewhere.{older} What can be mended of its list is mended by: worldkeeper \
                 check --repair"
            ))
        }
        // Why it ended says more.
        RestoreProblem::Incomplete { .. } => None,
        RestoreProblem::Target { path, source } => {
            system(source.kind(), &path.display().to_string()).or_else(|| Some(ANOTHER_TARGET.to_owned()))
        }
    }
}
