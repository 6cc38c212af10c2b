//! Snapshots of standing claims, kept by their storage while the next point is brought.

use std::time::Duration;

use holdfast_cluster::{Cluster, ListOptions, Write, kinds};
use holdfast_model::AppId;
use holdfast_model::label::{APPLICATION, PART, SYSTEM_NAMESPACE};
use serde_json::Value;

use super::Leg;
use crate::error::Result;
use crate::handover::ClaimRestore;
use crate::manifest::part;
use crate::snapshots::{Saving, forget, ready};

/// Has the storage keep a standing claim as it is. Nothing is written to the claim meanwhile, so it
/// does not matter when the snapshot is cut, only that it can be used.
pub(super) async fn save(
    cluster: &Cluster,
    leg: &Leg,
    claim: &ClaimRestore,
    standing: &Value,
    class: &str,
    driver: &str,
    patience: Duration,
) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let saving = Saving {
        application: &leg.application,
        subject: &claim.subject(),
        claim: &text(&standing["metadata"]["name"]),
        snapshot: &text(&standing["metadata"]["annotations"][super::record::HOLDS]),
        at: (leg.now)(),
        class,
        driver,
    };
    let manifest = saving.manifest();
    cluster.create(&kinds::volume_snapshots(), &manifest, &Write::default()).await?;
    ready(cluster, &text(&manifest["metadata"]["name"]), &claim.subject(), patience).await
}

/// Removes what was saved of the leg's application, but for what its claims are being brought to.
pub(super) async fn forget_before(cluster: &Cluster, leg: &Leg, claims: &[ClaimRestore]) -> Result<()> {
    let current = |snapshot: &str| claims.iter().any(|claim| claim.snapshot.to_string() == snapshot);
    for (name, snapshot) in saved(cluster, &leg.application).await? {
        if !current(&snapshot) {
            forget(cluster, &name).await?;
        }
    }
    Ok(())
}

/// Names of what was saved, with the snapshots in the vault that they hold.
pub(super) async fn saved(cluster: &Cluster, application: &AppId) -> Result<Vec<(String, String)>> {
    let labels = Some(format!("{PART}={},{APPLICATION}={application}", part::SAVED));
    let options = ListOptions { labels, ..ListOptions::in_namespace(SYSTEM_NAMESPACE) };
    let found = match cluster.list_all(&kinds::volume_snapshots(), options).await {
        Ok(found) => found,
        // Without snapshots nothing was saved.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let of = |object: &holdfast_cluster::RawObject| {
        let snapshot = object.metadata.annotations.get("holdfast.dev/snapshot").cloned().unwrap_or_default();
        (object.metadata.name.clone(), snapshot)
    };
    Ok(found.iter().map(of).collect())
}
