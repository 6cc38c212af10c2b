//! Fills the volumes of one group under claims of ours, by one mover.

use holdfast_cluster::{Cluster, Delete, Propagation, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::json;

use super::apply::refused;
use super::observe::observe;
use super::record::{FILLED, FOR};
use super::step::{Step, next};
use super::{ClaimRestore, FillProgress, RestoreContext};
use crate::error::{Error, Result};
use crate::files::Verify;
use crate::jobs::{Filled, Fillings, Launch, end, follow};
use crate::manifest::{self, MountedVolume, MoverJob, VOLUME_PATH};
use crate::mover::{FileRestore, MoverSpec, RestoreWork, SPEC_VERSION, VolumeRestore, Work, proof};
use crate::settings::MoverSettings;

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
            Ok(false) => Ok(None),
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
                results[at] = filled.map(Some);
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
    if claim.manifest["spec"]["volumeMode"] == "Block" {
        return Err(refused(claim, "raw block volumes cannot be restored yet", "leave the claim out"));
    }
    match next(claim, &observe(cluster, claim).await?) {
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
) -> Result<Vec<Result<Filled>>> {
    for claim in claims {
        make_source(cluster, context, claim).await?;
    }
    let verify = if context.verify { Verify::All } else { Verify::No };
    let volumes: Vec<VolumeRestore> = claims
        .iter()
        .enumerate()
        .map(|(n, claim)| VolumeRestore {
            namespace: claim.namespace.clone(),
            claim: claim.claim.clone(),
            snapshot: claim.snapshot,
            path: format!("{VOLUME_PATH}/{n}").into(),
            files: FileRestore { verify, ..FileRestore::default() },
        })
        .collect();
    let spec = MoverSpec {
        version: SPEC_VERSION,
        run: context.run.clone(),
        repository: context.access.clone(),
        work: Work::Restore(RestoreWork {
            volumes: volumes.clone(),
            devices: settings.restore_devices,
            setuid: settings.restore_setuid,
        }),
    };
    let name = job_name(context, claims[0]);
    let job = MoverJob {
        name: &name,
        run: &context.run,
        subject: claims[0].subject(),
        settings,
        placement: &claims[0].placement,
        volumes: claims.iter().enumerate().map(|(n, claim)| mounted(n, claim)).collect(),
        restores: true,
    };
    let launch = match Launch::start(cluster, &job, &spec, settings.start_timeout).await {
        Ok(launch) => launch,
        Err(error) => {
            remove_job(cluster, &name).await;
            return Err(error);
        }
    };
    let group = &claims[0].group;
    let on_progress = |entries, bytes, bytes_written| {
        (context.progress)(FillProgress { group: group.clone(), entries, bytes, bytes_written });
    };
    let mut listener = Fillings::new(&on_progress);
    let followed = follow(cluster, &launch, settings.deadline, &mut listener).await;
    end(cluster, settings, &launch).await;
    let reason = listener.reason(&followed);
    let mut results = Vec::new();
    for (claim, volume) in claims.iter().zip(&volumes) {
        let proven = listener.proven(&proof(&context.access.password, &context.run, volume), volume);
        results.push(match proven {
            Some(filled) => mark_filled(cluster, claim).await.map(|()| filled),
            None => Err(mover_failed(claim, &reason)),
        });
    }
    Ok(results)
}

fn mounted(n: usize, claim: &ClaimRestore) -> MountedVolume {
    MountedVolume {
        source: json!({"persistentVolumeClaim": {"claimName": claim.source_name()}}),
        path: format!("{VOLUME_PATH}/{n}"),
        read_only: false,
    }
}

fn job_name(context: &RestoreContext, first: &ClaimRestore) -> String {
    manifest::name("mover", &[context.run.as_str(), "restore", &first.namespace, &first.group])
}

/// A claim of ours under this name is for the same claim and snapshot, by an earlier run or this.
async fn make_source(cluster: &Cluster, context: &RestoreContext, claim: &ClaimRestore) -> Result<()> {
    let source = claim.source(context);
    let created = cluster.create(&kinds::persistent_volume_claims(), &source, &Write::default()).await?;
    let there = &created.object()["metadata"];
    if there["annotations"][FOR] != claim.subject().as_str() || !there["deletionTimestamp"].is_null() {
        let reason = format!("the claim {} in holdfast-system is not what it should be", claim.source_name());
        return Err(refused(claim, &reason, "delete it if nothing needs it, then restore again"));
    }
    Ok(())
}

async fn mark_filled(cluster: &Cluster, claim: &ClaimRestore) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {FILLED: claim.snapshot.to_string()}}});
    let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    cluster.merge_patch(&claims, namespace, &claim.source_name(), &patch, &Write::default()).await?;
    Ok(())
}

/// Ends the group's mover after a cancellation. What it has filled stays for the next run.
pub(super) async fn discard(cluster: &Cluster, context: &RestoreContext, claims: &[ClaimRestore]) {
    // Which of the claims was the mover's first depends on what was filled before.
    for claim in claims {
        remove_job(cluster, &job_name(context, claim)).await;
    }
}

async fn remove_job(cluster: &Cluster, name: &str) {
    let delete = Delete { propagation: Some(Propagation::Foreground), ..Delete::default() };
    // What cannot be removed now ends by its deadline and is swept.
    let _ = cluster.delete(&kinds::jobs(), Some(SYSTEM_NAMESPACE), name, &delete).await;
}

fn mover_failed(claim: &ClaimRestore, reason: &str) -> Error {
    Error::Mover {
        namespace: claim.namespace.clone(),
        claim: claim.claim.clone(),
        reason: reason.to_owned(),
        hint: "restore again; what is there already is kept".to_owned(),
    }
}
