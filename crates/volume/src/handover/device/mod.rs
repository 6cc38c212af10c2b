//! Brings back the file system of a volume that was captured as blocks.
//!
//! Kubernetes binds no volume that was filled as a device to a claim with a file system. So a mover fills a device of
//! ours, the storage cuts a snapshot of it, which may become a volume of the other mode, and the claim that is handed
//! over is made of that. A pod of ours without key, token or network mounts it once: volumes that wait for a pod are
//! made, and a file system that the storage cannot mount is found out now.
//!
//! Everything is labelled with the run until the claim was mounted: the sweep removes it. A restore that comes before
//! goes on with the device that it finds.

mod class;
mod cross;
mod manifest;
mod mount;
mod step;

pub(super) use class::Route;
pub(super) use cross::{cross, discard};

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::label::{RUN, SYSTEM_NAMESPACE};
use holdfast_model::volume::CaptureForm;
use serde_json::{Value, json};

use super::{ClaimRestore, RestoreContext};
use crate::error::Result;
use crate::snapshots::forget;

impl ClaimRestore {
    /// Whether its file system is written to a device first.
    pub(crate) fn is_through_device(&self) -> bool {
        self.form == CaptureForm::Blocks && self.manifest["spec"]["volumeMode"] != "Block"
    }

    /// Name of the claim of ours that a mover fills.
    pub(super) fn filled_name(&self) -> String {
        if self.is_through_device() { self.device_name() } else { self.source_name() }
    }
}

/// Makes a device that an earlier run has left one of this run: no sweep takes it for that of a dead one.
pub(super) async fn take_over(cluster: &Cluster, context: &RestoreContext, device: &Value) -> Result<()> {
    let run = context.run.as_str();
    if device["metadata"]["labels"][RUN] == run {
        return Ok(());
    }
    let patch = json!({"metadata": {"labels": {RUN: run}}});
    let name = device["metadata"]["name"].as_str().unwrap_or_default();
    let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    cluster.merge_patch(&claims, namespace, name, &patch, &Write::default()).await?;
    Ok(())
}

/// Removes the device and the snapshot of it, which are of no use once the claim holds the file system. What cannot
/// be removed now is labelled, and swept.
pub(super) async fn clear(cluster: &Cluster, claim: &ClaimRestore) {
    if let Err(error) = forget(cluster, &claim.cut_name()).await {
        tracing::warn!(%error, claim = claim.subject(), "the snapshot of its device is left to the next sweep");
    }
    let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    if let Err(error) = cluster.delete(&claims, namespace, &claim.device_name(), &Delete::default()).await {
        tracing::warn!(%error, claim = claim.subject(), "its device is left to the next sweep");
    }
}
