//! `point.json`: what a recovery point says of itself. Written last; its snapshot commits the point.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consistency::Consistency;
use crate::id::{AppId, Epoch, PointId, RunId, TenantId};
use crate::manifest::ApplicationSpec;
use crate::object::ResourceType;
use crate::outcome::{Outcome, Problem};
use crate::volume::CaptureForm;

/// Version of [`Point`]'s form; a reader refuses a higher one.
pub const POINT_FORMAT: u32 = 2;
/// Name of the file in the root of a point's snapshot.
pub const POINT_FILE: &str = "point.json";

/// Tag of every snapshot that Holdfast writes.
pub const TAG: &str = "holdfast";
/// Tag of the snapshot that holds a point's objects.
pub const TAG_POINT: &str = "holdfast:point";
/// Tag of a snapshot that holds one volume of a point.
pub const TAG_VOLUME: &str = "holdfast:volume";

/// Tags `key=value` that tie the snapshots of one point together.
pub fn tag(key: &str, value: impl std::fmt::Display) -> String {
    format!("holdfast:{key}={value}")
}

/// One consistent, committed capture of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// [`POINT_FORMAT`] of the writer.
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Its identity.
    pub id: PointId,
    /// The run that made it.
    pub run: RunId,
    /// Tenant, application and its name at the time.
    pub tenant: TenantId,
    /// Identity of the application.
    pub application: AppId,
    /// Name of the application at the time.
    pub application_name: String,
    /// The application's manifest at the time.
    pub spec: ApplicationSpec,
    /// The activation it belongs to.
    pub epoch: Epoch,
    /// Start of capture: RPO counts from here.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// End of capture.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// Completed or Partial; a failed capture commits no point.
    pub outcome: Outcome,
    /// How well the volumes fit together.
    pub consistency: Consistency,
    /// The point this one was incremental to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<PointId>,
    /// The point whose restore it was taken before: it holds the objects as they were then, without volumes,
    /// and is never an application's latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PointId>,
    /// The cluster it came from.
    pub cluster: ClusterFacts,
    /// What was captured, by type.
    pub kinds: Vec<KindCapture>,
    /// Milliseconds between the first and the last list of objects.
    pub list_spread_millis: u64,
    /// The volumes.
    pub volumes: Vec<VolumeCapture>,
    /// Milliseconds between the first and the last snapshot of its volumes, where at least two were
    /// read from snapshots; 0 if the storage took them as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_spread_millis: Option<u64>,
    /// Milliseconds from the first pre hook or hold to the end of the last post hook; nothing if the
    /// application was not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_millis: Option<u64>,
    /// The hooks that ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookRun>,
    /// What was left out, each named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// What was left out on purpose: subject and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Exclusion>,
    /// Bytes and blobs that this point added to the vault.
    pub stored: Stored,
}

/// Facts about the cluster that a restore elsewhere wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    /// Name by which the cluster was reached (a context).
    pub name: String,
    /// uid of its namespace `kube-system`: the cluster's identity.
    pub uid: String,
    /// Version of the API server, e.g. `v1.36.3`.
    pub version: String,
    /// Group and versions it serves, e.g. `apps/v1`.
    pub api_versions: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<NodeFacts>,
    /// Its storage classes.
    pub storage_classes: Vec<StorageClassFacts>,
    /// Images of the captured pods: reference as written → digest that ran.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// Architecture, e.g. `amd64`.
    pub architecture: String,
    /// Kubelet version.
    pub kubelet: String,
    /// Allocatable resources as written by the kubelet, e.g. `cpu` → `2`.
    pub allocatable: BTreeMap<String, String>,
}

/// A storage class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageClassFacts {
    /// Name.
    pub name: String,
    /// Provisioner.
    pub provisioner: String,
    /// Whether it is the default class.
    pub default: bool,
}

/// What was captured of one type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KindCapture {
    /// The type.
    #[serde(flatten)]
    pub resource: ResourceType,
    /// How many objects.
    pub objects: u64,
    /// Their bytes as JSON.
    pub bytes: u64,
    /// resourceVersion of the list; several lists of one type (one per namespace) name the lowest.
    pub resource_version: String,
}

/// One volume of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeCapture {
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// The PersistentVolume it was bound to.
    pub volume: String,
    /// Its storage class; empty if it had none.
    pub storage_class: String,
    /// Capacity in bytes.
    pub capacity: u64,
    /// Access modes as in the claim.
    pub access_modes: Vec<String>,
    /// How it was read.
    pub method: CaptureMethod,
    /// The one node whose mount it was read from, if it was, however many have it mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// As what. Older points do not say so of claims of `volumeMode: Block`.
    #[serde(rename = "as", default, skip_serializing_if = "CaptureForm::is_files")]
    pub form: CaptureForm,
    /// The storage's snapshot that it was read from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Id of the restic snapshot that holds it.
    pub snapshot: String,
    /// When reading started and ended.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When reading ended.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// Files, directories and other entries.
    pub entries: u64,
    /// Bytes of file content that the volume holds.
    pub bytes: u64,
    /// Bytes read because their file was new or had changed.
    pub bytes_read: u64,
    /// Bytes added to the vault, compressed.
    pub bytes_stored: u64,
    /// Files that changed while they were read; expected under a hold hook.
    pub changed_while_read: u64,
}

/// How a volume's bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureMethod {
    /// The running pod's mount, on its node.
    LiveFiles,
    /// The mount of a holder pod, because no pod had the claim mounted.
    HeldFiles,
    /// The path of a hostPath volume that an administrator allowed.
    HostPath,
    /// A volume that the storage made of its own snapshot, while the application went on.
    Snapshot,
}

/// The storage's snapshot that a volume was read from: the volume as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// The moment, by the storage's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// CSI driver that took it.
    pub driver: String,
    /// Its VolumeSnapshotClass.
    pub class: String,
    /// Handle of the group of snapshots that the storage took as one, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A hook that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookRun {
    /// Name of the hook.
    pub name: String,
    /// `pre`, `hold`, `post` or `restored`.
    pub phase: String,
    /// Pod it ran in.
    pub pod: String,
    /// Milliseconds; for a hold, how long the application was held.
    pub millis: u64,
    /// Empty if it succeeded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// Something left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exclusion {
    /// Object or claim.
    pub subject: String,
    /// Who said so and why.
    pub reason: String,
}

/// What a capture added to the vault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Bytes looked at.
    pub bytes_seen: u64,
    /// Bytes that were new, before compression.
    pub bytes_new: u64,
    /// Bytes written to the vault.
    pub bytes_stored: u64,
}
