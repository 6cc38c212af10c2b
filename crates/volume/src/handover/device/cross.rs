//! Goes the way from filled devices to claims with their file systems, a step at a time, each decided from what is
//! there then.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::ResourceType;
use holdfast_model::label::{PART, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

use super::class::{Route, refused};
use super::manifest::allow;
use super::step::{Seen, Step, next};
use super::{clear, mount};
use crate::error::{Error, Result};
use crate::handover::record::FILLED;
use crate::handover::step::is_bound;
use crate::handover::{ClaimRestore, RestoreContext};
use crate::manifest::part;
use crate::settings::MoverSettings;

/// There are five steps; some are repeated when an earlier run has left something or a controller writes.
const MOST_STEPS: usize = 40;
/// How long a controller may take to let go of what is deleted.
const REMOVAL: Duration = Duration::from_secs(60);

const FSTYPE: &str = "`kubectl describe pod` in holdfast-system says why while a restore waits; a storage class of another file system (`csi.storage.k8s.io/fstype`) is the usual reason";

/// Makes the claims of ours of their filled devices, mounts them once, and removes the devices. `beside` are the
/// other claims of ours of the group. What became of each is in their order.
pub(in crate::handover) async fn cross(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: &[&ClaimRestore],
    beside: &[String],
) -> Vec<Result<()>> {
    let mut results = Vec::new();
    for claim in claims {
        results.push(One { cluster, settings, context, claim }.go().await);
    }
    let made = || claims.iter().zip(&results).filter(|(_, made)| made.is_ok()).map(|(claim, _)| *claim);
    let mounted: Vec<&ClaimRestore> = made().collect();
    let ran = mount::mount(cluster, settings, context, &mounted, beside).await;
    for (claim, result) in claims.iter().zip(&mut results).filter(|(_, made)| made.is_ok()) {
        *result = match &ran {
            Ok(()) => settle(cluster, claim).await,
            Err(reason) => {
                Err(refused(claim, &format!("the volume that came of it was not mounted: {reason}"), FSTYPE))
            }
        };
    }
    results
}

/// From now on the claim is filled and kept, and what it came of goes.
async fn settle(cluster: &Cluster, claim: &ClaimRestore) -> Result<()> {
    let patch = json!({"metadata": {
        "labels": {PART: part::CLAIM},
        "annotations": {FILLED: claim.snapshot.to_string()},
    }});
    let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    cluster.merge_patch(&claims, namespace, &claim.source_name(), &patch, &Write::default()).await?;
    clear(cluster, claim).await;
    Ok(())
}

/// Ends the pod of a group after a cancellation. What else is there stays for the next run.
pub(in crate::handover) async fn discard(
    cluster: &Cluster,
    context: &RestoreContext,
    claims: &[ClaimRestore],
) {
    if let Some(first) = claims.iter().find(|claim| claim.is_through_device()) {
        mount::end(cluster, &mount::pod_name(context, first)).await;
    }
}

/// The way of one claim.
struct One<'a> {
    cluster: &'a Cluster,
    settings: &'a MoverSettings,
    context: &'a RestoreContext,
    claim: &'a ClaimRestore,
}

