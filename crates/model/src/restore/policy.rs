//! What becomes of objects that are at the target already and differ from the point.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labels::{InvalidSelector, LabelSelector};
use crate::object::{GroupKind, ResourceType};
use crate::pattern::{InvalidPattern, KindPattern};

/// What is done about an object that is there already and differs from the point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// It is left as it is, and named.
    #[default]
    None,
    /// What the point has is added to it and set in it, by server-side apply. What it has beyond that
    /// stays, and a field that somebody else manages is a conflict, which is named and not forced.
    Merge,
    /// It is replaced by the state of the point, if nobody changes it meanwhile.
    Replace,
    /// The same; where the server refuses that, because a field cannot be changed, it is deleted and created
    /// anew. Nothing that holds data ever is: see [`holds_data`].
    Recreate,
    /// As [`Existing::Recreate`]; and what the point does not have is deleted, within the scope of the
    /// application and in its namespaces. Nothing that holds data, or has data below it, ever is.
    Prune,
}

/// [`Existing`] for some kinds and labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// Kinds: `secrets`, `Deployment`, `deployments.apps`, `*.istio.io`.
    pub kinds: String,
    /// Label selector of the object as it is to be sent; empty: whatever its labels.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// What is done.
    pub existing: Existing,
}

/// What is done about objects that are there and differ, kind by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policies {
    /// What is done where no rule says otherwise. Of cluster-scoped objects only rules dispose:
    /// others may use them too.
    pub default: Existing,
    /// The last rule that matches decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<PolicyRule>,
}

/// A policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// Neither a policy nor a rule.
    #[error(
        "`{text}` is no policy: write none, merge, replace, recreate or prune, or KIND=POLICY, or KIND:LABELS=POLICY"
    )]
    Form {
        /// As given.
        text: String,
    },
    /// Two policies for all kinds.
    #[error(
        "both `{first}` and `{second}` are to be done with every kind: choose one, or say for which kind"
    )]
    Twice {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A pattern of kinds that does not parse.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// A label selector that does not parse.
    #[error(transparent)]
    Labels(#[from] InvalidSelector),
}

/// What is to be done about one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What.
    pub existing: Existing,
    /// Whether a rule says so of its kind: then it holds for cluster-scoped objects, too.
    pub by_rule: bool,
}

/// [`Policies`] with their patterns parsed.
#[derive(Debug, Clone, Default)]
pub struct PolicyBook {
    default: Existing,
    rules: Vec<(KindPattern, LabelSelector, Existing)>,
}

/// Kinds whose objects are data, or have data below them that goes with them.
const DATA: &[(&str, &str)] = &[
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("snapshot.storage.k8s.io", "VolumeSnapshot"),
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"),
    ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshot"),
    ("groupsnapshot.storage.k8s.io", "VolumeGroupSnapshotContent"),
];

/// Whether deleting an object of this kind would delete data: no policy does.
pub fn holds_data(of: &GroupKind) -> bool {
    DATA.iter().any(|(group, kind)| of.group == *group && of.kind == *kind)
}

impl Existing {
    /// Whether an object that cannot be changed to what it is to be is deleted and created anew.
    pub fn may_recreate(self) -> bool {
        matches!(self, Existing::Recreate | Existing::Prune)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Existing::None => "none",
            Existing::Merge => "merge",
            Existing::Replace => "replace",
            Existing::Recreate => "recreate",
            Existing::Prune => "prune",
        }
    }

    /// By its word; `skip` and `update` are understood as well, as other tools call them.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "none" | "skip" => Some(Existing::None),
            "merge" => Some(Existing::Merge),
            "replace" | "update" => Some(Existing::Replace),
            "recreate" => Some(Existing::Recreate),
            "prune" => Some(Existing::Prune),
            _ => None,
        }
    }
}

impl From<Existing> for Policies {
    fn from(default: Existing) -> Self {
        Self { default, rules: Vec::new() }
    }
}

impl Policies {
    /// Parses `POLICY`, `KIND=POLICY` and `KIND:LABELS=POLICY`.
    ///
    /// # Errors
    /// [`InvalidPolicy`]
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, InvalidPolicy> {
        let (mut default, mut rules): (Option<(&str, Existing)>, _) = (None, Vec::new());
        for text in texts.iter().map(AsRef::as_ref) {
            let form = || InvalidPolicy::Form { text: text.to_owned() };
            // A selector has `=` in it, too.
            let Some((what, policy)) = text.rsplit_once('=') else {
                let policy = Existing::parse(text).ok_or_else(form)?;
                if let Some((first, _)) = default.filter(|(_, other)| *other != policy) {
                    let (first, second) = (first.to_owned(), text.to_owned());
                    return Err(InvalidPolicy::Twice { first, second });
                }
                default = Some((text, policy));
                continue;
            };
            let existing = Existing::parse(policy).ok_or_else(form)?;
            let (kinds, labels) = what.split_once(':').unwrap_or((what, ""));
            if kinds.is_empty() {
                return Err(form());
            }
            rules.push(PolicyRule { kinds: kinds.to_owned(), labels: labels.to_owned(), existing });
        }
        let policies = Self { default: default.map(|(_, policy)| policy).unwrap_or_default(), rules };
        policies.book()?;
        Ok(policies)
    }

