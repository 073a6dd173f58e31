//! `export-tar`: writes an archive, or some of what is in it, as a tar.
//!
//! A file takes its name when it is whole, so that half a tar never passes for one.

mod compressed;
mod partial;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};
use worldkeeper_core::Stop;
use worldkeeper_engine::{ExtractStats, OpenArchive, Selection, Session, Wanted, export_tar as export};

use super::archives::{self, Latest};
use super::restore::stored_path;
use crate::args::ExportTar;
use crate::escape::escape_bytes;
use crate::open::{Caller, Purpose};
use crate::place::Place;
use crate::progress::Reporter;
use crate::report::Done;
use crate::{settings, words};
use compressed::{Compressed, Format};

/// Why there is no tar.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportProblem {
    /// The file cannot be made or finished.
    #[error("cannot write {}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its name asks for a compression that there is none for.
    #[error("{} would be compressed with bzip2, which Worldkeeper cannot", .0.display())]
    Bzip2(PathBuf),
    /// Nothing of what was asked for is there.
    #[error("archive {0} holds nothing of what was asked for, so there is no tar")]
    NothingMatches(String),
}

/// Exports an archive.
pub(super) fn export_tar(place: &Arc<Place>, options: &ExportTar, stop: &Stop) -> anyhow::Result<Done> {
    let format = Format::of(&options.file).ok_or_else(|| ExportProblem::Bzip2(options.file.clone()))?;
    let (patterns, paths): (Vec<_>, Vec<_>) =
        options.paths.iter().map(|path| path.as_os_str().as_bytes()).partition(|path| Selection::is_pattern(path));
    let paths: Vec<_> = paths.into_iter().map(|path| stored_path(Path::new(OsStr::from_bytes(path)))).collect();
    let named = paths.iter().map(Vec::as_slice).filter(|path| !path.is_empty()).chain(patterns);
    let selection = settings::select(&options.patterns.0, named)?;
    let session = place.session(Purpose::Read, Caller::Hand, stop)?;
    let (archive, done) = archives::open(place, &session, &options.archive, Latest::OfNoOther)?;
    let wanted = Wanted { selection, strip_components: options.strip_components, ..Wanted::default() };
    let to_stdout = options.file.as_os_str() == "-";
    let reporter = Reporter::new(&place.screen, "exporting").listing(options.list && !to_stdout);
    let exported = if to_stdout {
        write(Box::new(io::stdout()), format, &session, &archive, &wanted, &reporter)
    } else {
        to_file(&options.file, |file| write(file, format, &session, &archive, &wanted, &reporter))
    };
    reporter.end();
    let stats = exported?;
    let found = archives::warn_of_unmatched(&archive, &wanted.selection);
    if stats.failed > 0 {
        warn!("{} not exported, or not whole", words::count(stats.failed, "item"));
    }
    let (files, bytes) = (words::count(stats.files, "file"), words::bytes(stats.size));
    info!("exported {files}, {bytes}, from {}", escape_bytes(archive.metadata.name.as_bytes()));
    Ok(if stats.has_warnings() { Done::WithWarnings } else { found.max(done) })
}

fn write(
    output: Box<dyn Write + Send>,
    format: Format,
    session: &Session,
    archive: &OpenArchive,
    wanted: &Wanted,
    reporter: &Reporter,
) -> anyhow::Result<ExtractStats> {
    let mut tar = Compressed::new(format, BufWriter::new(output))?;
    let stats = export(session, archive, &mut tar, wanted, reporter)?;
    // Stock leaves a tar of nothing, which passes for one of what was asked for.
    if stats.files + stats.others + stats.failed + stats.left_out == 0 && !wanted.selection.is_everything() {
        _ = archives::warn_of_unmatched(archive, &wanted.selection);
        return Err(ExportProblem::NothingMatches(escape_bytes(archive.metadata.name.as_bytes())).into());
    }
    tar.finish()?.flush()?;
    Ok(stats)
}

/// Writes a file that takes its place when it is whole. What is no regular file, such as a pipe, stays what it is.
fn to_file<T>(path: &Path, write: impl FnOnce(Box<dyn Write + Send>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let failed = |source| ExportProblem::File { path: path.to_owned(), source };
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return write(Box::new(File::options().write(true).open(path).map_err(failed)?));
    }
    partial::remove_left(path);
    let (partial, file) = partial::create(path).map_err(failed)?;
    let written = file.try_clone().map_err(|source| failed(source).into()).and_then(|synced| {
        let written = write(Box::new(file))?;
        synced.sync_all().and_then(|()| fs::rename(&partial, path)).map_err(failed)?;
        Ok(written)
    });
    if written.is_err() {
        _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nobody_else_reads_what_is_written_or_says_where_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("a.tar"), folder.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path().join("a.tar.partial")).unwrap();
        to_file(&path, |mut file| {
            file.write_all(b"tar")?;
            let partial = names(folder.path()).pop().unwrap();
            assert!(partial.starts_with("worldkeeper-export-"), "{partial}");
            let mode = fs::symlink_metadata(folder.path().join(partial)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"tar");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(names(folder.path()), ["a.tar", "a.tar.partial", "victim"]);
    }

    #[test]
    fn what_fails_leaves_nothing_and_takes_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        fs::write(&path, "what was there").unwrap();
        let error = to_file(&path, |mut file| {
            file.write_all(b"half a tar")?;
            Err::<(), _>(anyhow::anyhow!("as a test wants it"))
        });
        assert_eq!(error.unwrap_err().to_string(), "as a test wants it");
        assert_eq!(fs::read(&path).unwrap(), b"what was there");
        assert_eq!(names(folder.path()), ["a.tar"]);
    }

    #[test]
    fn what_a_killed_export_has_left_goes_with_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let left = |number: u64| at(&format!("worldkeeper-export-{number:016x}.partial"));
        fs::write(left(1), "half a tar").unwrap();
        let others = ["worldkeeper-export-x.partial", "worldkeeper-export-0000000000000001.tar", "partial"];
        for name in others {
            fs::write(at(name), "precious").unwrap();
        }
        symlink(at("partial"), left(2)).unwrap();
        fs::create_dir(left(3)).unwrap();
        fs::write(left(4), "of somebody else").unwrap();
        let is_root = std::os::unix::fs::chown(left(4), Some(12_345), None).is_ok();
        to_file(&at("a.tar"), |mut file| {
            file.write_all(b"a tar")?;
            // Another one that goes on at the same time leaves this one alone.
            to_file(&at("b.tar"), |mut file| Ok(file.write_all(b"another")?))
        })
        .unwrap();
        assert_eq!(fs::read(at("a.tar")).unwrap(), b"a tar");
        assert_eq!(fs::read(at("b.tar")).unwrap(), b"another");
        assert!(!left(1).exists());
        assert!(others.iter().all(|name| at(name).exists()) && left(2).is_symlink() && left(3).is_dir());
        assert_eq!(left(4).exists(), is_root);
        assert_eq!(names(folder.path()).len(), 2 + others.len() + 2 + usize::from(is_root));
    }
}