impl One<'_> {
    async fn go(&self) -> Result<()> {
        let route = Route::of(self.cluster, self.claim).await?;
        for _ in 0..MOST_STEPS {
            let seen = self.look().await?;
            let step = next(&seen, route.waits);
            if step == Step::Done {
                return Ok(());
            }
            match self.apply(step, &seen, &route).await {
                // A controller wrote first; what is there now decides.
                Err(Error::Cluster(error)) if error.is_conflict() || error.is_not_found() => {}
                other => other?,
            }
        }
        Err(self.failed("its way from a device to a claim does not come to an end"))
    }

    async fn look(&self) -> Result<Seen> {
        let (snapshots, claims) = (kinds::volume_snapshots(), kinds::persistent_volume_claims());
        let (cut, name) = (self.claim.cut_name(), self.claim.source_name());
        let namespace = Some(SYSTEM_NAMESPACE);
        let (snapshot, claim) = futures::try_join!(
            self.cluster.get(&snapshots, namespace, &cut),
            self.cluster.get(&claims, namespace, &name),
        )?;
        let content =
            snapshot.as_ref().and_then(|cut| cut["status"]["boundVolumeSnapshotContentName"].as_str());
        let content = match content {
            Some(content) => self.cluster.get(&kinds::volume_snapshot_contents(), None, content).await?,
            None => None,
        };
        Ok(Seen { snapshot, content, claim })
    }

    async fn apply(&self, step: Step, seen: &Seen, route: &Route) -> Result<()> {
        let (snapshots, claims) = (kinds::volume_snapshots(), kinds::persistent_volume_claims());
        let (write, nothing) = (Write::default(), Value::Null);
        let snapshot = seen.snapshot.as_ref().unwrap_or(&nothing);
        match step {
            Step::Cut => {
                let cut = self.claim.cut(self.context, &route.class);
                self.cluster.create(&snapshots, &cut, &write).await?;
            }
            Step::AwaitReady => self.await_ready().await?,
            Step::Allow => {
                let content = seen.content.as_ref().unwrap_or(&nothing)["metadata"]["name"].as_str();
                let (contents, content) = (kinds::volume_snapshot_contents(), content.unwrap_or_default());
                self.cluster.merge_patch(&contents, None, content, &allow(), &write).await?;
            }
            Step::MakeClaim => {
                let claim = self.claim.made_of_cut(self.context, snapshot);
                self.cluster.create(&claims, &claim, &write).await?;
            }
            Step::RemoveSnapshot => self.remove(&snapshots, snapshot).await?,
            Step::RemoveClaim => self.remove(&claims, seen.claim.as_ref().unwrap_or(&nothing)).await?,
            Step::AwaitBound => self.await_bound().await?,
            Step::Done => {}
        }
        Ok(())
    }

    async fn await_ready(&self) -> Result<()> {
        let (name, mut told) = (self.claim.cut_name(), String::new());
        let ready = |cut: Option<&Value>| {
            told =
                cut.and_then(|cut| cut["status"]["error"]["message"].as_str()).unwrap_or_default().to_owned();
            cut.is_none_or(|cut| cut["status"]["readyToUse"] == true)
        };
        let what = format!("the snapshot of the device of {} to be ready", self.claim.subject());
        let patience = self.settings.snapshot_timeout;
        let waited = self
            .cluster
            .wait(&kinds::volume_snapshots(), Some(SYSTEM_NAMESPACE), &name, &what, patience, ready)
            .await;
        match waited {
            Err(holdfast_cluster::Error::NotInTime { waited, .. }) => {
                let said = if told.is_empty() { "the storage says nothing" } else { &told };
                let reason = format!("no snapshot of its device within {} s: {said}", waited.as_secs());
                Err(self.failed(&reason))
            }
            other => Ok(other.map(drop)?),
        }
    }

    async fn await_bound(&self) -> Result<()> {
        let (claims, name) = (kinds::persistent_volume_claims(), self.claim.source_name());
        let what = format!("a volume for {} to be made", self.claim.subject());
        let patience = self.settings.snapshot_timeout;
        let bound = |claim: Option<&Value>| claim.is_none_or(is_bound);
        let waited = self.cluster.wait(&claims, Some(SYSTEM_NAMESPACE), &name, &what, patience, bound).await;
        match waited {
            Err(holdfast_cluster::Error::NotInTime { waited, .. }) => {
                let reason =
                    format!("no volume was made of the snapshot of its device within {} s", waited.as_secs());
                Err(self.failed(&reason))
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Deletes an object of ours, if that is not done yet, and waits until it is gone.
    async fn remove(&self, of: &ResourceType, object: &Value) -> Result<()> {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (name, uid, namespace) = (text("name"), text("uid"), Some(SYSTEM_NAMESPACE));
        self.cluster
            .delete(of, namespace, &name, &Delete { uid: Some(uid.clone()), ..Delete::default() })
            .await?;
        let gone = |seen: Option<&Value>| seen.is_none_or(|seen| seen["metadata"]["uid"] != uid.as_str());
        self.cluster
            .wait(of, namespace, &name, "what an earlier restore left to be gone", REMOVAL, gone)
            .await?;
        Ok(())
    }

    fn failed(&self, reason: &str) -> Error {
        let hint = format!(
            "`kubectl describe pvc -n {SYSTEM_NAMESPACE} {}` and the logs of the driver's sidecars say more; run it again, its device is kept",
            self.claim.source_name()
        );
        refused(self.claim, reason, &hint)
    }
}
