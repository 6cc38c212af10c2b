//! How two points of an application differ, object by object.
//!
//! An object that did not change is the same blob in both points, so only what did change is read.
//! What belongs to the cluster (status, resourceVersion, managed fields) is not a difference: it is
//! counted apart. Values of Secrets are never part of the result.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use holdfast_model::point::VolumeCapture;
use holdfast_model::restore::{Change, comparable, differences, read};
use holdfast_model::{ObjectRef, PointId, Problem, ResourceType};
use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
use crate::point::{ObjectEntry, OpenPoint};

/// Changed objects that are read at once.
const AT_ONCE: usize = 16;

/// How a later point differs from an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PointDiff {
    /// The earlier point.
    pub before: PointId,
    /// The later point.
    pub after: PointId,
    /// Objects that only the later point has.
    pub added: Vec<ObjectRef>,
    /// Objects that only the earlier point has.
    pub removed: Vec<ObjectRef>,
    /// Objects that a person or a controller changed.
    pub changed: Vec<ObjectDiff>,
    /// Objects of which only what belongs to the cluster differs.
    pub touched: u64,
    /// Objects that are the same to the byte.
    pub same: u64,
    /// The claims whose data is in one of the points.
    pub volumes: Vec<VolumeDiff>,
    /// What could not be compared.
    pub problems: Vec<Problem>,
}

/// One object that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectDiff {
    /// The object.
    pub object: ObjectRef,
    /// The places at which it changed.
    pub changes: Vec<Change>,
}

/// One claim's data in both points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDiff {
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// Bytes of file content in the earlier point; `None` if it does not hold the claim's data.
    pub before: Option<u64>,
    /// The same in the later point.
    pub after: Option<u64>,
    /// Bytes that were read for the later point because their files were new or had changed.
    pub bytes_read: u64,
}

/// Compares two points of one repository or of two.
///
/// # Errors
/// A vault that cannot be reached. What is damaged is named in the result.
pub async fn points(before: &OpenPoint, after: &OpenPoint) -> Result<PointDiff> {
    let mut diff = PointDiff {
        before: before.point.id.clone(),
        after: after.point.id.clone(),
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
        touched: 0,
        same: 0,
        volumes: volumes(&before.point.volumes, &after.point.volumes),
        problems: Vec::new(),
    };
    for resource in resources(before, after) {
        diff.resource(before, after, resource).await?;
    }
    diff.added.sort();
    diff.removed.sort();
    diff.changed.sort_by(|a, b| a.object.cmp(&b.object));
    diff.problems.sort();
    diff.problems.dedup();
    Ok(diff)
}

/// Group and plural: what a resource is, whichever version a point holds it at.
type Resource = (String, String);

fn resource(of: &ResourceType) -> Resource {
    (of.group.clone(), of.plural.clone())
}

fn resources(before: &OpenPoint, after: &OpenPoint) -> Vec<Resource> {
    let kinds = before.point.kinds.iter().chain(&after.point.kinds);
    let mut all: Vec<Resource> = kinds.map(|kind| resource(&kind.resource)).collect();
    all.sort();
    all.dedup();
    all
}

/// Namespace and file name: where an object lies in the directory of its type.
type Place = (Option<String>, String);

fn place(entry: &ObjectEntry) -> Place {
    (entry.namespace.clone(), entry.file().to_owned())
}

impl PointDiff {
    /// Compares one type of resource; in memory are the names of its objects in one point.
    async fn resource(&mut self, before: &OpenPoint, after: &OpenPoint, of: Resource) -> Result<()> {
        let mut old: HashMap<Place, ObjectEntry> = HashMap::new();
        let wanted = of.clone();
        let mut entries = std::pin::pin!(before.objects_of(move |found| resource(found) == wanted));
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => drop(old.insert(place(&entry), entry)),
                Err(problem) => self.problems.push(problem),
            }
        }
        let mut changed: Vec<(ObjectEntry, ObjectEntry)> = Vec::new();
        let mut entries = std::pin::pin!(after.objects_of(move |found| resource(found) == of));
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => match old.remove(&place(&entry)) {
                    None => self.added.push(named(&entry)),
                    Some(former) if former.content == entry.content => self.same += 1,
                    Some(former) => changed.push((former, entry)),
                },
                Err(problem) => self.problems.push(problem),
            }
        }
        self.removed.extend(old.values().map(named));
        let mut compared =
            stream::iter(changed).map(|pair| compare(before, after, pair)).buffer_unordered(AT_ONCE);
        while let Some(result) = compared.next().await {
            match result {
                Ok(diff) if diff.changes.is_empty() => self.touched += 1,
                Ok(diff) => self.changed.push(diff),
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(())
    }
}

async fn compare(
    before: &OpenPoint,
    after: &OpenPoint,
    (former, latter): (ObjectEntry, ObjectEntry),
) -> Result<ObjectDiff, Problem> {
    let (old, new) = futures::try_join!(parsed(before, &former), parsed(after, &latter))?;
    let kind = latter.resource.group_kind();
    let changes = differences(&kind, &comparable(&kind, &old), &comparable(&kind, &new));
    let object = ObjectRef { name: read::name(&new).to_owned(), ..named(&latter) };
    Ok(ObjectDiff { object, changes })
}

async fn parsed(point: &OpenPoint, entry: &ObjectEntry) -> Result<Value, Problem> {
    let unreadable = |reason: String| {
        let subject = format!("{} in point {}", named(entry), point.point.id);
        Problem::new("point.unreadable", subject, reason).hint("run `holdfast vault check --read-data`")
    };
    let json = point.read(entry).await.map_err(|error| unreadable(error.to_string()))?;
    read::read(&entry.resource, entry.namespace.as_deref(), &json)
        .map_err(|error| unreadable(error.to_string()))
}

fn named(entry: &ObjectEntry) -> ObjectRef {
    entry.object_ref().unwrap_or_else(|| ObjectRef {
        resource: entry.resource.clone(),
        namespace: entry.namespace.clone(),
        name: place(entry).1,
    })
}

fn volumes(before: &[VolumeCapture], after: &[VolumeCapture]) -> Vec<VolumeDiff> {
    let find = |list: &[VolumeCapture], key: &(String, String)| {
        list.iter().find(|volume| (&volume.namespace, &volume.claim) == (&key.0, &key.1)).cloned()
    };
    let mut keys: Vec<(String, String)> =
        before.iter().chain(after).map(|volume| (volume.namespace.clone(), volume.claim.clone())).collect();
    keys.sort();
    keys.dedup();
    let diffs = keys.into_iter().map(|key| {
        let (old, new) = (find(before, &key), find(after, &key));
        let (namespace, claim) = key;
        VolumeDiff {
            namespace,
            claim,
            before: old.map(|volume| volume.bytes),
            after: new.as_ref().map(|volume| volume.bytes),
            bytes_read: new.map_or(0, |volume| volume.bytes_read),
        }
    });
    diffs.collect()
}
