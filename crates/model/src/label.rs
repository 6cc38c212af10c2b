//! Labels, annotations and names that Holdfast reads from or writes to a cluster.

/// API group of Holdfast's own manifests.
pub const GROUP: &str = "holdfast.dev";
/// `apiVersion` of Holdfast's own manifests.
pub const API_VERSION: &str = "holdfast.dev/v1alpha1";
/// Field manager of server-side applies.
pub const FIELD_MANAGER: &str = "holdfast";
/// The namespace of movers, leases and the agent; the only one where vault credentials may be.
pub const SYSTEM_NAMESPACE: &str = "holdfast-system";

/// Service account in [`SYSTEM_NAMESPACE`] by which movers show a driver's snapshot metadata service that they may ask.
pub const METADATA_ACCOUNT: &str = "holdfast-metadata";

/// Label or annotation, value `true`: leave this object (for a claim: and its data) out.
pub const EXCLUDE: &str = "holdfast.dev/exclude";
/// Label or annotation on a PersistentVolumeClaim, value `true`: keep the object, leave its data out.
pub const EXCLUDE_DATA: &str = "holdfast.dev/exclude-data";
/// Annotation on a PersistentVolumeClaim or StorageClass: name of the VolumeSnapshotClass of its volumes
/// where the driver's default is not the right one.
pub const SNAPSHOT_CLASS: &str = "holdfast.dev/snapshot-class";
/// Node annotation: root directory of the node's kubelet where it is not `/var/lib/kubelet`.
pub const KUBELET_ROOT: &str = "holdfast.dev/kubelet-root";

/// Label on everything temporary that Holdfast creates; the value is the run's id.
pub const RUN: &str = "holdfast.dev/run";
/// Label on claims while the storage cuts a group of them at one moment; the value is the run's id.
pub const SNAPSHOT_GROUP: &str = "holdfast.dev/snapshot-group";
/// Label that says what a temporary object is for: `mover`, `holder`, `claim`, `key`, `snapshot`, `view`, `kept`, `device`.
pub const PART: &str = "holdfast.dev/part";
/// Label on what is kept of an application in a cluster; the value is the application's id.
pub const APPLICATION: &str = "holdfast.dev/application";
/// Annotation on a PersistentVolume while it is handed over: the steps still to be done, as JSON.
pub const HANDOVER: &str = "holdfast.dev/handover";
/// Annotation on restored objects: the point they came from.
pub const RESTORED_FROM: &str = "holdfast.dev/restored-from";
/// `app.kubernetes.io/managed-by` and its value on Holdfast's own objects.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "holdfast");

/// Whether labels or annotations of an object's `metadata` carry `key: "true"`.
pub fn is_set(metadata: &serde_json::Value, key: &str) -> bool {
    ["labels", "annotations"].iter().any(|map| metadata[map][key].as_str() == Some("true"))
}
