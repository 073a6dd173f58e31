//! Opening a repository whose manifest was replaced, for an undelete.
//!
//! Whoever may only append can put anything in the manifest's place; the one before is in the repository still. Nothing but the
//! key says that it is one, and nothing which of several was the last that counted: the newest is taken.

use worldkeeper_archive::{Manifest, ManifestError, Operation};
use worldkeeper_core::{ChunkId, Repository, RepositoryError};
use worldkeeper_crypto::{EncryptionMode, Key, KeyBlobError};

use super::{Head, Session, SessionError, SessionOptions, key, read_manifest};
use crate::objects::ChunkReader;
use crate::state::Known;

impl Session {
    /// Opens what is in a repository; if its manifest cannot be used, by the newest earlier one that can. Says whether it
    /// was such a one, which only an [`undelete`](crate::undelete()) puts in its place again.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), if there is no earlier manifest either.
    pub fn open_for_undelete(
        repository: Box<dyn Repository>,
        options: &SessionOptions<'_>,
    ) -> Result<(Self, bool), SessionError> {
        let known = options.state.repository(repository.id()).known()?;
        let head = Head::read(repository.as_ref(), options);
        let may_be_replaced = match &head {
            Ok(head) => !is_expected(head.key.mode(), known.as_ref(), options),
            Err(error) => may_be_replaced(error),
        };
        let earlier = if may_be_replaced { earlier_head(repository.as_ref(), known.as_ref(), options)? } else { None };
        match earlier {
            Some(head) => Ok((Self::with_head(repository, head, options)?, true)),
            None => Ok((Self::with_head(repository, head?, options)?, false)),
        }
    }

    /// Tells of the manifests that do not count any more, as far as the key proves them, newest first.
    pub(crate) fn for_each_earlier_manifest(&self, mut tell: impl FnMut(Manifest)) -> Result<(), SessionError> {
        let mut reader = self.reader();
        self.repository.find_earlier(&ChunkId::MANIFEST, &mut |object| {
            if let Ok(packed) = reader.open_content(object.clone())
                && let Ok(manifest) = read_manifest(&self.key, &packed, self.requires_tam())
            {
                tell(manifest);
            }
            false
        })?;
        Ok(())
    }

    /// Returns whether the manifest that the session goes by is not the one that is there.
    pub(crate) fn has_earlier_manifest(&self) -> Result<bool, SessionError> {
        match self.reader().read_manifest() {
            Ok((_, packed)) => Ok(self.key.id_hash(&packed) != self.manifest_id),
            Err(error) if error.is_damage() => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns whether a repository whose manifest is none of ours can end so. What is in its place may name a mode of which
/// there is no key.
fn may_be_replaced(error: &SessionError) -> bool {
    match error {
        SessionError::Object(error) => error.is_damage(),
        SessionError::Repository(error) => matches!(error, RepositoryError::Damaged { .. }),
        SessionError::Key(error) => !matches!(error, KeyBlobError::WrongPassphrase),
        // A later borg knows what it means, and that it replaces the earlier ones; one that only lacks its proof was made by somebody
        // with the key, and its list may be the right one.
        SessionError::Manifest(
            ManifestError::FutureFormat
            | ManifestError::UnsupportedVersion(_)
            | ManifestError::UnsupportedFeatures(_)
            | ManifestError::TamRequired,
        ) => false,
        SessionError::NoManifest(_)
        | SessionError::Unfinished(_)
        | SessionError::UnknownMode(_)
        | SessionError::NoKey(_)
        | SessionError::NoKeyFile { .. }
        | SessionError::Manifest(_) => true,
        _ => false,
    }
}

/// Returns whether a manifest of a mode can be ours: anybody can make one that needs no key.
fn is_expected(mode: EncryptionMode, known: Option<&Known>, options: &SessionOptions<'_>) -> bool {
    match known {
        Some(known) => known.key_type == mode.type_byte(),
        None => mode != EncryptionMode::None || options.passphrase.is_none_or(str::is_empty),
    }
}

/// The newest earlier manifest that the key proves.
fn earlier_head(
    repository: &dyn Repository,
    known: Option<&Known>,
    options: &SessionOptions<'_>,
) -> Result<Option<Head>, SessionError> {
    match repository.earlier_ids() {
        Ok(ids) if ids.contains(&ChunkId::MANIFEST) => {}
        Ok(_) | Err(RepositoryError::Unsupported(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let is_tam_expected = known.is_some_and(|known| known.tam_required);
    // Opening a key takes long, and there is one for each mode at most.
    let mut keys: Vec<(EncryptionMode, Option<Key>)> = Vec::new();
    let mut found = None;
    repository.find_earlier(&ChunkId::MANIFEST, &mut |object| {
        let Ok(mode) = EncryptionMode::of_object(object) else { return false };
        if !is_expected(mode, known, options) {
            return false;
        }
        if !keys.iter().any(|(tried, _)| *tried == mode) {
            keys.push((mode, key::open(repository, mode, options.key_store, options.passphrase).ok()));
        }
        let Some((_, Some(key))) = keys.iter().find(|(tried, _)| *tried == mode) else { return false };
        let Ok(packed) = ChunkReader::new(repository, key).open_content(object.clone()) else { return false };
        let Ok(manifest) = read_manifest(key, &packed, is_tam_expected) else { return false };
        found = Some((mode, manifest, key.id_hash(&packed), key.nonce_after(object)));
        true
    })?;
    let Some((mode, manifest, manifest_id, after_manifest)) = found else { return Ok(None) };
    manifest.check_features(Operation::Read)?;
    let Some((_, Some(key))) = keys.into_iter().find(|(tried, _)| *tried == mode) else { return Ok(None) };
    // The one that follows must be newer than the last one that anybody saw; this one was taken on purpose.
    let timestamp = manifest.timestamp.max(known.map(|known| known.manifest_timestamp));
    let manifest = Manifest { timestamp, ..manifest };
    Ok(Some(Head { key, manifest, manifest_id, after_manifest }))
}
