//! Decides the next step of a hand-over from what is there. Pure.

use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use holdfast_vault::SnapshotId;
use serde_json::Value;

use super::ClaimRestore;
use super::record::{FILLED, Record, SNAPSHOT};
use crate::access::AccessModes;

/// What is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// The claim of ours.
    pub(super) source: Option<Value>,
    /// The PersistentVolume that was filled, or is to be.
    pub(super) volume: Option<Value>,
    /// The application's claim.
    pub(super) target: Option<Value>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Fill a volume under a claim of ours.
    Fill,
    /// Keep the PersistentVolume whatever becomes of its claim, and record on it what is intended.
    Retain,
    /// Delete the claim of ours.
    DeleteSource,
    /// Reserve the PersistentVolume for the application's claim.
    Reserve,
    /// Make the application's claim.
    CreateTarget,
    /// Wait until that claim is bound.
    AwaitBound,
    /// Put the reclaim policy back and remove the record.
    PutBack,
    /// Nothing: the claim is bound to the filled volume.
    Done,
    /// Nothing can be done.
    Refuse {
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
}

/// The next step towards `wanted`.
///
/// The order is what keeps the data: from `Retain` on no state of claims lets the PersistentVolume
/// be reclaimed, and only when it is bound to the target's very uid is its policy put back.
pub(super) fn next(wanted: &ClaimRestore, seen: &Seen) -> Step {
    if let Some(target) = &seen.target
        && let Some((reason, hint)) =
            refusal(&wanted.snapshot, target).or_else(|| bound_elsewhere(target, seen.volume.as_ref()))
    {
        return Step::Refuse { reason: reason.to_owned(), hint };
    }
    let Some(volume) = &seen.volume else {
        return match &seen.target {
            Some(target) if is_bound(target) => Step::Done,
            Some(_) => refuse("its PersistentVolume is gone", "delete the claim and restore again"),
            None => Step::Fill,
        };
    };
    let Some(record) = Record::of(volume) else { return before_record(wanted, volume, seen) };
    if volume["spec"]["persistentVolumeReclaimPolicy"] != "Retain" {
        return Step::Retain;
    }
    if seen.source.is_some() {
        return Step::DeleteSource;
    }
    after_source(wanted, &record, volume, seen.target.as_ref())
}

fn before_record(wanted: &ClaimRestore, volume: &Value, seen: &Seen) -> Step {
    let (made_with, modes) = (AccessModes::of(volume), wanted.access_modes());
    match (&seen.source, &seen.target) {
        (Some(_), None) if !made_with.serve(&modes) => refuse(
            &format!("its volume was made with access mode {made_with}, which does not serve {modes}"),
            "map it with --access-mode-map; or have a new volume filled, by ending the standby or deleting our claim",
        ),
        (Some(source), None) if is_filled(source) => Step::Retain,
        (Some(_), None) => Step::Fill,
        (_, Some(target)) if is_bound(target) => Step::Done,
        (_, Some(_)) => Step::AwaitBound,
        (None, None) => Step::Fill,
    }
}

fn after_source(wanted: &ClaimRestore, record: &Record, volume: &Value, target: Option<&Value>) -> Step {
    let claim = &volume["spec"]["claimRef"];
    let of = |namespace: &str, name: &str| claim["namespace"] == namespace && claim["name"] == name;
    let reserved = of(&wanted.namespace, &wanted.claim);
    let ours = of(SYSTEM_NAMESPACE, &record.source);
    if !reserved && !ours && !claim.is_null() {
        let reason = format!("its volume is reserved for claim {}/{}", claim["namespace"], claim["name"]);
        return refuse(&reason, "find out who did that; the volume holds the restored data and is kept");
    }
    let uid = claim["uid"].as_str();
    let target_uid = target.and_then(|target| target["metadata"]["uid"].as_str());
    // Bound to a claim of that name that is gone: the reservation has to be made anew.
    let stale = uid.is_some() && uid != target_uid;
    match target {
        _ if !reserved || stale => Step::Reserve,
        None => Step::CreateTarget,
        Some(target) if is_bound(target) && uid.is_some() => Step::PutBack,
        Some(_) => Step::AwaitBound,
    }
}

/// Why, and what to do about it.
type Refusal = (&'static str, &'static str);

/// Why a claim that is there already is not the one that is to hold this snapshot, if it is not.
pub fn refusal(snapshot: &SnapshotId, target: &Value) -> Option<Refusal> {
    let annotations = &target["metadata"]["annotations"];
    let ours = annotations[label::RESTORED_FROM].is_string()
        && annotations[SNAPSHOT] == snapshot.to_string().as_str();
    if !ours {
        return Some((
            "a claim of that name is there and was not made by this restore",
            "its data is not touched: delete the claim if it is not wanted, or restore to another namespace",
        ));
    }
    let ending = !target["metadata"]["deletionTimestamp"].is_null();
    ending.then_some(("the claim is being deleted", "restore again when it is gone"))
}

fn bound_elsewhere(target: &Value, volume: Option<&Value>) -> Option<Refusal> {
    let bound = target["spec"]["volumeName"].as_str();
    let filled = volume.and_then(|volume| volume["metadata"]["name"].as_str());
    (filled.is_some() && bound != filled).then_some((
        "the claim is bound to another volume than the one that was filled",
        "delete the claim and restore again",
    ))
}

fn refuse(reason: &str, hint: &'static str) -> Step {
    Step::Refuse { reason: reason.to_owned(), hint }
}

/// Whether a claim of ours holds its snapshot.
pub(super) fn is_filled(source: &Value) -> bool {
    let annotations = &source["metadata"]["annotations"];
    annotations[FILLED].is_string() && annotations[FILLED] == annotations[SNAPSHOT]
}

pub(super) fn is_bound(claim: &Value) -> bool {
    claim["status"]["phase"] == "Bound"
}

#[cfg(test)]
#[path = "step_tests.rs"]
pub(super) mod tests;
