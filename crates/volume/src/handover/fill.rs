//! Fills the volumes of one group under claims of ours, by one mover.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::{Value, json};

use super::apply::refused;
use super::mover::{Target, discard_mover, mover_failed, run_mover};
use super::observe::observe;
use super::record::{FILLED, FOR};
use super::step::{Step, is_filled, next};
use super::{ClaimRestore, RestoreContext, device};
use crate::error::Result;
use crate::jobs::Filled;
use crate::manifest;
use crate::settings::MoverSettings;
use crate::snapshots::Local;

/// How long a claim without a volume may take to go.
const REMOVAL: Duration = Duration::from_secs(60);

/// Fills what is not filled. For each claim: what this run's mover did, `None` if there was
/// nothing to do, or why it cannot be restored.
pub(super) async fn fill(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: &[ClaimRestore],
) -> Vec<Result<Option<Filled>>> {
    let mut results = Vec::new();
    let mut wanted = Vec::new();
    for claim in claims {
        results.push(match needs_filling(cluster, claim).await {
            Ok(true) => {
                wanted.push((results.len(), claim));
                Ok(None)
            }
            Ok(false) => {
                if claim.is_through_device() {
                    // An earlier run may have ended before it could.
                    device::clear(cluster, claim).await;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        });
    }
    if wanted.is_empty() {
        return results;
    }
    let group: Vec<&ClaimRestore> = wanted.iter().map(|(_, claim)| *claim).collect();
    match run(cluster, settings, context, &group).await {
        Ok(filled) => {
            for ((at, _), filled) in wanted.into_iter().zip(filled) {
                results[at] = filled;
            }
        }
        Err(error) => {
            let reason = error.to_string();
            for (at, claim) in wanted {
                results[at] = Err(mover_failed(claim, &reason));
            }
        }
    }
    results
}

async fn needs_filling(cluster: &Cluster, claim: &ClaimRestore) -> Result<bool> {
    match next(claim, &observe(cluster, claim).await?) {
        Step::Fill if claim.is_through_device() => device::Route::of(cluster, claim).await.map(|_| true),
        Step::Fill => Ok(true),
        Step::Refuse { reason, hint } => Err(refused(claim, &reason, hint)),
        _ => Ok(false),
    }
}

/// Makes the claims of ours, runs the mover, and believes only what it proves.
async fn run(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: &[&ClaimRestore],
) -> Result<Vec<Result<Option<Filled>>>> {
    let local = Local::find(cluster).await;
    let mut empty = Vec::new();
    for claim in claims {
        let there = make_source(cluster, context, claim, &local).await?;
        // Of an earlier run's device only the claim is missing.
        empty.push(!is_filled(&there));
    }
    let targets: Vec<Target<'_>> =
        claims.iter().zip(&empty).filter(|(_, empty)| **empty).map(|(claim, _)| Target::new(claim)).collect();
    let ran = run_mover(cluster, settings, context, &job_name(context, claims[0]), &targets).await;
    let filled = match ran {
        Ok(filled) => filled,
        Err(error) => {
            drop_unused(cluster, claims).await;
            return Err(error);
        }
    };
    let mut filled = filled.into_iter().peekable();
    let mut results = Vec::new();
    for (claim, empty) in claims.iter().zip(empty) {
        results.push(match filled.next_if(|_| empty) {
            Some(Ok(filled)) => mark_filled(cluster, claim).await.map(|()| Some(filled)),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        });
    }
    cross(cluster, settings, context, claims, &mut results).await;
    Ok(results)
}

/// Has the claims come of the devices that are filled.
async fn cross(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: &[&ClaimRestore],
    results: &mut [Result<Option<Filled>>],
) {
    let (through, others): (Vec<_>, Vec<_>) = claims
        .iter()
        .zip(results)
        .filter(|(_, filled)| filled.is_ok())
        .partition(|(claim, _)| claim.is_through_device());
    let devices: Vec<&ClaimRestore> = through.iter().map(|(claim, _)| **claim).collect();
    let beside: Vec<String> = others.iter().map(|(claim, _)| claim.source_name()).collect();
    let crossed = device::cross(cluster, settings, context, &devices, &beside).await;
    for ((_, result), crossed) in through.into_iter().zip(crossed) {
        if let Err(error) = crossed {
            *result = Err(error);
        }
    }
}

fn job_name(context: &RestoreContext, first: &ClaimRestore) -> String {
    manifest::name("mover", &[context.run.as_str(), "restore", &first.namespace, &first.group])
}

/// A claim of ours under this name is for the same claim and snapshot, by an earlier run or this.
///
/// Where the storage has kept the snapshot, the volume is made of it, and the mover finds there all
/// that it would have written.
async fn make_source(
    cluster: &Cluster,
    context: &RestoreContext,
    claim: &ClaimRestore,
    local: &Local,
) -> Result<Value> {
    let through = claim.is_through_device();
    let mut source = if through { claim.device(context) } else { claim.source(context) };
    if let Some(of) = local.source(&claim.snapshot, &source["spec"]) {
        source["spec"]["dataSource"] = of;
    }
    make_way(cluster, &source).await?;
    let created = cluster.create(&kinds::persistent_volume_claims(), &source, &Write::default()).await?;
    let there = &created.object()["metadata"];
    if there["annotations"][FOR] != claim.subject().as_str() || !there["deletionTimestamp"].is_null() {
        let reason = format!("the claim {} in holdfast-system is not what it should be", claim.filled_name());
        return Err(refused(claim, &reason, "delete it if nothing needs it, then restore again"));
    }
    if through {
        device::take_over(cluster, context, created.object()).await?;
    }
    Ok(created.object().clone())
}

/// Removes claims on which no mover has started and nothing can be: those that were to be made of a local snapshot, which
/// may be broken, and those that got no volume. The next attempt is not to depend on them.
async fn drop_unused(cluster: &Cluster, claims: &[&ClaimRestore]) {
    let of = kinds::persistent_volume_claims();
    for claim in claims {
        let there = cluster.get(&of, Some(SYSTEM_NAMESPACE), &claim.filled_name()).await.ok().flatten();
        let unused =
            |there: &Value| there["spec"]["dataSource"].is_object() || there["spec"]["volumeName"].is_null();
        if let Some(there) = there.filter(unused) {
            let _ = remove_source(cluster, &there).await;
        }
    }
}

/// Removes a claim of ours that got no volume and asks for another than is wanted now, as it was mapped otherwise, and
/// waits for the end of one that is being removed.
async fn make_way(cluster: &Cluster, wanted: &Value) -> Result<()> {
    let (of, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    let Some(there) = cluster.get(&of, namespace, name).await? else { return Ok(()) };
    let same = |key: &str| wanted["spec"][key].is_null() || wanted["spec"][key] == there["spec"][key];
    let (is_bound, stays) =
        (there["spec"]["volumeName"].is_string(), there["metadata"]["deletionTimestamp"].is_null());
    if is_bound || (stays && same("accessModes") && same("storageClassName")) {
        return Ok(());
    }
    remove_source(cluster, &there).await?;
    let gone = |seen: Option<&Value>| seen.is_none();
    cluster.wait(&of, namespace, name, "an earlier claim of ours to be gone", REMOVAL, gone).await?;
    Ok(())
}

async fn remove_source(cluster: &Cluster, source: &Value) -> Result<()> {
    let (of, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    let text = |key: &str| source["metadata"][key].as_str().map(str::to_owned);
    let delete = Delete { uid: text("uid"), ..Delete::default() };
    cluster.delete(&of, namespace, &text("name").unwrap_or_default(), &delete).await?;
    Ok(())
}

async fn mark_filled(cluster: &Cluster, claim: &ClaimRestore) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {FILLED: claim.snapshot.to_string()}}});
    let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    cluster.merge_patch(&claims, namespace, &claim.filled_name(), &patch, &Write::default()).await?;
    Ok(())
}

/// Ends the group's mover after a cancellation. What it has filled stays for the next run.
pub(super) async fn discard(cluster: &Cluster, context: &RestoreContext, claims: &[ClaimRestore]) {
    // Which of the claims was the mover's first depends on what was filled before.
    for claim in claims {
        discard_mover(cluster, &job_name(context, claim)).await;
    }
    device::discard(cluster, context, claims).await;
}
