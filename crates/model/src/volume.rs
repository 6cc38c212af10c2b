//! How the volumes of an application are to be captured, where the usual way is not the right one.

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pattern::glob;
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
    /// As what it is captured.
    #[serde(rename = "as", default, skip_serializing_if = "CaptureForm::is_files")]
    pub form: CaptureForm,
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

/// As what a volume is captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureForm {
    /// Its files; a claim of `volumeMode: Block` has none, and is captured as blocks.
    #[default]
    Files,
    /// The device below its file system, read from a snapshot: where the driver says what changed, a volume of many
    /// files costs no more than what was written to it. It comes back as a whole.
    Blocks,
}

impl CaptureForm {
    /// Whether it is captured file by file.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub fn is_files(&self) -> bool {
        *self == Self::Files
    }
}

/// Rules with their patterns parsed.
#[derive(Debug, Clone, Default)]
pub struct VolumeRules(Vec<(GlobMatcher, VolumeRule)>);

impl VolumeRules {
    /// Parses the patterns.
    ///
    /// # Errors
    /// [`InvalidScope::Pattern`], [`InvalidScope::Blocks`]
    pub fn new(rules: &[VolumeRule]) -> Result<Self, InvalidScope> {
        let parse = |rule: &VolumeRule| {
            rule.check_blocks()?;
            for pattern in &rule.exclude {
                glob(pattern.strip_prefix('!').unwrap_or(pattern))?;
            }
            Ok((glob(&rule.claim)?, rule.clone()))
        };
        rules.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The rule of a claim.
    pub fn of(&self, namespace: &str, claim: &str) -> Option<&VolumeRule> {
        let name = format!("{namespace}/{claim}");
        self.0.iter().find(|(glob, _)| glob.is_match(&name)).map(|(_, rule)| rule)
    }
}

impl VolumeRule {
    /// Blocks are read of a snapshot, all of them or none.
    fn check_blocks(&self) -> Result<(), InvalidScope> {
        let reason = match self {
            Self { form: CaptureForm::Files, .. } => return Ok(()),
            Self { from: CaptureFrom::Live, .. } => "`from: live`: a device that is written to is no volume",
            Self { exclude, .. } if !exclude.is_empty() => "`exclude`: a device has no files to leave out",
            Self { .. } => return Ok(()),
        };
        Err(InvalidScope::Blocks { claim: self.claim.clone(), reason })
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
            form: CaptureForm::Files,
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

    #[test]
    fn blocks_are_not_read_live_nor_in_part() {
        let rules = |json: serde_json::Value| VolumeRules::new(&[serde_json::from_value(json).unwrap()]);
        let rule = |more: serde_json::Value| {
            let mut rule = serde_json::json!({"claim": "shop/data", "as": "blocks"});
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            rule
        };
        let whole = rules(rule(serde_json::json!({"from": "snapshot", "snapshotClass": "fast"}))).unwrap();
        assert_eq!(whole.of("shop", "data").map(|rule| rule.form), Some(CaptureForm::Blocks));
        let live = rules(rule(serde_json::json!({"from": "live"}))).unwrap_err().to_string();
        assert!(live.contains("shop/data") && live.contains("from: live"), "{live}");
        let part = rules(rule(serde_json::json!({"exclude": ["tmp"]}))).unwrap_err().to_string();
        assert!(part.contains("exclude"), "{part}");
    }
}
