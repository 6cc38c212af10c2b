//! A claim of ours made of a snapshot, through which a mover reads it, and the end of both.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_model::quantity;
use serde_json::Value;

use super::cut::Origin;
use super::manifest::{MemberOf, Wanted};
use super::{Names, Taken, adopt, group, manifest};
use crate::error::Result;

/// How long the storage may take to delete a volume or a snapshot before that is left to the sweep.
const REMOVAL: Duration = Duration::from_secs(60);

/// A snapshot of ours and the claim that it is read through.
pub(crate) struct View {
    names: Names,
    /// The snapshot is one of a group, and goes with that.
    is_member: bool,
}

impl View {
    /// Takes the snapshot over and makes a claim of it; `claim` is the application's. The claim is
    /// bound when its mover runs, and a device where `as_device` says so, whatever the application's is.
    pub(crate) async fn open(
        cluster: &Cluster,
        names: &Names,
        taken: &Taken,
        claim: &Value,
        as_device: bool,
        patience: Duration,
    ) -> Result<View> {
        let mode = claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem");
        let adopted = match &taken.origin {
            Origin::Alone { content } => adopt::adopt(cluster, names, content, patience).await?,
            Origin::Group { handle, .. } => {
                let source = MemberOf { driver: &taken.cut.driver, handle, mode };
                group::adopt(cluster, names, &source, patience).await?
            }
        };
        let requested = claim["status"]["capacity"]["storage"].as_str().unwrap_or_default();
        let restored = adopted["status"]["restoreSize"].as_str().unwrap_or_default();
        let wanted = Wanted {
            storage_class: claim["spec"]["storageClassName"].as_str().unwrap_or_default(),
            size: quantity::bytes(requested).max(quantity::bytes(restored)).unwrap_or_default(),
            mode: if as_device { "Block" } else { mode },
        };
        let view = manifest::view(names, &wanted);
        cluster.create(&kinds::persistent_volume_claims(), &view, &Write::default()).await?;
        Ok(View { names: names.clone(), is_member: matches!(taken.origin, Origin::Group { .. }) })
    }

    /// Name of the claim of ours, in `holdfast-system`.
    pub(crate) fn name(&self) -> &str {
        &self.names.view
    }

    /// Removes the claim, the snapshot and what the storage keeps of both. What is not gone then is said, labelled,
    /// and swept.
    pub(crate) async fn close(self, cluster: &Cluster) {
        self.end(cluster).await;
        if self.is_member {
            return group::give_back(cluster, &self.names).await;
        }
        let (snapshots, name) = (kinds::volume_snapshots(), self.names.snapshot.as_str());
        let _ = cluster.delete(&snapshots, Some(SYSTEM_NAMESPACE), name, &Delete::default()).await;
        let contents = kinds::volume_snapshot_contents();
        let what = "the end of its snapshot";
        let waited = cluster.wait(&contents, None, name, what, REMOVAL, |content| content.is_none()).await;
        self.say_of(waited);
    }

    /// Removes the claim and leaves the snapshot.
    pub(crate) async fn end(&self, cluster: &Cluster) {
        let claims = kinds::persistent_volume_claims();
        let (namespace, name) = (Some(SYSTEM_NAMESPACE), self.names.view.as_str());
        // Some storage does not delete a snapshot that has volumes, so the volume goes first.
        let volume = cluster.get(&claims, namespace, name).await.ok().flatten();
        let _ = cluster.delete(&claims, namespace, name, &Delete::default()).await;
        let what = "the end of the claim that its snapshot was read through";
        let gone = |seen: Option<&Value>| seen.is_none();
        self.say_of(cluster.wait(&claims, namespace, name, what, REMOVAL, gone).await);
        if let Some(volume) = volume.as_ref().and_then(|claim| claim["spec"]["volumeName"].as_str()) {
            let volumes = kinds::persistent_volumes();
            let what = "the end of the volume that was made of its snapshot";
            self.say_of(cluster.wait(&volumes, None, volume, what, REMOVAL, gone).await);
        }
    }

    /// The storage was told to delete it: what takes longer goes on without us.
    fn say_of<T>(&self, waited: Result<T, holdfast_cluster::Error>) {
        if let Err(error) = waited {
            let claim = self.names.subject();
            tracing::warn!(%error, claim, "it goes when its node and its driver let it, or with a sweep");
        }
    }
}