    /// Whether objects may be deleted.
    pub fn deletes(&self) -> bool {
        self.any(Existing::may_recreate)
    }

    /// Whether objects may be deleted because the point does not have them.
    pub fn prunes(&self) -> bool {
        self.any(|existing| existing == Existing::Prune)
    }

    fn any(&self, is_so: impl Fn(Existing) -> bool) -> bool {
        is_so(self.default) || self.rules.iter().any(|rule| is_so(rule.existing))
    }

    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Parses the patterns.
    ///
    /// # Errors
    /// [`InvalidPolicy`]
    pub fn book(&self) -> Result<PolicyBook, InvalidPolicy> {
        let rule = |rule: &PolicyRule| {
            Ok((KindPattern::parse(&rule.kinds)?, LabelSelector::parse(&rule.labels)?, rule.existing))
        };
        let rules = self.rules.iter().map(rule).collect::<Result<_, InvalidPolicy>>()?;
        Ok(PolicyBook { default: self.default, rules })
    }
}

impl PolicyBook {
    /// What is to be done if `object`, as it is to be sent, is there and differs.
    pub fn of(&self, of: &ResourceType, object: &Value) -> Policy {
        let mut rules = self.rules.iter().rev();
        let rule = rules.find(|(kinds, labels, _)| kinds.matches(of) && labels.selects(object));
        match rule {
            Some((_, _, existing)) => Policy { existing: *existing, by_rule: true },
            None => Policy { existing: self.default, by_rule: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(plural: &str, kind: &str) -> ResourceType {
        ResourceType {
            group: String::new(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced: true,
        }
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let policies =
            Policies::parse(&["replace", "secrets=none", "Secret:tier=db,env!=dev=merge"]).unwrap();
        let book = policies.book().unwrap();
        let secret =
            |labels: Value| book.of(&of("secrets", "Secret"), &json!({"metadata": {"labels": labels}}));
        let ruled = |existing| Policy { existing, by_rule: true };
        assert_eq!(secret(json!({"tier": "db"})), ruled(Existing::Merge));
        assert_eq!(secret(json!({"tier": "db", "env": "dev"})), ruled(Existing::None));
        assert_eq!(secret(Value::Null), ruled(Existing::None));
        let other = book.of(&of("configmaps", "ConfigMap"), &json!({}));
        assert_eq!(other, Policy { existing: Existing::Replace, by_rule: false });
    }

    #[test]
    fn only_recreate_and_prune_delete_and_never_data() {
        assert!(Policies::parse(&["services=recreate"]).unwrap().deletes());
        assert!(Policies::parse(&["recreate"]).unwrap().deletes());
        let pruning = Policies::parse(&["none", "secrets=prune"]).unwrap();
        assert!(pruning.deletes() && pruning.prunes() && !Policies::parse(&["recreate"]).unwrap().prunes());
        assert!(!Policies::parse(&["replace", "secrets=merge"]).unwrap().deletes());
        assert!(holds_data(&GroupKind::new("", "PersistentVolumeClaim")));
        assert!(!holds_data(&GroupKind::new("apps", "StatefulSet")), "its claims stay");
    }

    #[test]
    fn the_words_of_other_tools_are_understood_and_nonsense_is_not() {
        assert_eq!(Policies::parse(&["update"]).unwrap(), Existing::Replace.into());
        assert_eq!(Policies::parse(&["skip"]).unwrap(), Policies::default());
        assert!(Policies::parse::<&str>(&[]).unwrap().is_default());
        for text in ["overwrite", "secrets=", "=merge", "secrets=all", "[=merge", "secrets:a b=merge"] {
            assert!(Policies::parse(&[text]).is_err(), "{text}");
        }
        let twice = Policies::parse(&["merge", "replace"]).unwrap_err();
        assert_eq!(twice, InvalidPolicy::Twice { first: "merge".into(), second: "replace".into() });
        assert!(Policies::parse(&["replace", "update"]).is_ok(), "the same twice is no contradiction");
    }
}
