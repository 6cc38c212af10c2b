//! Snapshots that the storage keeps after a backup, so that a restore to the same cluster need not
//! wait for the vault.
//!
//! They are VolumeSnapshots of ours in `holdfast-system`, labelled with their application and without
//! a run, so that no sweep takes them for rubbish. How many of a claim are kept is the policy's word;
//! the next backup removes the rest.

use std::collections::HashMap;
use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, ListOptions, Write, kinds};
use holdfast_model::AppId;
use holdfast_model::label::{self, PART, RUN, SYSTEM_NAMESPACE};
use holdfast_model::quantity;
use holdfast_vault::SnapshotId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::cut::Origin;
use super::group::OF_GROUP;
use super::removal::end_content;
use super::{Names, Taken, group};
use crate::error::Result;
use crate::manifest::part;

/// Annotation: the claim it is a snapshot of, `namespace/name`.
const SUBJECT: &str = "holdfast.dev/subject";
/// Annotation: the snapshot in the vault with the same content.
const SNAPSHOT: &str = "holdfast.dev/snapshot";
/// Annotation: when the storage cut it.
const CUT: &str = "holdfast.dev/cut";
/// Annotation: the CSI driver that has it.
const DRIVER: &str = "holdfast.dev/driver";

/// How long the storage may take to delete a snapshot.
const REMOVAL: Duration = Duration::from_secs(60);

/// A snapshot that the storage keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Name of its VolumeSnapshot in `holdfast-system`.
    pub name: String,
    /// The claim it is of, `namespace/name`.
    pub claim: String,
    /// The snapshot in the vault with the same content.
    pub snapshot: String,
    /// When it was cut.
    pub cut: Timestamp,
    /// CSI driver that has it.
    pub driver: String,
    /// Bytes that a volume made of it has at least.
    pub size: u64,
}

/// Keeps the snapshot of ours whose content is now in the vault as `snapshot`. The content first: if
/// this ends in between, what is still labelled as a run's is removed together with it.
pub(crate) async fn keep(
    cluster: &Cluster,
    names: &Names,
    application: &AppId,
    taken: &Taken,
    snapshot: &SnapshotId,
) -> Result<()> {
    let group = match &taken.origin {
        Origin::Alone { .. } => Value::Null,
        Origin::Group { group, .. } => json!(group),
    };
    let patch = json!({"metadata": {
        "labels": {RUN: null, PART: part::KEPT, label::APPLICATION: application.as_str()},
        "annotations": {
            SUBJECT: names.subject(),
            SNAPSHOT: snapshot.to_string(),
            CUT: taken.cut.at.to_string(),
            DRIVER: taken.cut.driver,
            OF_GROUP: group,
        },
    }});
    let write = Write::default();
    cluster.merge_patch(&kinds::volume_snapshot_contents(), None, &names.snapshot, &patch, &write).await?;
    let (snapshots, namespace) = (kinds::volume_snapshots(), Some(SYSTEM_NAMESPACE));
    cluster.merge_patch(&snapshots, namespace, &names.snapshot, &patch, &write).await?;
    Ok(())
}

/// The snapshots that are kept, of one application or of all, newest first.
///
/// # Errors
/// The cluster cannot be read. One without snapshots has none.
pub async fn kept(cluster: &Cluster, application: Option<&AppId>) -> Result<Vec<Kept>> {
    let of = application.map(|id| format!(",{}={id}", label::APPLICATION)).unwrap_or_default();
    found(cluster, &format!("{PART}={}{of}", part::KEPT)).await
}

async fn found(cluster: &Cluster, labels: &str) -> Result<Vec<Kept>> {
    let labels = Some(labels.to_owned());
    let options = ListOptions { labels, ..ListOptions::in_namespace(SYSTEM_NAMESPACE) };
    let found = match cluster.list_all(&kinds::volume_snapshots(), options).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() || error.is_forbidden() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut all: Vec<Kept> = found.iter().filter_map(|object| Kept::of(&object.parse().ok()?)).collect();
    all.sort_by(|a, b| (b.cut, &a.claim).cmp(&(a.cut, &b.claim)));
    Ok(all)
}

