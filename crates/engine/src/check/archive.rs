//! One archive: its object, its list of items, the content of its files.
//!
//! It is walked through once, and what is found is told. Where a repair has something to mend, it is walked through again
//! and its list of items is written anew; an archive in which nothing is wrong is not touched.
//!
//! Source: borg 1.4 `archive.py`, `ArchiveChecker.rebuild_refcounts`.

use worldkeeper_archive::{
    ArchiveEntry, ArchiveError, ArchiveMetadata, ArchiveName, ChunkRef, Item, RawItem, SalvageError, TooLarge,
};
use worldkeeper_core::{ChunkId, error_text};
use worldkeeper_crypto::tam::Tam;

use super::file::{self, Examined, Remark, Slot, What};
use super::finding::Finding;
use super::items::{ItemWalk, Step};
use super::reading::Reading;
use super::repack::Repack;
use super::{Checker, Repair};
use crate::random;
use crate::session::{ArchiveInfo, BrokenArchive, SessionError};

/// An archive whose metadata was read.
struct Opened<'a> {
    info: &'a ArchiveInfo,
    packed: Vec<u8>,
    metadata: ArchiveMetadata,
    /// The salt of its TAM. `None` if it has none, or an odd one, and none is needed.
    salt: Option<[u8; 64]>,
    /// Nothing proves it: it stays as it is.
    is_unproven: bool,
}

