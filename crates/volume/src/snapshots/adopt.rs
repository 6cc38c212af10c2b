//! Takes a snapshot over: does the steps, one at a time, each decided from what is there then.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::ResourceType;
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::Value;

use super::cut::{complaint, explained, failed};
use super::step::{Seen, Step, next};
use super::{Names, manifest};
use crate::error::{Error, Result};

/// There are six steps; one may be repeated when a controller writes at the same time.
const MOST_STEPS: usize = 40;
/// How long a deletion may take: a finalizer is a controller's to remove.
const REMOVAL: Duration = Duration::from_secs(60);

/// Makes the snapshot with this content one of ours, and gives the VolumeSnapshot as it is then. `patience` is how
/// long the storage may take until it can be read.
pub(super) async fn adopt(
    cluster: &Cluster,
    names: &Names,
    content: &str,
    patience: Duration,
) -> Result<Value> {
    let hand = Hand { cluster, names, content, patience };
    let mut retained: Option<Value> = None;
    for _ in 0..MOST_STEPS {
        let mut seen = hand.look().await?;
        if (&seen.content, &seen.ours) == (&None, &None) {
            // It went with its namespace, but after it had been retained: the storage still has the
            // snapshot, and nobody else knows of it.
            seen.content.clone_from(&retained);
        }
        let step = next(&seen);
        match (step, seen.adopted.clone()) {
            (Step::Done, Some(adopted)) => return Ok(adopted),
            (Step::Lost, _) => return Err(failed(names, "it was deleted by somebody else")),
            _ => {}
        }
        match hand.apply(step, &seen).await {
            // A controller wrote first; what is there now decides.
            Err(Error::Cluster(error)) if error.is_conflict() || error.is_not_found() => {}
            other => retained = other?.or(retained),
        }
    }
    Err(failed(
        names,
        "taking it over does not come to an end; see the annotations of its VolumeSnapshotContent",
    ))
}

/// Waits until a VolumeSnapshot of ours can be read, and gives it.
pub(super) async fn ready(cluster: &Cluster, names: &Names, patience: Duration) -> Result<Value> {
    let what = format!("the snapshot of {} to be ready", names.subject());
    let mut told = String::new();
    let (snapshots, namespace) = (kinds::volume_snapshots(), Some(SYSTEM_NAMESPACE));
    let waited = cluster
        .wait(&snapshots, namespace, &names.snapshot, &what, patience, |snapshot| {
            told = snapshot.map(complaint).unwrap_or_default();
            snapshot.is_none_or(|snapshot| snapshot["status"]["readyToUse"] == true)
        })
        .await;
    let seen = waited.map_err(|error| explained(names, error, &told))?;
    seen.ok_or_else(|| failed(names, "it was deleted by somebody else"))
}

struct Hand<'a> {
    cluster: &'a Cluster,
    names: &'a Names,
    /// The first VolumeSnapshotContent.
    content: &'a str,
    patience: Duration,
}

impl Hand<'_> {
    async fn look(&self) -> Result<Seen> {
        let (snapshots, contents) = (kinds::volume_snapshots(), kinds::volume_snapshot_contents());
        let (names, cluster) = (self.names, self.cluster);
        let (first, content, ours, adopted) = futures::try_join!(
            cluster.get(&snapshots, Some(&names.namespace), &names.snapshot),
            cluster.get(&contents, None, self.content),
            cluster.get(&contents, None, &names.snapshot),
            cluster.get(&snapshots, Some(SYSTEM_NAMESPACE), &names.snapshot),
        )?;
        Ok(Seen { first, content, ours, adopted })
    }

    /// Does a step; gives the first content when it has been retained.
    async fn apply(&self, step: Step, seen: &Seen) -> Result<Option<Value>> {
        let (snapshots, contents) = (kinds::volume_snapshots(), kinds::volume_snapshot_contents());
        let (names, write) = (self.names, Write::default());
        let content = seen.content.as_ref().unwrap_or(&Value::Null);
        match step {
            Step::Retain => {
                let patch = manifest::retain(names, content);
                let patched = self.cluster.merge_patch(&contents, None, self.content, &patch, &write);
                return Ok(Some(patched.await?));
            }
            Step::CreateContent => {
                self.cluster.create(&contents, &manifest::content(names, content), &write).await?;
            }
            Step::CreateSnapshot => {
                self.cluster.create(&snapshots, &manifest::adopted(names), &write).await?;
            }
            Step::AwaitReady => drop(ready(self.cluster, names, self.patience).await?),
            Step::DeleteFirst => {
                let first = seen.first.as_ref().unwrap_or(&Value::Null);
                self.delete(&snapshots, Some(&names.namespace), first).await?;
            }
            Step::DeleteContent => self.delete(&contents, None, content).await?,
            Step::Done | Step::Lost => {}
        }
        Ok(None)
    }

    async fn delete(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) -> Result<()> {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (name, uid) = (text("name"), text("uid"));
        let delete = Delete { uid: Some(uid.clone()), ..Delete::default() };
        self.cluster.delete(of, namespace, &name, &delete).await?;
        let gone = |seen: Option<&Value>| seen.is_none_or(|seen| seen["metadata"]["uid"] != uid.as_str());
        self.cluster.wait(of, namespace, &name, "its deletion", REMOVAL, gone).await?;
        Ok(())
    }
}
