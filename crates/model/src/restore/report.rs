//! What a restore did: told object by object, counted by kind, timed step by step.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::difference::Change;
use super::terms::Terms;
use crate::id::{AppId, PointId, RunId};
use crate::object::{ObjectRef, ResourceType};
use crate::outcome::{Outcome, Problem};
use crate::point::HookRun;

/// What became of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was not there and is now.
    Created,
    /// It was there, differed, and is as in the point now.
    Updated,
    /// It was there just so.
    Unchanged,
    /// It was there, differs, and is rightly the target's own.
    Kept,
    /// It was there, differs, and was left alone: a problem.
    Differs,
    /// It was there, the point does not have it, and it is gone now.
    Deleted,
    /// It was left out on purpose.
    Skipped,
    /// It could not be restored: a problem.
    Failed,
}

/// One object and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectResult {
    /// The object, as it is called at the target.
    pub object: ObjectRef,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, or what is to be known about it; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How it differs from the point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// Objects of one type, counted by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindReport {
    /// The type, as the target serves it, or as in the point if it does not.
    #[serde(flatten)]
    pub resource: ResourceType,
    /// How many came to which verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
}

/// One claim and what became of its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeResult {
    /// Namespace at the target.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// The snapshot its data came from; empty if it was restored empty.
    pub snapshot: String,
    /// What became of it.
    pub verdict: Verdict,
    /// The PersistentVolume at the target; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub volume: String,
    /// Files, directories and other entries that were restored, or found to be there.
    pub entries: u64,
    /// Bytes of content that they hold.
    pub bytes: u64,
    /// Bytes of it that were written; the rest was there already, or is holes.
    #[serde(default)]
    pub bytes_written: u64,
    /// Entries that were made, written to, or given other attributes.
    #[serde(default)]
    pub changed: u64,
    /// Entries that were removed because the point does not have them.
    #[serde(default)]
    pub deleted: u64,
    /// What was read back and compared, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<VolumeVerified>,
    /// Why, or what is to be known about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What of a volume was read back from its storage after the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeVerified {
    /// Entries that were compared with the point.
    pub entries: u64,
    /// Bytes of content that were read for it.
    pub bytes: u64,
    /// Entries that differ; each is a problem of its own.
    pub different: u64,
}

/// One workload or claim and whether it became ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The object at the target.
    pub object: ObjectRef,
    /// Whether it is ready.
    pub ready: bool,
    /// Milliseconds from the start of the restore until it was seen ready, or given up.
    pub millis: u64,
    /// What it still lacks.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A step of the restore and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepTime {
    /// Name of the step.
    pub name: String,
    /// Milliseconds from the start of the restore to the start of the step.
    pub start_millis: u64,
    /// Milliseconds it took.
    pub millis: u64,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// The run.
    pub run: RunId,
    /// The point that was restored.
    pub point: PointId,
    /// Identity of the application.
    pub application: AppId,
    /// Name of the application in the point.
    pub application_name: String,
    /// Name of the cluster it was restored to.
    pub cluster: String,
    /// Completed, Partial or Failed.
    pub outcome: Outcome,
    /// The point that holds the objects as they were before, where the restore was told that it may delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PointId>,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended, readiness included.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// Milliseconds from the start until the last workload was ready: the RTO as measured.
    /// `None` if something did not become ready, or nobody waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_millis: Option<u64>,
    /// What of the point was to be restored, and how.
    #[serde(flatten)]
    pub terms: Terms,
    /// All objects, counted by type.
    pub kinds: Vec<KindReport>,
    /// The objects that were neither created nor found unchanged, each with the reason.
    pub objects: Vec<ObjectResult>,
    /// The claims.
    pub volumes: Vec<VolumeResult>,
    /// The workloads that were waited for.
    pub readiness: Vec<Readiness>,
    /// The hooks that ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookRun>,
    /// What should be known but is no problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was not restored as it should be, each named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// The steps, in the order of their ends.
    pub steps: Vec<StepTime>,
}

impl RestoreReport {
    /// How many objects came to this verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.kinds.iter().filter_map(|kind| kind.verdicts.get(&verdict)).sum()
    }
}