impl Checker<'_> {
    /// Checks an archive, and mends it.
    pub(super) fn archive(&mut self, info: &ArchiveInfo) -> Result<(), SessionError> {
        self.report.archives += 1;
        let Some(opened) = self.open(info)? else { return Ok(()) };
        let can_mend = self.options.repair && !opened.is_unproven;
        let item_keys = self.manifest.item_keys.clone();
        let (session, options) = (self.session, self.options);
        let reading = || Reading::new(session, options.repair);
        let walk = ItemWalk::new(reading(), &opened.metadata.items, &item_keys, &self.objects);
        let (mut is_changed, mut is_beyond_us) = (false, false);
        let (problems, remaining) = (self.report.problems, self.report.remaining);
        walk.for_each(options.workers, |step| {
            session.check_stop()?;
            match step {
                Step::Item(item) => {
                    let is_to_change = self.item(&info.name, &item, can_mend);
                    is_changed |= is_to_change;
                    if is_to_change && item.chunks().is_some_and(|chunks| chunks.len() > Item::MAX_CHUNKS) {
                        (is_beyond_us, self.knows_all_references) = (true, false);
                        let what = format!("it has more chunks than a repair of ours can write: {LEFT_ALONE}");
                        self.found(&Finding::problem(what).in_archive(&info.name).at(item.path()));
                    }
                }
                Step::Problem { chunk, what } => {
                    is_changed = true;
                    self.knows_all_references &= !opened.is_unproven;
                    self.found(&Finding::problem(what).in_archive(&info.name).of(chunk).mended(can_mend));
                }
                Step::TooLong { chunk, what } => {
                    (is_beyond_us, self.knows_all_references) = (true, false);
                    let what =
                        format!("{what}, which is more than this program reads. Stock borg may read it: {LEFT_ALONE}");
                    self.found(&Finding::problem(what).in_archive(&info.name).of(chunk));
                }
            }
            Ok(())
        })?;
        if is_beyond_us {
            // Whatever was told of it is not mended.
            self.report.remaining = remaining + (self.report.problems - problems);
        } else if can_mend && is_changed {
            return self.rewrite(&opened, ItemWalk::new(reading(), &opened.metadata.items, &item_keys, &self.objects));
        }
        self.objects.refer_to(&info.id);
        opened.metadata.items.iter().for_each(|id| self.objects.refer_to(id));
        Ok(())
    }

    /// Reads an archive's metadata. One that is gone is taken from the list, as stock does; one that cannot be believed,
    /// or not understood, is kept.
    fn open<'a>(&mut self, info: &'a ArchiveInfo) -> Result<Option<Opened<'a>>, SessionError> {
        let about = |what: String| Finding::problem(what).in_archive(&info.name).of(info.id);
        let packed = if self.objects.contains(&info.id) {
            Reading::new(self.session, self.options.repair)
                .content(&info.id)?
                .map_err(|error| format!("its metadata cannot be read: {}", error_text(&error.source)))
        } else {
            Err("its metadata is missing".to_owned())
        };
        let packed = match packed {
            Ok(packed) => packed,
            Err(what) => {
                let cure =
                    if self.options.repair { "it is taken from the list" } else { "--repair takes it from the list" };
                self.found(&about(format!("{what}; {cure}")).mended(self.options.repair));
                self.manifest.archives.remove(&info.name);
                self.is_changed = true;
                return Ok(None);
            }
        };
        let (metadata, proof) = match ArchiveMetadata::decode(self.session.key(), &packed) {
            Ok((metadata, Tam::Missing)) if self.session.requires_tam() => {
                (Ok(metadata), Err("it has no TAM".to_owned()))
            }
            Ok((metadata, tam)) => (Ok(metadata), Ok(tam)),
            Err(ArchiveError::Tam(error)) => (ArchiveMetadata::decode_unverified(&packed), Err(error_text(&error))),
            Err(error) => (Err(error), Ok(Tam::Missing)),
        };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) => {
                self.found(&about(format!(
                    "its metadata cannot be understood, so it is left as it is, and as long as it is there nothing is deleted; \
                     `delete --force` takes it from the list: {}",
                    error_text(&error)
                )));
                self.objects.refer_to(&info.id);
                self.knows_all_references = false;
                return Ok(None);
            }
        };
        if let Err(why) = &proof {
            self.report.unproven += 1;
            self.found(&about(format!(
                "nothing proves who made it: {why}. If borg 1.2.4 or older has renamed, recreated or repaired it, `borg upgrade \
                 --archives-tam` of a later one proves it again; else `delete` it. No repair touches it"
            )));
        }
        if !is_name_of(&metadata.name, &info.name) {
            self.found(&about(format!("its metadata is that of archive {}", metadata.name)));
        }
        let salt = match &proof {
            Ok(Tam::Valid { salt }) => salt.as_slice().try_into().ok(),
            _ => None,
        };
        Ok(Some(Opened { info, packed, metadata, salt, is_unproven: proof.is_err() }))
    }

    /// Looks at one item. Returns whether it is not what it should be.
    fn item(&mut self, archive: &ArchiveName, item: &RawItem, can_mend: bool) -> bool {
        self.report.items += 1;
        self.progress(1, item.size().unwrap_or(0));
        let about = |finding: Finding| finding.in_archive(archive).at(item.path());
        if let Err(error) = item.read() {
            self.found(&about(Finding::problem(format!("it cannot be listed or restored: {}", error_text(&error)))));
        }
        let Some(examined) = file::examine(item, |id| self.objects.contains(id)) else { return false };
        for chunk in item.chunks().into_iter().chain(item.chunks_healthy()).flatten() {
            if let Err(known) = self.objects.size(&chunk.id, chunk.size) {
                let what = format!("the chunk should have {} bytes, but has {known}", chunk.size);
                self.found(&about(Finding::problem(what).of(chunk.id)));
            }
        }
        if examined.is_healthy_invalid {
            self.found(&about(Finding::note(
                "what was kept of the time before a repair does not fit, and is of no use",
            )));
        }
        for remark in &examined.remarks {
            let finding = self.remark(remark, can_mend);
            self.found(&about(finding));
        }
        let sum: u64 = item.chunks().unwrap_or_default().iter().map(|chunk| u64::from(chunk.size)).sum();
        if item.size().is_some_and(|size| size != sum) {
            let what = format!("it should have {} bytes, its chunks have {sum}", item.size().unwrap_or(0));
            self.found(&about(Finding::note(what)));
        }
        if examined.healthy.is_some() {
            self.report.damaged_files += 1;
        }
        for slot in &examined.slots {
            match slot {
                Slot::Chunk(chunk) => self.objects.refer_to(&chunk.id),
                // There may be zeros already; they are in use then.
                Slot::Zeros(size) => {
                    let id = self.zeros_id(*size);
                    self.objects.refer_to(&id);
                }
            }
        }
        if !can_mend {
            // It goes on to refer to what it refers to now, whatever would be put in its place.
            item.chunks()
                .into_iter()
                .chain(item.chunks_healthy())
                .flatten()
                .for_each(|chunk| self.objects.refer_to(&chunk.id));
        }
        examined.is_changed(item)
    }

    fn remark(&self, remark: &Remark, can_mend: bool) -> Finding {
        let Remark { what, chunk, offset } = *remark;
        let (from, to) = (offset, offset + u64::from(chunk.size));
        let zeros = match (can_mend, self.options.repair) {
            (true, _) => "zeros take their place, until a backup stores them again",
            (false, true) => "nothing is put in their place",
            (false, false) => "--repair puts zeros in their place, until a backup stores them again",
        };
        let can_mend = can_mend && chunk.size as usize <= crate::objects::MAX_CHUNK_SIZE;
        match what {
            What::Lost => Finding::problem(format!("bytes {from} to {to} are lost; {zeros}")).mended(can_mend),
            What::ZerosLost => {
                Finding::problem(format!("the zeros in the place of the lost bytes {from} to {to} are lost; {zeros}"))
                    .mended(can_mend)
            }
            What::StillLost => {
                Finding::note(format!("bytes {from} to {to} are lost, as was known; zeros are in their place"))
            }
            What::Back => {
                let cure = if can_mend { "the file has them again" } else { "--repair gives them back to the file" };
                Finding::note(format!("the lost bytes {from} to {to} have come back; {cure}"))
            }
        }
        .of(chunk.id)
    }

    /// Writes an archive anew, with what is left of it.
    fn rewrite(&mut self, opened: &Opened<'_>, mut walk: ItemWalk<'_>) -> Result<(), SessionError> {
        let Self { session, objects, repair: Some(repair), report, .. } = self else { return Ok(()) };
        let mut repack = Repack::new(session.key());
        while let Some(step) = walk.next()? {
            session.check_stop()?;
            let mut item = match step {
                Step::Item(item) => item,
                Step::Problem { .. } => continue,
                // Before, something that stands around it could not be read.
                Step::TooLong { .. } => {
                    let source = SalvageError::TooLarge(TooLarge::Whole).into();
                    return Err(BrokenArchive { name: opened.info.name.clone(), source }.into());
                }
            };
            if let Some(examined) = file::examine(&item, |id| objects.contains(id)).filter(|it| it.is_changed(&item)) {
                for id in &examined.superseded {
                    objects.supersede(id);
                }
                let mut reading = Reading::new(session, true);
                let chunks = fill(&examined, |size| repair.zeros(size, objects, &mut reading))?;
                item.set_chunks(chunks, examined.healthy);
            }
            repack.push(&item, &mut |chunk| Ok(repair.store(chunk, objects)?.0))?;
        }
        let items = repack.finish(&mut |chunk| Ok(repair.store(chunk, objects)?.0))?;
        let mut salt = opened.salt.unwrap_or([0; 64]);
        if opened.salt.is_none() {
            random::fill(&mut salt)?;
        }
        let packed = ArchiveMetadata::encode_with_items(session.key(), &opened.packed, &items, &salt)
            .expect("it was decoded before");
        let (id, _) = repair.store(&packed, objects)?;
        opened.metadata.items.iter().chain([&opened.info.id]).for_each(|id| objects.supersede(id));
        let entry = ArchiveEntry { id, time: opened.info.time };
        self.manifest.archives.insert(opened.info.name.clone(), entry);
        report.rewritten_archives += 1;
        self.is_changed = true;
        Ok(())
    }
}

