//! Whether what is at a cluster is what a point holds, told object by object.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::difference::Change;
use super::terms::Terms;
use crate::id::{AppId, PointId};
use crate::object::ObjectRef;
use crate::outcome::{Outcome, Problem};

/// Deviations that are named; of more than these the number is told.
pub const MOST_DEVIATIONS: usize = 10_000;

/// What a comparison of a cluster with a point has found. Nothing was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// The point.
    pub point: PointId,
    /// Identity of the application.
    pub application: AppId,
    /// Name of the application in the point.
    pub application_name: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Completed if every object is there and as in the point, but for those left out on purpose.
    pub outcome: Outcome,
    /// When the comparison began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// What of the point was compared, and under which names.
    #[serde(flatten)]
    pub terms: Terms,
    /// Objects that are there just so.
    pub identical: u64,
    /// Objects that a restore leaves out on purpose: the target's own, or made by a controller.
    pub left_out: u64,
    /// Objects that are not there, or differ, or, where these are looked for, are not in the point.
    pub deviating: u64,
    /// The first of them, up to [`MOST_DEVIATIONS`].
    pub deviations: Vec<Deviation>,
    /// What should be known but is no problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What could not be compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// An object that is not as in the point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// The object, as it is called at the cluster.
    pub object: ObjectRef,
    /// What is wrong with it.
    pub kind: DeviationKind,
    /// What is to be known of it; empty if the difference says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where it differs: before is the point, after is what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub difference: Vec<Change>,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviationKind {
    /// It is not there.
    Missing,
    /// It is there and differs.
    Differs,
    /// It is there, and the point does not have it.
    Extra,
}
