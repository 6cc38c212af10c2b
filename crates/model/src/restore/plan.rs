//! What a restore would do, told object by object before it does anything.
//!
//! A plan is the same walk as a restore, up to the point at which something would be written. Its
//! JSON is stable: fields and verdicts may be added, none changes its meaning within one
//! [`PLAN_FORMAT`]; the schema is `docs/schema/restore-plan.v1.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::difference::Change;
use super::reverter::Reverter;
use super::terms::Terms;
use crate::id::{AppId, PointId};
use crate::object::{ObjectRef, ResourceType};
use crate::outcome::{Outcome, Problem};

/// Version of the form of [`Plan`] and of the lines of a plan's file.
pub const PLAN_FORMAT: u32 = 1;

/// What a restore would do with one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Verdict {
    /// It is not there and would be created.
    Create,
    /// It is there, differs, and would be changed.
    Update {
        /// What would change: before is what is there, after is what would be.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        difference: Vec<Change>,
    },
    /// It is there, the point does not have it, and it would be deleted.
    Delete,
    /// It is there just so.
    Identical,
    /// It is there, differs, and would be left alone.
    Conflict {
        /// Why it would be left alone.
        reason: String,
        /// What would change if it were not: before is what is there, after is the point.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        difference: Vec<Change>,
    },
    /// It would be left out on purpose.
    Skip {
        /// Which rule says so.
        rule: SkipRule,
        /// Why, in that rule's words.
        reason: String,
        /// How what is there differs from the point; empty if nothing is there, or nothing differs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        difference: Vec<Change>,
    },
    /// It could not be restored.
    Cannot {
        /// Stable code, documented in docs/failure-modes.md.
        code: String,
        /// What stands in the way.
        reason: String,
        /// What to do about it; empty if there is nothing to do.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        hint: String,
    },
    /// It would be created, but whether the target takes it cannot be told yet. The restore finds
    /// out when its turn comes.
    Unknown {
        /// Name of the level that has to exist first; see [`super::order::LEVELS`].
        until: String,
        /// What it waits for.
        reason: String,
    },
}

/// The verdicts without what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// [`Verdict::Create`]
    Create,
    /// [`Verdict::Update`]
    Update,
    /// [`Verdict::Delete`]
    Delete,
    /// [`Verdict::Identical`]
    Identical,
    /// [`Verdict::Skip`]
    Skip,
    /// [`Verdict::Unknown`]
    Unknown,
    /// [`Verdict::Conflict`]
    Conflict,
    /// [`Verdict::Cannot`]
    Cannot,
}

/// The rules by which objects are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SkipRule {
    /// Objects like this one are never sent; see [`super::skip`].
    NotSent,
    /// The point holds the owner whose controller makes it again; see [`super::owner`].
    LeftToOwner,
    /// It describes the cluster it is in, and the target has its own.
    DescribesTarget,
    /// A controller at the target made the one that is there.
    MadeByController,
    /// The point does not have it, and deleting it would delete data.
    HoldsData,
}

impl Verdict {
    /// The verdict without what it says.
    pub fn kind(&self) -> VerdictKind {
        match self {
            Verdict::Create => VerdictKind::Create,
            Verdict::Update { .. } => VerdictKind::Update,
            Verdict::Delete => VerdictKind::Delete,
            Verdict::Identical => VerdictKind::Identical,
            Verdict::Conflict { .. } => VerdictKind::Conflict,
            Verdict::Skip { .. } => VerdictKind::Skip,
            Verdict::Cannot { .. } => VerdictKind::Cannot,
            Verdict::Unknown { .. } => VerdictKind::Unknown,
        }
    }

    /// A problem that keeps an object from being restored.
    pub fn cannot(problem: Problem) -> Self {
        Verdict::Cannot { code: problem.code, reason: problem.message, hint: problem.hint }
    }

    /// The places that would change, or differ.
    pub fn difference(&self) -> &[Change] {
        match self {
            Verdict::Update { difference }
            | Verdict::Conflict { difference, .. }
            | Verdict::Skip { difference, .. } => difference,
            _ => &[],
        }
    }

    /// The same, to be shortened.
    pub fn difference_mut(&mut self) -> Option<&mut Vec<Change>> {
        match self {
            Verdict::Update { difference }
            | Verdict::Conflict { difference, .. }
            | Verdict::Skip { difference, .. } => Some(difference),
            _ => None,
        }
    }
}

impl VerdictKind {
    /// All of them, from what goes well to what does not.
    pub const ALL: [VerdictKind; 8] = [
        VerdictKind::Create,
        VerdictKind::Update,
        VerdictKind::Delete,
        VerdictKind::Identical,
        VerdictKind::Skip,
        VerdictKind::Unknown,
        VerdictKind::Conflict,
        VerdictKind::Cannot,
    ];

    /// Whether a restore would write the object, as far as can be told; what it deletes it does not write.
    pub fn writes(self) -> bool {
        matches!(self, VerdictKind::Create | VerdictKind::Update | VerdictKind::Unknown)
    }

    /// Whether a restore with such an object would end Partial.
    pub fn hinders(self) -> bool {
        matches!(self, VerdictKind::Conflict | VerdictKind::Cannot)
    }

    /// Whether each such object is named in a plan, and not only counted.
    pub fn is_named(self) -> bool {
        !matches!(self, VerdictKind::Create | VerdictKind::Identical | VerdictKind::Unknown)
    }
}