/// What becomes of an archive that holds what is beyond us.
const LEFT_ALONE: &str = "the archive is left as it is, whatever else is found in it, and what nothing refers to is not deleted while it is there";

/// The chunks of a file as it is to be.
fn fill(
    examined: &Examined,
    mut zeros: impl FnMut(u32) -> Result<ChunkRef, SessionError>,
) -> Result<Vec<ChunkRef>, SessionError> {
    let chunk = |slot: &Slot| match slot {
        Slot::Chunk(chunk) => Ok(*chunk),
        Slot::Zeros(size) => zeros(*size),
    };
    examined.slots.iter().map(chunk).collect()
}

impl Repair<'_> {
    /// Sees to it that a chunk is there.
    fn store(
        &mut self,
        chunk: &[u8],
        objects: &mut super::objects::Objects,
    ) -> Result<(ChunkId, Option<u32>), SessionError> {
        self.store.store(chunk, objects, self.change.transaction.as_mut())
    }

    /// Sees to it that there are so many zeros.
    fn zeros(
        &mut self,
        size: u32,
        objects: &mut super::objects::Objects,
        reading: &mut Reading<'_>,
    ) -> Result<ChunkRef, SessionError> {
        if let Some(zeros) = self.zeros.get(&size) {
            return Ok(*zeros);
        }
        let (id, csize) = self.store(&vec![0; size as usize], objects)?;
        let csize = match csize {
            Some(csize) => csize,
            None => reading.csize(&id)?,
        };
        let zeros = ChunkRef { id, size, csize };
        self.zeros.insert(size, zeros);
        Ok(zeros)
    }
}

/// Returns whether an archive of this name may be listed as `listed`: as itself, or numbered where the manifest was
/// rebuilt and the name was taken.
pub(crate) fn is_name_of(name: &ArchiveName, listed: &ArchiveName) -> bool {
    let Some(rest) = listed.as_bytes().strip_prefix(name.as_bytes()) else { return false };
    match rest.split_first() {
        None => true,
        Some((dot, number)) => *dot == b'.' && !number.is_empty() && number.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_listed_under_its_name_or_that_with_a_number() {
        let is_name_of =
            |name: &str, listed: &str| is_name_of(&ArchiveName::from_bytes(name), &ArchiveName::from_bytes(listed));
        assert!(is_name_of("a", "a") && is_name_of("a", "a.1") && is_name_of("a.1", "a.1.27"));
        for listed in ["b", "a.", "a.x", "a.1x", "a1", "ab", ""] {
            assert!(!is_name_of("a", listed), "{listed}");
        }
    }
}
