//! The end of one object of ours, and the account of what was removed.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Error as Cause, Write, kinds};
use holdfast_model::{ObjectRef, Problem, ResourceType};
use serde_json::json;

use crate::error::Result;

/// Tells the storage's sidecar that a content goes for good, where no VolumeSnapshot is there whose
/// deletion would say so.
pub(super) const BEING_DELETED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";
/// How long one object may take to go; what takes longer goes on without us.
pub(super) const END: Duration = Duration::from_secs(60);

/// Code of what is being deleted, and was not gone in time: whoever holds it lets go of it by and by.
pub const NOT_GONE: &str = "sweep.not_gone";

/// What was done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cleared {
    /// Objects that were removed.
    pub removed: Vec<ObjectRef>,
    /// What could not be.
    pub problems: Vec<Problem>,
}

/// Removes a content that no VolumeSnapshot has any more, with this policy, and returns when it is gone.
pub(super) async fn end_content(cluster: &Cluster, name: &str, policy: &str) -> Result<()> {
    let contents = kinds::volume_snapshot_contents();
    let patch = json!({
        "metadata": {"annotations": {BEING_DELETED: "yes"}},
        "spec": {"deletionPolicy": policy},
    });
    match cluster.merge_patch(&contents, None, name, &patch, &Write::default()).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => drop(other?),
    }
    cluster.delete(&contents, None, name, &Delete::default()).await?;
    cluster.wait(&contents, None, name, "its end", END, |seen| seen.is_none()).await?;
    Ok(())
}

/// What is not gone, and why.
pub(super) fn not_removed(of: &ResourceType, namespace: Option<&str>, name: &str, error: &Cause) -> Problem {
    let problem = problem(of, namespace, name, &error.to_string());
    match error {
        Cause::NotInTime { .. } => Problem { code: NOT_GONE.to_owned(), ..problem },
        _ => problem,
    }
}

/// What could not be removed, and why.
pub(super) fn problem(of: &ResourceType, namespace: Option<&str>, name: &str, why: &str) -> Problem {
    let object =
        ObjectRef { resource: of.clone(), namespace: namespace.map(str::to_owned), name: name.to_owned() };
    Problem::new("sweep.not_removed", object.to_string(), why)
}
