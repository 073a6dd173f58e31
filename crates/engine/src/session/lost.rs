//! Opening a repository whose manifest may be lost, for a check.
//!
//! The manifest tells the mode, and with it which key is needed; but so does every other object.

use std::collections::BTreeSet;

use worldkeeper_archive::{Manifest, ManifestError, Operation, TamPolicy};
use worldkeeper_core::{ChunkId, Repository, RepositoryError};
use worldkeeper_crypto::{EncryptionMode, Key};

use super::{Session, SessionError, SessionOptions, key};
use crate::objects::{ChunkReader, ObjectError, ObjectProblem};

/// What is the matter with a manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestLoss {
    /// There is none.
    #[error("the manifest is missing")]
    Missing,
    /// Its object is damaged.
    #[error("the manifest is damaged")]
    Damaged(#[source] ObjectProblem),
    /// It is not what the key's owner wrote.
    #[error("the manifest cannot be used")]
    Unusable(#[source] ManifestError),
    /// Nothing but the proof is missing: borg before 1.0.9 may have written it, or somebody without the key.
    #[error("the manifest cannot be used")]
    Unproven {
        /// The metadata objects of the archives that it lists.
        listed: BTreeSet<ChunkId>,
        /// What is missing.
        source: ManifestError,
    },
}

/// Objects that are looked at before a repository counts as one that our key does not open.
const SAMPLE: usize = 999;

impl Session {
    /// Opens what is in a repository, even if the manifest is lost: then no archives are listed, and
    /// [`check`](crate::check()) finds them.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) that no check can mend: an empty repository, a key or a passphrase that does not
    /// open it, a manifest of a later borg.
    pub fn open_for_check(
        repository: Box<dyn Repository>,
        options: &SessionOptions<'_>,
    ) -> Result<(Self, Option<ManifestLoss>), SessionError> {
        let key = find_key(repository.as_ref(), options)?;
        let (object, packed) = match ChunkReader::new(repository.as_ref(), &key).read_manifest() {
            Ok(read) => read,
            Err(error) => return Self::without_manifest(repository, key, damage(error)?, options),
        };
        match super::read_manifest(&key, &packed, super::is_tam_expected(options, repository.id())?) {
            Ok(manifest) => {
                manifest.check_features(Operation::Check)?;
                let (manifest_id, after_manifest) = (key.id_hash(&packed), key.nonce_after(&object));
                let session = Self::with_manifest(repository, key, manifest, manifest_id, after_manifest, options)?;
                Ok((session, None))
            }
            // A later borg knows what it means; made anew, it would mean something else.
            Err(
                error @ (ManifestError::FutureFormat
                | ManifestError::UnsupportedVersion(_)
                | ManifestError::UnsupportedFeatures(_)),
            ) => Err(error.into()),
            Err(source) => {
                let loss = match Manifest::decode(&key, &packed, TamPolicy::Optional) {
                    Ok((manifest, _)) => {
                        let listed = manifest.archives.values().map(|entry| entry.id).collect();
                        ManifestLoss::Unproven { listed, source }
                    }
                    Err(_) => ManifestLoss::Unusable(source),
                };
                Self::without_manifest(repository, key, loss, options)
            }
        }
    }

    fn without_manifest(
        repository: Box<dyn Repository>,
        key: Key,
        loss: ManifestLoss,
        options: &SessionOptions<'_>,
    ) -> Result<(Self, Option<ManifestLoss>), SessionError> {
        let known = options.state.repository(repository.id()).known()?;
        let is_tam_expected = known.as_ref().is_some_and(|known| known.tam_required);
        // The next one must be newer than the last one that anybody saw, and nothing says that this one is older.
        let mut manifest = Manifest { timestamp: known.map(|known| known.manifest_timestamp), ..Manifest::new() };
        if super::requires_tam(&key, is_tam_expected) {
            manifest.require_tam();
        }
        let after_manifest = key.mode().encrypts().then_some(0);
        let session = Self::with_manifest(repository, key, manifest, ChunkId::MANIFEST, after_manifest, options)?;
        Ok((session, Some(loss)))
    }
}

/// Tells a manifest that is lost from a repository that fails.
fn damage(error: ObjectError) -> Result<ManifestLoss, SessionError> {
    match *error.source {
        ObjectProblem::Repository(RepositoryError::ObjectNotFound(_)) => Ok(ManifestLoss::Missing),
        ObjectProblem::Repository(RepositoryError::Damaged { .. })
        | ObjectProblem::Open(_)
        | ObjectProblem::Decompress(_)
        | ObjectProblem::WrongId(_)
        | ObjectProblem::AnotherOne => Ok(ManifestLoss::Damaged(*error.source)),
        ObjectProblem::Repository(error) => Err(error.into()),
    }
}

/// Finds the key by the manifest, or else by any object that it opens.
fn find_key(repository: &dyn Repository, options: &SessionOptions<'_>) -> Result<Key, SessionError> {
    let open = |mode| key::open(repository, mode, options.key_store, options.passphrase);
    let mut failure = match key::read_mode(repository) {
        Ok(mode) => match open(mode) {
            Ok(key) if ChunkReader::new(repository, &key).read_manifest().is_ok() => return Ok(key),
            Ok(_) => None,
            Err(error) => Some(error),
        },
        Err(error @ (SessionError::Unfinished(_) | SessionError::Repository(RepositoryError::Stopped))) => {
            return Err(error);
        }
        Err(error) => Some(error),
    };
    let mut tried: Vec<EncryptionMode> = Vec::new();
    let mut keys: Vec<Key> = Vec::new();
    for id in repository.ids()?.into_iter().filter(|id| *id != ChunkId::MANIFEST).take(SAMPLE) {
        let Ok(object) = repository.get(&id) else { continue };
        let Ok(mode) = EncryptionMode::of_object(&object) else { continue };
        if !tried.contains(&mode) {
            tried.push(mode);
            match open(mode) {
                Ok(key) => keys.push(key),
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
        let opens = |key: &Key| key.mode() == mode && ChunkReader::new(repository, key).read(&id, None).is_ok();
        if let Some(found) = keys.iter().position(opens) {
            return Ok(keys.swap_remove(found));
        }
    }
    Err(failure.unwrap_or_else(|| SessionError::NothingOpens(repository.location())))
}
