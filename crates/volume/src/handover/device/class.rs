//! Whether the storage of a claim can make it of a device, known before anything is made.

use holdfast_cluster::{Cluster, ListOptions, kinds};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::handover::ClaimRestore;
use crate::snapshots::{Choice, SnapshotClasses};

/// Annotation of the storage class of claims that name none.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// How a device becomes a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::handover) struct Route {
    /// VolumeSnapshotClass.
    pub(super) class: String,
    /// Volumes are made only when a pod wants them.
    pub(super) waits: bool,
}

impl Route {
    /// The route of a claim.
    ///
    /// # Errors
    /// [`Error::AsBlocks`] where the storage takes no snapshots.
    pub(in crate::handover) async fn of(cluster: &Cluster, claim: &ClaimRestore) -> Result<Self> {
        let Some(storage) = storage_class(cluster, claim).await? else {
            return Err(refused(claim, "its storage class does not exist here", MAP));
        };
        let classes = SnapshotClasses::read(cluster).await?;
        let provisioner = storage["provisioner"].as_str().unwrap_or_default();
        match classes.choose_by_driver(&claim.manifest, provisioner) {
            Choice::Class(by) => {
                Ok(Self { class: by.class, waits: storage["volumeBindingMode"] == "WaitForFirstConsumer" })
            }
            Choice::None { reason } => {
                Err(refused(claim, &format!("which needs a snapshot of its storage, but {reason}"), MAP))
            }
            Choice::Unclear { reason, hint } => Err(refused(claim, &reason, &hint)),
        }
    }
}

const MAP: &str = "map its storage class to one whose driver has a VolumeSnapshotClass (`--storage-class-map`), or make one";

pub(super) fn refused(claim: &ClaimRestore, reason: &str, hint: &str) -> Error {
    Error::AsBlocks {
        namespace: claim.namespace.clone(),
        claim: claim.claim.clone(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    }
}

/// The storage class of a claim, the default one where it names none.
async fn storage_class(cluster: &Cluster, claim: &ClaimRestore) -> Result<Option<Value>> {
    let of = kinds::storage_classes();
    if let Some(name) = claim.manifest["spec"]["storageClassName"].as_str() {
        return Ok(cluster.get(&of, None, name).await?);
    }
    let classes = cluster.list_all(&of, ListOptions::default()).await?;
    let is_default = |class: &&holdfast_cluster::RawObject| {
        class.metadata.annotations.get(DEFAULT).is_some_and(|value| value == "true")
    };
    Ok(classes.iter().find(is_default).and_then(|class| class.parse().ok()))
}
