//! Does the steps of a hand-over, one at a time, each decided from what is there then.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

use super::observe::{observe, users};
use super::record::Record;
use super::step::{Seen, Step, is_bound, next};
use super::{ClaimRestore, RestoreContext, RestoredClaim};
use crate::error::{Error, Result};
use crate::jobs::Filled;
use crate::manifest::{self, part};

/// There are eight steps; one may be repeated when someone else writes at the same time.
const MOST_STEPS: usize = 40;
/// How long the cluster may take to delete or bind a claim.
const PATIENCE: Duration = Duration::from_secs(120);

/// Hands the filled volume of a claim over. `filled` is what this run's mover did.
pub(super) async fn hand_over(
    cluster: &Cluster,
    context: &RestoreContext,
    wanted: &ClaimRestore,
    filled: Option<Filled>,
) -> Result<RestoredClaim> {
    for steps in 0..MOST_STEPS {
        let seen = observe(cluster, wanted).await?;
        let step = next(wanted, &seen);
        if step == Step::Done {
            let volume = seen.target.as_ref().and_then(|target| target["spec"]["volumeName"].as_str());
            let volume = volume.unwrap_or_default().to_owned();
            return Ok(RestoredClaim { volume, was_there: steps == 0 && filled.is_none(), filled });
        }
        match apply(cluster, context, wanted, &seen, &step).await {
            // Somebody else wrote first; what is there now decides.
            Err(Error::Cluster(error)) if error.is_conflict() => {}
            other => other?,
        }
    }
    Err(refused(wanted, "its hand-over does not come to an end", "see its PersistentVolume's annotations"))
}

async fn apply(
    cluster: &Cluster,
    context: &RestoreContext,
    wanted: &ClaimRestore,
    seen: &Seen,
    step: &Step,
) -> Result<()> {
    let nothing = Value::Null;
    let volume = seen.volume.as_ref().unwrap_or(&nothing);
    let name = volume["metadata"]["name"].as_str().unwrap_or_default();
    match step {
        Step::Fill => Err(refused(wanted, "its volume is not filled", "restore again")),
        Step::Retain => patch(cluster, name, retain(context, wanted, volume)).await,
        Step::DeleteSource => delete_source(cluster, wanted, seen.source.as_ref()).await,
        Step::Reserve => patch(cluster, name, reserve(wanted, volume)).await,
        Step::CreateTarget => create_target(cluster, context, wanted, name).await,
        Step::AwaitBound => await_bound(cluster, wanted).await,
        Step::PutBack => patch(cluster, name, put_back(volume)).await,
        Step::Done => Ok(()),
        Step::Refuse { reason, hint } => Err(refused(wanted, reason, hint)),
    }
}

async fn patch(cluster: &Cluster, volume: &str, patch: Value) -> Result<()> {
    cluster.merge_patch(&kinds::persistent_volumes(), None, volume, &patch, &Write::default()).await?;
    Ok(())
}

/// The record and the policy in one write: there is no moment with only one of the two. A record
/// that is there keeps the policy that it was first written with.
fn retain(context: &RestoreContext, wanted: &ClaimRestore, volume: &Value) -> Value {
    let policy = volume["spec"]["persistentVolumeReclaimPolicy"].as_str().unwrap_or("Retain").to_owned();
    let record = Record::of(volume).unwrap_or_else(|| Record {
        target: wanted.subject(),
        snapshot: wanted.snapshot.to_string(),
        restored_from: context.restored_from.clone(),
        source: wanted.source_name(),
        policy,
    });
    // A record of strings always has a JSON form.
    let record = serde_json::to_string(&record).unwrap_or_default();
    json!({
        "metadata": {
            "resourceVersion": volume["metadata"]["resourceVersion"],
            "labels": manifest::labels(&context.run, part::HANDOVER),
            "annotations": {label::HANDOVER: record},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    })
}

/// One write from our claim to the application's, without a uid: the volume is never free.
fn reserve(wanted: &ClaimRestore, volume: &Value) -> Value {
    let mut patch = json!({
        "metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]},
        "spec": {"claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": wanted.namespace,
            "name": wanted.claim,
            "uid": null,
            "resourceVersion": null,
        }},
    });
    // It may have been filled by another mode than pods are to use it by.
    let modes = &wanted.spec()["accessModes"];
    if modes.is_array() {
        patch["spec"]["accessModes"] = modes.clone();
    }
    patch
}

