//! Ends the snapshots of dead runs, from whatever state they were left in, so that the storage
//! deletes each of its own exactly once.

use holdfast_cluster::{Cluster, Delete, Deleted, ListOptions, Write, kinds};
use holdfast_model::label::{PART, RUN, SYSTEM_NAMESPACE};
use holdfast_model::{ObjectRef, ResourceType};
use serde_json::{Value, json};

use super::removal::{BEING_DELETED, Cleared, END, end_content, not_removed, problem};
use super::{Names, group};
use crate::error::{Error, Result};
use crate::manifest::part;

/// How often it is looked whether something is left.
const ROUNDS: usize = 4;

/// Says of an object of ours whether it is to go.
type Which<'a> = &'a (dyn Fn(&Value) -> bool + Send + Sync);

/// Removes views and snapshots of the runs that `includes` names.
///
/// # Errors
/// The cluster cannot be reached. What fails for one object is in the result.
pub async fn clear(cluster: &Cluster, includes: &(dyn Fn(&str) -> bool + Send + Sync)) -> Result<Cleared> {
    let of_them = |object: &Value| object["metadata"]["labels"][RUN].as_str().is_some_and(includes);
    let mut cleared = clear_those(cluster, &of_them).await?;
    // Once nobody reads their members any more.
    group::clear_groups(cluster, includes, &mut cleared).await?;
    Ok(cleared)
}

/// Removes devices that file systems were to come back through, of the runs that `includes` names: after their
/// snapshots, and when no restore is to go on with them.
///
/// # Errors
/// As [`clear`].
pub async fn clear_devices(
    cluster: &Cluster,
    includes: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<Cleared> {
    let of_them = |object: &Value| object["metadata"]["labels"][RUN].as_str().is_some_and(includes);
    let (mut cleared, claims) = (Cleared::default(), kinds::persistent_volume_claims());
    for claim in listed(cluster, &claims, Some(SYSTEM_NAMESPACE), part::DEVICE, &of_them).await? {
        remove(cluster, &claims, &claim, &mut cleared).await;
    }
    Ok(cleared)
}

/// Removes what one run has made for one claim.
pub(crate) async fn clear_one(cluster: &Cluster, names: &Names) -> Result<Cleared> {
    let of_it = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let of = object["spec"]["volumeSnapshotRef"]["name"].as_str().unwrap_or(name);
        of == names.snapshot || of == names.view
    };
    clear_those(cluster, &of_it).await
}

async fn clear_those(cluster: &Cluster, which: Which<'_>) -> Result<Cleared> {
    let mut cleared = Cleared::default();
    let claims = kinds::persistent_volume_claims();
    for claim in listed(cluster, &claims, Some(SYSTEM_NAMESPACE), part::VIEW, which).await? {
        remove(cluster, &claims, &claim, &mut cleared).await;
    }
    let (snapshots, contents) = (kinds::volume_snapshots(), kinds::volume_snapshot_contents());
    let members = listed(cluster, &snapshots, Some(SYSTEM_NAMESPACE), part::MEMBER, which).await?;
    for member in &members {
        remove(cluster, &snapshots, member, &mut cleared).await;
    }
    for member in contents_of(cluster, part::MEMBER, which, members.is_empty()).await? {
        let name = name(&member);
        match end_content(cluster, &name, "Retain").await {
            Ok(()) => {
                let object = ObjectRef { resource: contents.clone(), namespace: None, name };
                cleared.removed.push(object);
            }
            Err(error) => cleared.problems.push(problem(&contents, None, &name, &error.to_string())),
        }
    }
    // What a controller did meanwhile, going by what it saw before, is seen in the next round.
    for _ in 0..ROUNDS {
        let left = Left::look(cluster, which).await?;
        if left.is_empty() {
            break;
        }
        for content in left.unheld() {
            if let Err(error) = hold(cluster, content).await {
                cleared.problems.push(problem(
                    &kinds::volume_snapshot_contents(),
                    None,
                    &name(content),
                    &error.to_string(),
                ));
            }
        }
        let left = Left::look(cluster, which).await?;
        carry_out(cluster, left.removals(), &mut cleared).await;
        if !cleared.problems.is_empty() {
            break;
        }
    }
    Ok(cleared)
}

async fn carry_out(cluster: &Cluster, removals: Vec<Removal>, cleared: &mut Cleared) {
    let (snapshots, contents) = (kinds::volume_snapshots(), kinds::volume_snapshot_contents());
    for Removal { content, object, patch } in removals {
        let of = if content { &contents } else { &snapshots };
        if let Some((name, patch)) = patch
            && let Err(error) = cluster.merge_patch(&contents, None, &name, &patch, &Write::default()).await
            && !error.is_not_found()
        {
            cleared.problems.push(problem(&contents, None, &name, &error.to_string()));
            continue;
        }
        remove(cluster, of, &object, cleared).await;
    }
}

