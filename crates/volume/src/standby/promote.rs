//! Hands standing volumes on to an application, and ends what stood by.

use std::collections::BTreeSet;

use holdfast_cluster::{Cluster, Delete, ListOptions, Write, kinds};
use holdfast_model::AppId;
use holdfast_model::label::{APPLICATION, PART, SYSTEM_NAMESPACE};
use holdfast_vault::SnapshotId;

use super::saved::saved;
use super::standing::standing;
use crate::error::Result;
use crate::handover::ClaimRestore;
use crate::manifest::part;
use crate::snapshots::forget;

/// The snapshots in the vault that an application's volumes hold whole at a cluster: on a standing
/// claim, or saved of one.
///
/// # Errors
/// The cluster cannot be read.
pub async fn whole(cluster: &Cluster, application: &AppId) -> Result<BTreeSet<String>> {
    let standing = standing(cluster, Some(application)).await?;
    let holds = standing.into_iter().filter_map(|claim| Some(claim.holds?.snapshot));
    let saved = saved(cluster, application).await?.into_iter().map(|(_, snapshot)| snapshot);
    Ok(holds.chain(saved).collect())
}

/// Has claims that stand by with the very snapshot that is wanted handed over as they are.
///
/// # Errors
/// The cluster cannot be read or written.
pub async fn promote(cluster: &Cluster, application: &AppId, claims: &mut [ClaimRestore]) -> Result<()> {
    let standing = standing(cluster, Some(application)).await?;
    for claim in claims {
        let found = standing.iter().find(|standing| {
            let held = standing.holds.as_ref().and_then(|holds| holds.snapshot.parse::<SnapshotId>().ok());
            standing.claim == claim.subject() && held == Some(claim.snapshot)
        });
        if let Some(found) = found {
            claim.standing = Some(found.name.clone());
            let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
            let filled = claim.filled_by_standing();
            cluster.merge_patch(&claims, namespace, &found.name, &filled, &Write::default()).await?;
        }
    }
    Ok(())
}

/// Removes what stands by for an application, with all that was saved of it.
///
/// # Errors
/// The cluster refuses; what is left is removed by doing it again.
pub async fn end(cluster: &Cluster, application: &AppId) -> Result<usize> {
    let claims = kinds::persistent_volume_claims();
    let labels = Some(format!("{PART}={},{APPLICATION}={application}", part::STANDBY));
    let options = ListOptions { labels, ..ListOptions::in_namespace(SYSTEM_NAMESPACE) };
    let found = cluster.list_all(&claims, options).await?;
    for claim in &found {
        let delete = Delete { uid: Some(claim.metadata.uid.clone()), ..Delete::default() };
        cluster.delete(&claims, Some(SYSTEM_NAMESPACE), &claim.metadata.name, &delete).await?;
    }
    for (name, _) in saved(cluster, application).await? {
        forget(cluster, &name).await?;
    }
    Ok(found.len())
}