/// One object and what a restore would do with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The object, as it is called at the target.
    pub object: ObjectRef,
    /// Index of its level; levels are restored one after the other.
    pub level: usize,
    /// What would be done.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Who else manages it and may undo what would be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_revert: Vec<Reverter>,
    /// What power writing it would give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privilege: Vec<String>,
    /// What was there when it was compared; none if nothing was, or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveState>,
}

/// The object at the target that an object of the point was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveState {
    /// Its uid.
    pub uid: String,
    /// A hash of all that a restore would look at: not its status, which changes by itself. Only the
    /// version of the program that made it makes the same one.
    pub state: String,
}

/// One level of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLevel {
    /// Its index.
    pub level: usize,
    /// Its name.
    pub name: String,
    /// Its objects, counted by type.
    pub kinds: Vec<PlannedKind>,
}

/// Objects of one type, counted by what would be done with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKind {
    /// The type, as in the point.
    #[serde(flatten)]
    pub resource: ResourceType,
    /// How many objects come to which verdict.
    pub verdicts: BTreeMap<VerdictKind, u64>,
}

/// Objects that cannot be judged before a level exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Name of the level.
    pub until: String,
    /// What they wait for.
    pub reason: String,
    /// How many objects.
    pub objects: u64,
}

/// Objects that somebody else manages, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reverted {
    /// Who.
    #[serde(flatten)]
    pub by: Reverter,
    /// How many of the objects that would be written.
    pub objects: u64,
}

/// An object whose restore would give power over the cluster or over nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Privileged {
    /// The object at the target.
    pub object: ObjectRef,
    /// What power.
    pub why: Vec<String>,
}

/// How many objects were put to the API server, and how many were judged by one like them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunCount {
    /// Server-side dry runs that were made.
    pub made: u64,
    /// Objects judged by the dry run of another object of their type, namespace and shape.
    pub inferred: u64,
}

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    /// The point that would be restored.
    pub point: PointId,
    /// Identity of the application.
    pub application: AppId,
    /// Name of the application in the point.
    pub application_name: String,
    /// Name of the cluster that the point was compared with.
    pub cluster: String,
    /// What the restore would come to as far as can be told: Completed, or Partial.
    pub outcome: Outcome,
    /// When the comparison began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// What of the point would be restored, and how.
    #[serde(flatten)]
    pub terms: Terms,
    /// All objects, counted by level and type.
    pub levels: Vec<PlannedLevel>,
    /// The objects that would be neither created nor found identical, in the order of levels.
    pub objects: Vec<Planned>,
    /// Objects that would be created but cannot be judged yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Who else manages what would be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_revert: Vec<Reverted>,
    /// What would be written and gives power.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileged: Vec<Privileged>,
    /// How much the API server was asked.
    pub dry_runs: DryRunCount,
    /// What should be known but is no problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What would not be restored as it should be, beside objects with a verdict of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Plan {
    /// How many objects come to this verdict.
    pub fn count(&self, verdict: VerdictKind) -> u64 {
        let kinds = self.levels.iter().flat_map(|level| &level.kinds);
        kinds.filter_map(|kind| kind.verdicts.get(&verdict)).sum()
    }

    /// Whether a restore would write nothing.
    pub fn is_nothing_to_do(&self) -> bool {
        VerdictKind::ALL
            .into_iter()
            .filter(|verdict| verdict.writes())
            .all(|verdict| self.count(verdict) == 0)
    }
}

/// JSON Schema of [`Plan`].
pub fn schema() -> Schema {
    schemars::schema_for!(Plan)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn planned(verdict: Verdict) -> Planned {
        let resource = ResourceType {
            group: String::new(),
            version: "v1".into(),
            kind: "Secret".into(),
            plural: "secrets".into(),
            namespaced: true,
        };
        let object = ObjectRef { resource, namespace: Some("shop".into()), name: "db".into() };
        Planned { object, level: 3, verdict, may_revert: Vec::new(), privilege: Vec::new(), live: None }
    }

    #[test]
    fn the_json_of_a_verdict_is_flat_and_says_which_it_is() {
        let skip = Verdict::Skip {
            rule: SkipRule::LeftToOwner,
            reason: "left to Till front".into(),
            difference: Vec::new(),
        };
        let object = json!({"group": "", "version": "v1", "kind": "Secret", "plural": "secrets",
            "namespaced": true, "namespace": "shop", "name": "db"});
        let expected = json!({"object": object, "level": 3, "verdict": "skip", "rule": "left-to-owner",
            "reason": "left to Till front"});
        let planned = planned(skip);
        assert_eq!(serde_json::to_value(&planned).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Planned>(expected).unwrap(), planned);
        let create = serde_json::to_value(Verdict::Create).unwrap();
        assert_eq!(create, json!({"verdict": "create"}));
    }

    #[test]
    fn every_verdict_is_in_the_list_once() {
        let all = VerdictKind::ALL;
        assert!(all.iter().enumerate().all(|(at, kind)| !all[..at].contains(kind)));
        let names: Vec<_> = all.iter().map(|kind| serde_json::to_value(kind).unwrap()).collect();
        assert_eq!(names.len(), 8);
        assert!(all.iter().all(|kind| !(kind.writes() && kind.hinders())));
    }

    #[test]
    fn what_cannot_be_restored_keeps_the_problems_words() {
        let problem = Problem::new("restore.quota", "secrets shop/db", "no room").hint("raise it");
        let expected = Verdict::Cannot {
            code: "restore.quota".into(),
            reason: "no room".into(),
            hint: "raise it".into(),
        };
        assert_eq!(Verdict::cannot(problem), expected);
    }
}