/// Has the snapshot controller take a content of ours in hand, by the VolumeSnapshot that it was made
/// for: before that its deletion deletes nothing of the storage's.
async fn hold(cluster: &Cluster, content: &Value) -> Result<(), holdfast_cluster::Error> {
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": content["spec"]["volumeSnapshotRef"]["name"],
            "namespace": SYSTEM_NAMESPACE,
            "labels": content["metadata"]["labels"],
        },
        "spec": {"source": {"volumeSnapshotContentName": content["metadata"]["name"]}},
    });
    cluster.create(&kinds::volume_snapshots(), &snapshot, &Write::default()).await?;
    let (contents, what) = (kinds::volume_snapshot_contents(), "the snapshot controller to know of it");
    let held = |content: Option<&Value>| content.is_none_or(is_held);
    cluster.wait(&contents, None, &name(content), what, END, held).await?;
    Ok(())
}

/// Whether the snapshot controller sees to it that the deletion of a content is one of the storage's.
fn is_held(content: &Value) -> bool {
    content["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Labelled objects of one part. What may not be looked for everywhere is looked
/// for in our own namespace.
async fn listed(
    cluster: &Cluster,
    of: &ResourceType,
    namespace: Option<&str>,
    part: &str,
    which: Which<'_>,
) -> Result<Vec<Value>> {
    let labels = Some(format!("{RUN},{PART}={part}"));
    let options = ListOptions { namespace: namespace.map(str::to_owned), labels, ..ListOptions::default() };
    let mut found = cluster.list_all(of, options.clone()).await;
    if found.as_ref().is_err_and(holdfast_cluster::Error::is_forbidden) && of.namespaced {
        let here = ListOptions { namespace: Some(SYSTEM_NAMESPACE.to_owned()), ..options };
        found = cluster.list_all(of, here).await;
    }
    let found = match found {
        Ok(found) => found,
        // Clusters without snapshots have none of ours; whoever may not see them has made none.
        Err(error) if error.is_not_found() || (of.namespaced && error.is_forbidden()) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(found.iter().filter_map(|object| object.parse().ok()).filter(|object| which(object)).collect())
}

/// Labelled contents of one part. Whoever may not see contents has made none, which counts where `none` of their
/// VolumeSnapshots was found: without its content nobody knows what the deletion of one does.
async fn contents_of(cluster: &Cluster, part: &str, which: Which<'_>, none: bool) -> Result<Vec<Value>> {
    match listed(cluster, &kinds::volume_snapshot_contents(), None, part, which).await {
        Err(Error::Cluster(error)) if error.is_forbidden() && none => Ok(Vec::new()),
        other => other,
    }
}

/// What dead runs have left.
struct Left {
    snapshots: Vec<Value>,
    contents: Vec<Value>,
}

/// One object to be removed, and the patch of a content that comes before.
#[derive(Debug, PartialEq)]
struct Removal {
    /// A content, or a VolumeSnapshot.
    content: bool,
    object: Value,
    patch: Option<(String, Value)>,
}

impl Removal {
    fn of_snapshot(snapshot: &Value) -> Self {
        Self { content: false, object: snapshot.clone(), patch: None }
    }
}

impl Left {
    async fn look(cluster: &Cluster, which: Which<'_>) -> Result<Self> {
        let snapshots = listed(cluster, &kinds::volume_snapshots(), None, part::SNAPSHOT, which).await?;
        let contents = contents_of(cluster, part::SNAPSHOT, which, snapshots.is_empty()).await?;
        let mut left = Self { snapshots, contents };
        left.add_unlabelled(cluster).await?;
        Ok(left)
    }

    fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.contents.is_empty()
    }

    /// Adds the contents of VolumeSnapshots that died before their content was labelled.
    async fn add_unlabelled(&mut self, cluster: &Cluster) -> Result<()> {
        let bound: Vec<String> = self.snapshots.iter().filter_map(bound_content).map(str::to_owned).collect();
        for name in bound {
            if self.content(&name).is_none() {
                let found = cluster.get(&kinds::volume_snapshot_contents(), None, &name).await?;
                self.contents.extend(found);
            }
        }
        Ok(())
    }

    fn content(&self, name: &str) -> Option<&Value> {
        self.contents.iter().find(|content| content["metadata"]["name"] == name)
    }

    fn snapshot_of(&self, content: &Value) -> Option<&Value> {
        let of = &content["spec"]["volumeSnapshotRef"];
        self.snapshots.iter().find(|snapshot| {
            snapshot["metadata"]["name"] == of["name"] && snapshot["metadata"]["namespace"] == of["namespace"]
        })
    }

    fn ours(&self) -> impl Iterator<Item = &Value> {
        self.contents.iter().filter(|content| content["spec"]["source"]["snapshotHandle"].is_string())
    }

    fn firsts(&self) -> impl Iterator<Item = &Value> {
        self.contents.iter().filter(|content| !content["spec"]["source"]["snapshotHandle"].is_string())
    }

    /// Contents of ours that nobody has in hand, while there is no first one any more that could have
    /// the storage's snapshot deleted.
    fn unheld(&self) -> impl Iterator<Item = &Value> {
        let first = |ours: &Value| {
            let handle = &ours["spec"]["source"]["snapshotHandle"];
            self.firsts().any(|first| first["status"]["snapshotHandle"] == *handle)
        };
        self.ours().filter(move |content| !is_held(content) && !first(content))
    }

    /// Whether a content of ours will have the snapshot of this first content deleted.
    fn is_taken_over(&self, first: &Value) -> bool {
        let handle = &first["status"]["snapshotHandle"];
        let mut ours = self.ours();
        handle.is_string()
            && ours.any(|ours| ours["spec"]["source"]["snapshotHandle"] == *handle && is_held(ours))
    }

    /// First what no longer deletes anything, then what does.
    fn removals(&self) -> Vec<Removal> {
        let mut removals = Vec::new();
        let bound: Vec<&Value> =
            self.contents.iter().filter_map(|content| self.snapshot_of(content)).collect();
        let unbound = self.snapshots.iter().filter(|snapshot| !bound.contains(snapshot));
        removals.extend(unbound.map(Removal::of_snapshot));
        for content in self.ours().filter(|content| !is_held(content)) {
            removals.extend(self.snapshot_of(content).map(Removal::of_snapshot));
            removals.push(Removal { content: true, object: content.clone(), patch: None });
        }
        for content in self.firsts() {
            let policy = if self.is_taken_over(content) { "Retain" } else { "Delete" };
            self.remove(content, policy, &mut removals);
        }
        for content in self.ours().filter(|content| is_held(content)) {
            self.remove(content, "Delete", &mut removals);
        }
        removals
    }

    /// Removes a content with this policy, by its VolumeSnapshot if that is there.
    fn remove(&self, content: &Value, policy: &str, removals: &mut Vec<Removal>) {
        let name = content["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let snapshot = self.snapshot_of(content);
        let mut patch = json!({"spec": {"deletionPolicy": policy}});
        if snapshot.is_none() && policy == "Delete" {
            patch["metadata"]["annotations"][BEING_DELETED] = json!("yes");
        }
        let changes = snapshot.is_none() || content["spec"]["deletionPolicy"] != policy;
        let mut patch = changes.then_some((name, patch));
        if let Some(snapshot) = snapshot {
            let object = snapshot.clone();
            removals.push(Removal { content: false, object, patch: patch.take() });
        }
        if snapshot.is_none() || policy == "Retain" {
            removals.push(Removal { content: true, object: content.clone(), patch });
        }
    }
}

fn bound_content(snapshot: &Value) -> Option<&str> {
    snapshot["status"]["boundVolumeSnapshotContentName"].as_str()
}

async fn remove(cluster: &Cluster, of: &ResourceType, object: &Value, cleared: &mut Cleared) {
    let text = |key: &str| object["metadata"][key].as_str().map(str::to_owned);
    let (namespace, name) = (text("namespace"), text("name").unwrap_or_default());
    let uid = text("uid");
    let delete = Delete { uid: uid.clone(), ..Delete::default() };
    let deleted = cluster.delete(of, namespace.as_deref(), &name, &delete).await;
    let ended = match deleted {
        Ok(Deleted::Pending(_)) => {
            let gone = |seen: Option<&Value>| {
                seen.is_none_or(|seen| seen["metadata"]["uid"].as_str() != uid.as_deref())
            };
            cluster.wait(of, namespace.as_deref(), &name, "its end", END, gone).await.map(|_| true)
        }
        Ok(Deleted::Gone) => Ok(true),
        Ok(Deleted::NotThere) => Ok(false),
        Err(error) => Err(error),
    };
    match ended {
        Ok(true) => cleared.removed.push(ObjectRef { resource: of.clone(), namespace, name }),
        Ok(false) => {}
        Err(error) => cleared.problems.push(not_removed(of, namespace.as_deref(), &name, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(namespace: &str, content: Option<&str>) -> Value {
        json!({"metadata": {"namespace": namespace, "name": "s"},
            "status": {"boundVolumeSnapshotContentName": content}})
    }

    fn first(policy: &str) -> Value {
        json!({"metadata": {"name": "c1", "finalizers": ["bound"]}, "spec": {"deletionPolicy": policy, "source": {"volumeHandle": "v"},
            "volumeSnapshotRef": {"namespace": "shop", "name": "s"}}, "status": {"snapshotHandle": "h"}})
    }

    /// A content of ours that the snapshot controller knows of, or has not come to yet.
    fn ours(held: bool) -> Value {
        let finalizers = if held { json!(["bound"]) } else { Value::Null };
        json!({"metadata": {"name": "c2", "finalizers": finalizers}, "spec": {"deletionPolicy": "Delete", "source": {"snapshotHandle": "h"},
            "volumeSnapshotRef": {"namespace": SYSTEM_NAMESPACE, "name": "s"}}, "status": {}})
    }

    /// What the removals do to the storage: how often it is told to delete the snapshot `h`, as the
    /// snapshot controller and the sidecar go about it.
    fn deletions(left: &Left) -> usize {
        let mut contents = left.contents.clone();
        let mut deletions = 0;
        let mut end = |contents: &mut Vec<Value>, name: &str, told: bool| {
            let at = contents.iter().position(|content| content["metadata"]["name"] == name);
            let content = contents.remove(at.expect("it is removed once"));
            if content["spec"]["deletionPolicy"] == "Delete" && is_held(&content) {
                assert!(told || content["metadata"]["annotations"][BEING_DELETED] == "yes", "it would stay");
                deletions += 1;
            }
        };
        for Removal { content, object, patch } in left.removals() {
            if let Some((name, patch)) = patch {
                let content =
                    contents.iter_mut().find(|content| content["metadata"]["name"] == name.as_str());
                let content = content.expect("a content that is there is patched");
                content["spec"]["deletionPolicy"] = patch["spec"]["deletionPolicy"].clone();
                content["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
            }
            if content {
                end(&mut contents, object["metadata"]["name"].as_str().unwrap(), false);
                continue;
            }
            let of = |content: &Value| {
                content["spec"]["volumeSnapshotRef"]["namespace"] == object["metadata"]["namespace"]
                    && content["spec"]["deletionPolicy"] == "Delete"
                    && is_held(content)
            };
            if let Some(name) =
                contents.iter().find(|content| of(content)).map(|content| content["metadata"]["name"].clone())
            {
                end(&mut contents, name.as_str().unwrap(), true);
            }
        }
        assert!(contents.is_empty(), "{contents:?}");
        deletions
    }

    #[test]
    fn whenever_a_run_died_the_storage_deletes_its_snapshot_once() {
        let (of_app, of_ours) = (snapshot("shop", Some("c1")), snapshot(SYSTEM_NAMESPACE, Some("c2")));
        for (what, snapshots, contents) in [
            ("before it was retained", vec![of_app.clone()], vec![first("Delete")]),
            ("a class that retains", vec![of_app.clone()], vec![first("Retain")]),
            ("after it was retained", vec![of_app.clone()], vec![first("Retain")]),
            ("the namespace went then", vec![], vec![first("Retain")]),
            ("with ours made", vec![of_app.clone()], vec![first("Retain"), ours(false)]),
            ("and the namespace gone", vec![], vec![first("Retain"), ours(false)]),
            ("with both made", vec![of_app.clone(), of_ours.clone()], vec![first("Retain"), ours(true)]),
            ("with both made just now", vec![of_app, of_ours.clone()], vec![first("Retain"), ours(false)]),
            ("the namespace went with both made", vec![of_ours.clone()], vec![first("Retain"), ours(true)]),
            ("taken over", vec![of_ours], vec![ours(true)]),
        ] {
            assert_eq!(deletions(&Left { snapshots, contents }), 1, "{what}");
        }
    }

    #[test]
    fn a_content_that_nobody_has_in_hand_is_held_first() {
        let alone = Left { snapshots: vec![], contents: vec![ours(false)] };
        assert_eq!(alone.unheld().count(), 1);
        let with_first = Left { snapshots: vec![], contents: vec![ours(false), first("Retain")] };
        assert_eq!(with_first.unheld().count(), 0);
        let held = Left { snapshots: vec![], contents: vec![ours(true)] };
        assert_eq!(held.unheld().count(), 0);
    }

    #[test]
    fn a_snapshot_that_never_came_about_is_removed_too() {
        let left = Left { snapshots: vec![snapshot("shop", None)], contents: vec![] };
        assert_eq!(left.removals().len(), 1);
    }
}