fn put_back(volume: &Value) -> Value {
    let policy = Record::of(volume).map_or("Retain".to_owned(), |record| record.policy);
    let (managed, _) = label::MANAGED_BY;
    json!({
        "metadata": {
            "resourceVersion": volume["metadata"]["resourceVersion"],
            "labels": {label::PART: null, label::RUN: null, managed: null},
            "annotations": {label::HANDOVER: null},
        },
        "spec": {"persistentVolumeReclaimPolicy": policy},
    })
}

async fn delete_source(cluster: &Cluster, wanted: &ClaimRestore, source: Option<&Value>) -> Result<()> {
    let claims = kinds::persistent_volume_claims();
    let uid = source.and_then(|source| source["metadata"]["uid"].as_str()).map(str::to_owned);
    let (namespace, name) = (Some(SYSTEM_NAMESPACE), wanted.source_name());
    cluster.delete(&claims, namespace, &name, &Delete { uid, ..Delete::default() }).await?;
    let what = format!("claim {name} to be gone");
    match cluster.wait(&claims, namespace, &name, &what, PATIENCE, |claim| claim.is_none()).await {
        Err(holdfast_cluster::Error::NotInTime { waited, .. }) => {
            let holders = users(cluster, &name).await?;
            Err(refused(wanted, &not_let_go(&name, waited, &holders), LET_GO))
        }
        other => Ok(other.map(drop)?),
    }
}

const LET_GO: &str = "what is filled is kept: restore again when the node and its driver have let go of the volume; \
                      the pod of a node that is lost for good can be deleted by force";

fn not_let_go(name: &str, waited: Duration, holders: &[String]) -> String {
    let holders = match holders {
        [] => "no pod has it any more".to_owned(),
        several => format!("{} still has it", several.join(", ")),
    };
    format!("our claim {name}, whose volume is filled, is not gone after {} s: {holders}", waited.as_secs())
}

async fn create_target(
    cluster: &Cluster,
    context: &RestoreContext,
    wanted: &ClaimRestore,
    volume: &str,
) -> Result<()> {
    let target = wanted.target(context, volume);
    // If another is there already, the next look at it decides.
    cluster.create(&kinds::persistent_volume_claims(), &target, &Write::default()).await?;
    Ok(())
}

async fn await_bound(cluster: &Cluster, wanted: &ClaimRestore) -> Result<()> {
    let claims = kinds::persistent_volume_claims();
    let what = format!("claim {} to be bound", wanted.subject());
    let settled = |claim: Option<&Value>| claim.is_none_or(is_bound);
    cluster.wait(&claims, Some(&wanted.namespace), &wanted.claim, &what, PATIENCE, settled).await?;
    // The volume's side of the binding is written first, so it is there now.
    Ok(())
}

pub(super) fn refused(wanted: &ClaimRestore, reason: &str, hint: &str) -> Error {
    Error::Claim {
        namespace: wanted.namespace.clone(),
        claim: wanted.claim.clone(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_still_has_a_claim_of_ours_is_named() {
        let minutes = Duration::from_secs(120);
        let told = not_let_go("restore-1", minutes, &["pod mover-1 on node n2".to_owned()]);
        assert!(told.contains("restore-1") && told.contains("pod mover-1 on node n2 still has it"), "{told}");
        assert!(not_let_go("restore-1", minutes, &[]).contains("no pod has it any more"));
    }
}