/// A standing claim that its storage is to keep as it is.
pub(crate) struct Saving<'a> {
    /// The application.
    pub(crate) application: &'a AppId,
    /// The claim that it stands by for, `namespace/name`.
    pub(crate) subject: &'a str,
    /// The standing claim.
    pub(crate) claim: &'a str,
    /// The snapshot in the vault that it holds.
    pub(crate) snapshot: &'a str,
    /// Now.
    pub(crate) at: Timestamp,
    /// Who takes it.
    pub(crate) class: &'a str,
    /// Its driver.
    pub(crate) driver: &'a str,
}

impl Saving<'_> {
    /// The VolumeSnapshot. Its name is that of what it holds, so that it is taken once.
    pub(crate) fn manifest(&self) -> Value {
        let (managed, by) = label::MANAGED_BY;
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshot",
            "metadata": {
                "name": crate::manifest::name("standby", &[self.claim, self.snapshot]),
                "namespace": SYSTEM_NAMESPACE,
                "labels": {managed: by, PART: part::SAVED, label::APPLICATION: self.application.as_str()},
                "annotations": {
                    SUBJECT: self.subject,
                    SNAPSHOT: self.snapshot,
                    CUT: self.at.to_string(),
                    DRIVER: self.driver,
                },
            },
            "spec": {
                "volumeSnapshotClassName": self.class,
                "source": {"persistentVolumeClaimName": self.claim},
            },
        })
    }
}

/// Waits until a volume can be made of a VolumeSnapshot of ours.
pub(crate) async fn ready(cluster: &Cluster, name: &str, subject: &str, patience: Duration) -> Result<()> {
    let what = format!("the snapshot of {subject} to be ready");
    let (snapshots, namespace) = (kinds::volume_snapshots(), Some(SYSTEM_NAMESPACE));
    let is_ready =
        |snapshot: Option<&Value>| snapshot.is_none_or(|snapshot| snapshot["status"]["readyToUse"] == true);
    cluster.wait(&snapshots, namespace, name, &what, patience, is_ready).await?;
    Ok(())
}

/// Removes what is kept of one claim beyond the newest `count`.
pub(crate) async fn thin(cluster: &Cluster, application: &AppId, claim: &str, count: usize) -> Result<()> {
    let all = kept(cluster, Some(application)).await?;
    for old in all.iter().filter(|kept| kept.claim == claim).skip(count) {
        forget(cluster, &old.name).await?;
    }
    Ok(())
}

/// Removes one, and returns when the storage has deleted its snapshot.
///
/// # Errors
/// The cluster refuses, or the storage takes longer than a minute.
pub async fn forget(cluster: &Cluster, name: &str) -> Result<()> {
    let (snapshots, namespace) = (kinds::volume_snapshots(), Some(SYSTEM_NAMESPACE));
    let kept = cluster.get(&snapshots, namespace, name).await?;
    cluster.delete(&snapshots, namespace, name, &Delete::default()).await?;
    let what = "the kept snapshot to be gone";
    cluster.wait(&snapshots, namespace, name, what, REMOVAL, |snapshot| snapshot.is_none()).await?;
    let group = kept.as_ref().and_then(|kept| kept["metadata"]["annotations"][OF_GROUP].as_str());
    if let Some(group) = group {
        end_content(cluster, name, "Retain").await?;
        group::forget_member(cluster, group).await?;
    }
    Ok(())
}

/// What the storage calls its kept snapshot of a claim whose content is in the vault as `snapshot`.
pub(crate) async fn base_of(
    cluster: &Cluster,
    application: &AppId,
    claim: &str,
    snapshot: &SnapshotId,
) -> Result<Option<String>> {
    let snapshot = snapshot.to_string();
    let all = kept(cluster, Some(application)).await?;
    let Some(base) = all.iter().find(|kept| kept.claim == claim && kept.snapshot == snapshot) else {
        return Ok(None);
    };
    let content = cluster.get(&kinds::volume_snapshot_contents(), None, &base.name).await?;
    Ok(content.and_then(|content| content["status"]["snapshotHandle"].as_str().map(str::to_owned)))
}

