//! The end of a group: the storage deletes all of its snapshots, once nobody reads or keeps any.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, ListOptions, Write, kinds};
use holdfast_model::label::{PART, RUN, SNAPSHOT_GROUP};
use holdfast_model::{ObjectRef, ResourceType};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Group, GroupApi};
use crate::error::Result;
use crate::manifest::part;
use crate::snapshots::removal::{Cleared, problem};

/// Tells the storage's sidecar that a content goes for good, where no VolumeGroupSnapshot is there
/// whose deletion would say so.
const BEING_DELETED: &str = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-deleted";
/// How long one object may take to go; what takes longer goes on without us.
const REMOVAL: Duration = Duration::from_secs(60);
/// How long a controller is left alone before it is reminded.
const REMINDER: Duration = Duration::from_secs(5);
/// Annotation that reminds the storage's sidecar of a content: a change that has no other meaning.
const ENDING: &str = "holdfast.dev/ending";

/// Annotation: the VolumeGroupSnapshotContent of the group that it is one of, and goes with.
pub(in crate::snapshots) const OF_GROUP: &str = "holdfast.dev/group";

/// Whether the snapshot controller sees to it that the deletion of a content is one of the storage's.
pub(super) fn is_held(content: &Value) -> bool {
    content["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

impl Group {
    /// Ends it, whatever became of it; what is kept of it ends with the last that is kept. What cannot be
    /// removed now is labelled, and swept.
    pub(crate) async fn end(&self, cluster: &Cluster) {
        if !self.is_settled() {
            self.unmark(cluster).await;
        }
        let (namespace, name) = self.place();
        let content = self.whole().map(|whole| whole.content.clone());
        if let Err(error) = end(cluster, self.api(), Some((namespace, name)), content).await {
            tracing::warn!(%error, namespace, "a group snapshot stays until the next sweep");
        }
    }
}

/// Gives up a group that was not cut: its claims are cut one by one, and wait for that.
pub(super) async fn abandon(cluster: &Cluster, group: &Group) {
    let (namespace, name) = group.place();
    delete_group(cluster, group.api(), namespace, name).await;
}

/// Has a VolumeGroupSnapshot go, as soon as its controller lets it.
pub(super) async fn delete_group(cluster: &Cluster, api: GroupApi, namespace: &str, name: &str) {
    // What cannot be deleted now is labelled, and swept.
    let _ = cluster.delete(&api.groups(), Some(namespace), name, &Delete::default()).await;
}

/// Ends a group by its VolumeGroupSnapshot, its content or both.
async fn end(
    cluster: &Cluster,
    api: GroupApi,
    group: Option<(&str, &str)>,
    content: Option<String>,
) -> Result<()> {
    let mut content = content;
    let mut live = None;
    if let Some((namespace, name)) = group {
        live = cluster.get(&api.groups(), Some(namespace), name).await?;
        let bound = live.as_ref().map(|live| &live["status"]["boundVolumeGroupSnapshotContentName"]);
        content = content.or_else(|| bound.and_then(Value::as_str).map(str::to_owned));
    }
    if let Some(name) = &content {
        if !kept_of(cluster, name).await?.is_empty() {
            return keep(cluster, api, name).await;
        }
        doom(cluster, api, name, live.is_none()).await?;
    }
    if let (Some((namespace, name)), Some(_)) = (group, live) {
        cluster.delete(&api.groups(), Some(namespace), name, &Delete::default()).await?;
        Going { cluster, api, of: api.groups(), namespace: Some(namespace), name }.gone().await?;
    }
    match content {
        Some(name) => end_content(cluster, api, &name).await,
        None => Ok(()),
    }
}

/// Contents of ours that are kept of the group with this VolumeGroupSnapshotContent.
async fn kept_of(cluster: &Cluster, group: &str) -> Result<Vec<String>> {
    let labels = Some(format!("{PART}={}", part::KEPT));
    let options = ListOptions { labels, ..ListOptions::default() };
    let kept = cluster.list_all(&kinds::volume_snapshot_contents(), options).await?;
    let of_it =
        kept.iter().filter(|kept| kept.metadata.annotations.get(OF_GROUP).is_some_and(|of| of == group));
    Ok(of_it.map(|kept| kept.metadata.name.clone()).collect())
}

/// Has the group stay for what is kept of it.
async fn keep(cluster: &Cluster, api: GroupApi, content: &str) -> Result<()> {
    let patch = json!({"metadata": {"labels": {RUN: null, PART: part::KEPT}}});
    cluster.merge_patch(&api.contents(), None, content, &patch, &Write::default()).await?;
    Ok(())
}

/// Says of a content that the storage is to delete the group when it goes.
async fn doom(cluster: &Cluster, api: GroupApi, content: &str, alone: bool) -> Result<()> {
    let what = "the snapshot controller to have the group in hand";
    let held = |content: Option<&Value>| content.is_none_or(is_held);
    cluster.wait(&api.contents(), None, content, what, REMOVAL, held).await?;
    let mut patch = json!({"spec": {"deletionPolicy": "Delete"}});
    if alone {
        patch["metadata"]["annotations"][BEING_DELETED] = json!("yes");
    }
    change(cluster, api, content, &patch).await
}

/// Changes a content, if it is still there.
async fn change(cluster: &Cluster, api: GroupApi, content: &str, patch: &Value) -> Result<()> {
    match cluster.merge_patch(&api.contents(), None, content, patch, &Write::default()).await {
        Err(error) if error.is_not_found() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

async fn end_content(cluster: &Cluster, api: GroupApi, name: &str) -> Result<()> {
    if cluster.get(&api.contents(), None, name).await?.is_none() {
        return Ok(());
    }
    doom(cluster, api, name, true).await?;
    cluster.delete(&api.contents(), None, name, &Delete::default()).await?;
    Going { cluster, api, of: api.contents(), namespace: None, name }.gone().await
}

/// A group or a content that is being deleted.
struct Going<'a> {
    cluster: &'a Cluster,
    api: GroupApi,
    of: ResourceType,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl Going<'_> {
    /// Waits until it is gone. The sidecar (8.7) does not look again at a content that was deleted while it had the
    /// group cut, unless something changes.
    async fn gone(&self) -> Result<()> {
        let what = "the end of a group snapshot";
        let end = Instant::now() + REMOVAL;
        loop {
            let patience = REMINDER.min(end.saturating_duration_since(Instant::now()));
            let gone = |seen: Option<&Value>| seen.is_none();
            match self.cluster.wait(&self.of, self.namespace, self.name, what, patience, gone).await {
                Err(holdfast_cluster::Error::NotInTime { .. }) if Instant::now() < end => {
                    self.remind().await?;
                }
                other => return Ok(other.map(drop)?),
            }
        }
    }

    async fn remind(&self) -> Result<()> {
        let seen = self.cluster.get(&self.of, self.namespace, self.name).await?;
        let bound = seen.as_ref().map(|seen| &seen["status"]["boundVolumeGroupSnapshotContentName"]);
        let content = if self.namespace.is_none() { Some(self.name) } else { bound.and_then(Value::as_str) };
        let Some(content) = content else { return Ok(()) };
        let seen = self.cluster.get(&self.api.contents(), None, content).await?.unwrap_or_default();
        let patch = json!({"metadata": {"annotations": {ENDING: seen["metadata"]["resourceVersion"]}}});
        change(self.cluster, self.api, content, &patch).await
    }
}

/// Ends the group of a kept member that was let go of, if it was the last.
pub(in crate::snapshots) async fn forget_member(cluster: &Cluster, content: &str) -> Result<()> {
    match GroupApi::find(cluster).await? {
        Some((api, _)) => end(cluster, api, None, Some(content.to_owned())).await,
        None => Ok(()),
    }
}

/// Says of a run whether what it left is to go.
type Which<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

/// Ends the groups of dead runs, and those of which nothing is kept any more, and takes their label off
/// claims.
pub(in crate::snapshots) async fn clear_groups(
    cluster: &Cluster,
    includes: Which<'_>,
    cleared: &mut Cleared,
) -> Result<()> {
    unmark_all(cluster, includes, cleared).await?;
    let Some((api, _)) = GroupApi::find(cluster).await? else { return Ok(()) };
    for group in listed(cluster, &api.groups(), &format!("{RUN},{PART}={}", part::GROUP)).await? {
        if is_of(&group, includes) {
            let place = (text(&group, "namespace"), text(&group, "name"));
            let ended = end(cluster, api, Some((&place.0, &place.1)), None).await;
            note(&api.groups(), Some(place.0), place.1, ended, cleared);
        }
    }
    for content in
        listed(cluster, &api.contents(), &format!("{PART} in ({}, {})", part::GROUP, part::KEPT)).await?
    {
        if content["metadata"]["labels"][RUN].is_null() || is_of(&content, includes) {
            let name = text(&content, "name");
            let was_kept = content["metadata"]["labels"][PART] == part::KEPT;
            if was_kept && !kept_of(cluster, &name).await?.is_empty() {
                continue;
            }
            let ended = end(cluster, api, None, Some(name.clone())).await;
            note(&api.contents(), None, name, ended, cleared);
        }
    }
    Ok(())
}

async fn unmark_all(cluster: &Cluster, includes: Which<'_>, cleared: &mut Cleared) -> Result<()> {
    let claims = kinds::persistent_volume_claims();
    for claim in listed(cluster, &claims, SNAPSHOT_GROUP).await? {
        let mark = claim["metadata"]["labels"][SNAPSHOT_GROUP].as_str().unwrap_or_default();
        if !includes(Group::run_of(mark)) {
            continue;
        }
        let (namespace, name) = (text(&claim, "namespace"), text(&claim, "name"));
        let patch = json!({"metadata": {"labels": {SNAPSHOT_GROUP: null}}});
        let patched = cluster.merge_patch(&claims, Some(&namespace), &name, &patch, &Write::default()).await;
        if let Err(error) = patched
            && !error.is_not_found()
        {
            cleared.problems.push(problem(&claims, Some(&namespace), &name, &error.to_string()));
        }
    }
    Ok(())
}

fn is_of(object: &Value, includes: Which<'_>) -> bool {
    object["metadata"]["labels"][RUN].as_str().is_some_and(includes)
}

/// Labelled objects wherever they are. Whoever may not look everywhere has made none.
async fn listed(cluster: &Cluster, of: &ResourceType, labels: &str) -> Result<Vec<Value>> {
    let options = ListOptions { labels: Some(labels.to_owned()), ..ListOptions::default() };
    match cluster.list_all(of, options).await {
        Ok(found) => Ok(found.iter().filter_map(|object| object.parse().ok()).collect()),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn note(
    of: &ResourceType,
    namespace: Option<String>,
    name: String,
    ended: Result<()>,
    cleared: &mut Cleared,
) {
    match ended {
        Ok(()) => cleared.removed.push(ObjectRef { resource: of.clone(), namespace, name }),
        Err(error) => {
            cleared.problems.push(problem(of, namespace.as_deref(), &name, &error.to_string()));
        }
    }
}

fn text(object: &Value, key: &str) -> String {
    object["metadata"][key].as_str().unwrap_or_default().to_owned()
}
