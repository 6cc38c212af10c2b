//! One snapshot of a group, read through a content of ours that deletes nothing.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::Value;

use crate::error::Result;
use crate::snapshots::{Names, adopt, end_content, manifest};

/// How long the controllers may take to let go of what holds nothing at the storage.
const REMOVAL: Duration = Duration::from_secs(60);

/// Makes a VolumeSnapshot of ours for a member with this handle, and gives it when it can be read.
pub(in crate::snapshots) async fn adopt(
    cluster: &Cluster,
    names: &Names,
    source: &manifest::MemberOf<'_>,
    patience: Duration,
) -> Result<Value> {
    let write = Write::default();
    let (snapshots, contents) = (kinds::volume_snapshots(), kinds::volume_snapshot_contents());
    cluster.create(&contents, &manifest::member_content(names, source), &write).await?;
    cluster.create(&snapshots, &manifest::member(names), &write).await?;
    adopt::ready(cluster, names, patience).await
}

/// Removes both; the storage's snapshot stays, as it goes with its group. What cannot be removed now
/// is labelled, and swept.
pub(in crate::snapshots) async fn give_back(cluster: &Cluster, names: &Names) {
    let (snapshots, name) = (kinds::volume_snapshots(), names.snapshot.as_str());
    let namespace = Some(SYSTEM_NAMESPACE);
    let _ = cluster.delete(&snapshots, namespace, name, &Delete::default()).await;
    let gone = |seen: Option<&Value>| seen.is_none();
    let _ = cluster.wait(&snapshots, namespace, name, "a member to be let go", REMOVAL, gone).await;
    let _ = end_content(cluster, name, "Retain").await;
}
