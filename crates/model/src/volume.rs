//! How the volumes of an application are to be captured, where the usual way is not the right one.

use globset::{Glob, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scope::InvalidScope;

/// How some claims are captured. Of several rules that name a claim the first counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeRule {
    /// `namespace/claim`, globs allowed.
    pub claim: String,
    /// What is read.
    #[serde(default)]
    pub from: CaptureFrom,
    /// VolumeSnapshotClass; if left out, the one that the claim or its storage class names in the
    /// annotation `holdfast.dev/snapshot-class`, or the driver's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_class: Option<String>,
    /// Globs of paths below the volume's root that are left out; `*` does not cross a `/`, `**` does.
    /// The last that a path matches decides, and a leading `!` takes in again: `["**", "!data/**"]`
    /// captures `data` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// What the bytes of a volume are read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureFrom {
    /// A snapshot of the storage where it has them, else the live volume. A claim with late paths of
    /// a hold hook is read live, as that hook's protocol wants it.
    #[default]
    Auto,
    /// A snapshot; without one the claim is not captured, and the point is Partial.
    Snapshot,
    /// The live volume, even where the storage has snapshots.
    Live,
}

/// Rules with their patterns parsed.
#[derive(Debug, Clone, Default)]
pub struct VolumeRules(Vec<(GlobMatcher, VolumeRule)>);

impl VolumeRules {
    /// Parses the patterns.
    ///
    /// # Errors
    /// [`InvalidScope::Glob`]
    pub fn new(rules: &[VolumeRule]) -> Result<Self, InvalidScope> {
        let glob = |pattern: &str| {
            Glob::new(pattern).map_err(|error| InvalidScope::Glob {
                pattern: pattern.to_owned(),
                message: error.kind().to_string(),
            })
        };
        let parse = |rule: &VolumeRule| {
            for pattern in &rule.exclude {
                glob(pattern.strip_prefix('!').unwrap_or(pattern))?;
            }
            Ok((glob(&rule.claim)?.compile_matcher(), rule.clone()))
        };
        rules.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The rule of a claim.
    pub fn of(&self, namespace: &str, claim: &str) -> Option<&VolumeRule> {
        let name = format!("{namespace}/{claim}");
        self.0.iter().find(|(glob, _)| glob.is_match(&name)).map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_names_a_claim_counts() {
        let rule = |claim: &str, from| VolumeRule {
            claim: claim.into(),
            from,
            snapshot_class: None,
            exclude: vec![],
        };
        let rules = [rule("shop/cache-*", CaptureFrom::Live), rule("shop/*", CaptureFrom::Snapshot)];
        let rules = VolumeRules::new(&rules).unwrap();
        assert_eq!(rules.of("shop", "cache-0").map(|rule| rule.from), Some(CaptureFrom::Live));
        assert_eq!(rules.of("shop", "data").map(|rule| rule.from), Some(CaptureFrom::Snapshot));
        assert_eq!(rules.of("bank", "data"), None);
        assert!(VolumeRules::new(&[rule("shop/[", CaptureFrom::Auto)]).is_err());
    }
}
