//! Feature flags: what a later borg did to a repository that this one must know of.
//!
//! Under `feature_flags` the manifest's config has, for each class of operations, a list of features that are mandatory
//! for it. A client that does not know one of them must leave the operation alone. No feature is known here, and none was
//! ever used by borg 1.x.
//!
//! Source: borg 1.4 `helpers/manifest.py`, `Manifest.check_repository_compatibility`.

use worldkeeper_core::msgpack::Value;

use crate::manifest::{Manifest, ManifestError};

/// What a client is about to do; feature flags can forbid each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List and extract.
    Read,
    /// Check and repair, and whatever must understand every detail.
    Check,
    /// Add archives.
    Write,
    /// Delete archives, for which every reference must be counted.
    Delete,
}

impl Manifest {
    /// Requires that no feature stands in the way of `operation`.
    pub fn check_features(&self, operation: Operation) -> Result<(), ManifestError> {
        let flags = self.config.get(b"feature_flags".as_slice());
        let mandatory = flags.and_then(|flags| flags.get(operation.key())).and_then(|flags| flags.get("mandatory"));
        let features: Vec<_> = match mandatory {
            None => return Ok(()),
            Some(Value::Array(features)) => features.iter().map(name).collect(),
            Some(other) => vec![name(other)],
        };
        if features.is_empty() { Ok(()) } else { Err(ManifestError::UnsupportedFeatures(features)) }
    }
}

impl Operation {
    fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Check => "check",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }
}

fn name(feature: &Value) -> String {
    String::from_utf8_lossy(feature.as_raw().unwrap_or(b"?")).chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::msgpack::Decoder;

    use super::*;

    /// A manifest whose config has these packed feature flags.
    fn manifest(flags: &[u8]) -> Manifest {
        let mut manifest = Manifest::new();
        manifest.config.insert(b"feature_flags".to_vec(), Value::decode(&mut Decoder::new(flags)).unwrap());
        manifest
    }

    #[test]
    fn an_unknown_mandatory_feature_stands_in_the_way_of_its_operation_alone() {
        // {"write": {"mandatory": ["shiny", "new"]}, "check": {"mandatory": []}, "read": {}}
        let manifest =
            manifest(b"\x83\xa5write\x81\xa9mandatory\x92\xa5shiny\xa3new\xa5check\x81\xa9mandatory\x90\xa4read\x80");
        let expected = ManifestError::UnsupportedFeatures(vec!["shiny".into(), "new".into()]);
        assert_eq!(manifest.check_features(Operation::Write), Err(expected));
        for operation in [Operation::Read, Operation::Check, Operation::Delete] {
            assert_eq!(manifest.check_features(operation), Ok(()));
        }
    }

    #[test]
    fn what_is_of_another_kind_is_not_understood_either() {
        let manifest = manifest(b"\x81\xa6delete\x81\xa9mandatory\x07");
        assert_eq!(
            manifest.check_features(Operation::Delete),
            Err(ManifestError::UnsupportedFeatures(vec!["?".into()]))
        );
    }
}
