//! What is written on a standing claim.

use holdfast_model::label::{self, PART, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

use super::Leg;
use crate::handover::ClaimRestore;
use crate::manifest::{self, part};

/// The claim that it stands by for, `namespace/name`.
pub(super) const SUBJECT: &str = "holdfast.dev/subject";
/// The snapshot that it holds whole.
pub(super) const HOLDS: &str = "holdfast.dev/holds";
/// The point of that snapshot.
pub(super) const POINT: &str = "holdfast.dev/point";
/// When the capture of that point started.
pub(super) const STARTED: &str = "holdfast.dev/started";
/// When it had been brought here.
pub(super) const APPLIED: &str = "holdfast.dev/applied";
/// The snapshot that it is being brought to; it may be anywhere between the two.
pub(super) const APPLYING: &str = "holdfast.dev/applying";

/// Which of the two claims that a volume may have where its storage takes no snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    One,
    Other,
}

/// Name of a standing claim.
pub(super) fn name(leg: &Leg, claim: &ClaimRestore, side: Side) -> String {
    let side = match side {
        Side::One => "one",
        Side::Other => "other",
    };
    manifest::name("standby", &[leg.application.as_str(), &claim.namespace, &claim.claim, side])
}

/// A standing claim, empty.
pub(super) fn empty(leg: &Leg, claim: &ClaimRestore, name: &str) -> Value {
    let (key, value) = label::MANAGED_BY;
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": SYSTEM_NAMESPACE,
            "labels": {key: value, PART: part::STANDBY, label::APPLICATION: leg.application.as_str()},
            "annotations": {SUBJECT: claim.subject()},
        },
        "spec": claim.writable_spec(),
    })
}

/// From now on it holds nothing whole, until it holds the leg's point.
pub(super) fn applying(claim: &ClaimRestore) -> Value {
    json!({"metadata": {"annotations": {
        HOLDS: null, POINT: null, STARTED: null, APPLIED: null, APPLYING: claim.snapshot.to_string(),
    }}})
}

/// It holds the leg's point.
pub(super) fn holds(leg: &Leg, claim: &ClaimRestore) -> Value {
    json!({"metadata": {"annotations": {
        HOLDS: claim.snapshot.to_string(),
        POINT: leg.point.as_str(),
        STARTED: leg.started.to_string(),
        APPLIED: (leg.now)().to_string(),
        APPLYING: null,
    }}})
}
