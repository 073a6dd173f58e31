//! The items of an archive whose list of items has gaps: those behind a gap are found again, and each gap is told.

use std::borrow::Cow;

use worldkeeper_archive::{Item, ItemError, ItemSalvage};

use super::archive::{ArchiveProblem, BrokenArchive};
use super::{Items, OpenArchive, Session, SessionError};

/// What stands in a list of items.
pub(crate) enum Listed {
    /// An item.
    Item(Box<Item>),
    /// Something that cannot be read; how many items it lists is not known.
    Gap(SessionError),
}

/// The items of an archive, in order, and the gaps between them. After an error there is nothing more.
pub(crate) struct PastGaps<'s> {
    session: &'s Session,
    items: Items<'s>,
    /// Since the first gap.
    salvage: Option<ItemSalvage<'s>>,
    has_ended: bool,
}

impl Session {
    /// Reads an archive's items, one by one, also those behind a part of the list that is lost.
    pub(crate) fn items_past_gaps<'s>(&'s self, archive: &'s OpenArchive) -> PastGaps<'s> {
        PastGaps { session: self, items: self.items(archive), salvage: None, has_ended: false }
    }
}

impl PastGaps<'_> {
    fn advance(&mut self) -> Result<Option<Listed>, SessionError> {
        if self.salvage.is_some() {
            return self.search();
        }
        match self.items.next() {
            Some(Err(error @ SessionError::Object(_))) => self.gap(error).map(Some),
            item => Ok(item.transpose()?.map(|item| Listed::Item(Box::new(item)))),
        }
    }

    /// The next thing there is behind the first gap.
    fn search(&mut self) -> Result<Option<Listed>, SessionError> {
        loop {
            let Some(salvage) = &mut self.salvage else { return Ok(None) };
            let broken = |source: ArchiveProblem| BrokenArchive { name: self.items.name.clone(), source };
            if let Some(found) = salvage.next_item() {
                let item = found.map_err(ArchiveProblem::from).and_then(|raw| Ok(raw.read().map(Cow::into_owned)?));
                let listed =
                    item.map_or_else(|problem| Listed::Gap(broken(problem).into()), |item| Listed::Item(item.into()));
                return Ok(Some(listed));
            }
            let Some(id) = self.items.chunks.next() else {
                self.has_ended = true;
                let left = self.salvage.take().map_or(0, ItemSalvage::finish);
                let cut = (left > 0).then(|| broken(ItemError::Incomplete(left).into()));
                return Ok(cut.map(|cut| Listed::Gap(cut.into())));
            };
            match self.items.reader.read(id, None) {
                Ok(piece) => salvage.push(&piece),
                Err(error) => return self.gap(error.into()).map(Some),
            }
        }
    }

    /// Goes on behind what is damaged or missing; a repository that fails is the end.
    fn gap(&mut self, error: SessionError) -> Result<Listed, SessionError> {
        if !error.is_damage() {
            return Err(error);
        }
        self.salvage.get_or_insert_with(|| ItemSalvage::new(&self.session.manifest.item_keys)).skip();
        Ok(Listed::Gap(error))
    }
}

impl Iterator for PastGaps<'_> {
    type Item = Result<Listed, SessionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let listed = self.advance().transpose();
        self.has_ended |= matches!(listed, None | Some(Err(_)));
        listed
    }
}