impl Kept {
    fn of(object: &Value) -> Option<Self> {
        let metadata = &object["metadata"];
        let annotation = |key: &str| metadata["annotations"][key].as_str().map(str::to_owned);
        let size = object["status"]["restoreSize"].as_str().and_then(quantity::bytes);
        Some(Self {
            name: metadata["name"].as_str()?.to_owned(),
            claim: annotation(SUBJECT)?,
            snapshot: annotation(SNAPSHOT)?,
            cut: annotation(CUT)?.parse().ok()?,
            driver: annotation(DRIVER)?,
            size: size.unwrap_or_default(),
        })
    }
}

/// What restores can be made of: kept snapshots by the snapshot in the vault, and who provisions
/// which storage class.
#[derive(Debug, Default)]
pub(crate) struct Local {
    kept: HashMap<String, Kept>,
    provisioners: HashMap<String, String>,
}

impl Local {
    /// Looks what a cluster has. What cannot be seen is not used.
    pub(crate) async fn find(cluster: &Cluster) -> Self {
        // What was saved of a standing volume is as good.
        let labels = format!("{PART} in ({}, {})", part::KEPT, part::SAVED);
        let kept = found(cluster, &labels).await.unwrap_or_default();
        if kept.is_empty() {
            return Self::default();
        }
        let classes = cluster.list_all(&kinds::storage_classes(), ListOptions::default()).await;
        let provisioner = |class: &holdfast_cluster::RawObject| {
            let provisioner = class.parse().ok()?["provisioner"].as_str()?.to_owned();
            Some((class.metadata.name.clone(), provisioner))
        };
        Self {
            // The newest comes first and stays.
            kept: kept.into_iter().rev().map(|kept| (kept.snapshot.clone(), kept)).collect(),
            provisioners: classes.unwrap_or_default().iter().filter_map(provisioner).collect(),
        }
    }

    /// The `dataSource` of a claim with this spec that is to hold this snapshot, if one is kept that
    /// its storage can make it of.
    pub(crate) fn source(&self, snapshot: &SnapshotId, spec: &Value) -> Option<Value> {
        let kept = self.kept.get(&snapshot.to_string())?;
        let provisioner = self.provisioners.get(spec["storageClassName"].as_str()?)?;
        let requested = spec["resources"]["requests"]["storage"].as_str().and_then(quantity::bytes)?;
        (*provisioner == kept.driver && requested >= kept.size).then(
            || json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": kept.name}),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_made_of_a_snapshot_only_where_its_storage_can() {
        let snapshot = SnapshotId::of(b"s");
        let kept = Kept {
            name: "k".into(),
            claim: "shop/data".into(),
            snapshot: snapshot.to_string(),
            cut: "2026-01-01T00:00:00Z".parse().unwrap(),
            driver: "d".into(),
            size: 1 << 30,
        };
        let local = Local {
            kept: [(kept.snapshot.clone(), kept)].into(),
            provisioners: [("fast".into(), "d".into()), ("other".into(), "e".into())].into(),
        };
        let spec = |class: &str, size: &str| json!({"storageClassName": class, "resources": {"requests": {"storage": size}}});
        assert_eq!(local.source(&snapshot, &spec("fast", "1Gi")).unwrap()["name"], "k");
        assert_eq!(local.source(&snapshot, &spec("fast", "1G")), None, "smaller than the snapshot");
        assert_eq!(local.source(&snapshot, &spec("other", "2Gi")), None, "another driver's");
        assert_eq!(local.source(&snapshot, &json!({})), None);
        assert_eq!(local.source(&SnapshotId::of(b"t"), &spec("fast", "1Gi")), None);
    }

    #[test]
    fn what_was_labelled_by_hand_is_not_taken_for_ours() {
        let object =
            json!({"metadata": {"name": "k", "annotations": {SUBJECT: "a/b", SNAPSHOT: "s", DRIVER: "d"}}});
        assert_eq!(Kept::of(&object), None);
    }
}
