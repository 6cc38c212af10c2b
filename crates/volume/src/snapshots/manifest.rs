//! The objects that a snapshot is taken, taken over and read by, as JSON.

use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

use super::Names;
use crate::manifest::{labels, part};

/// Allows a volume of another mode than that of the snapshot's source.
pub(crate) const MODE_CHANGE: &str = "snapshot.storage.kubernetes.io/allow-volume-mode-change";
/// What a driver needs to delete a snapshot: copied to the content that will have it deleted.
const DELETION_SECRET: [&str; 2] = [
    "snapshot.storage.kubernetes.io/deletion-secret-name",
    "snapshot.storage.kubernetes.io/deletion-secret-namespace",
];
/// `apiVersion` of snapshots.
pub(crate) const API_VERSION: &str = "snapshot.storage.k8s.io/v1";

/// The VolumeSnapshot in the application's namespace.
pub(super) fn first(names: &Names, class: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": names.snapshot,
            "namespace": names.namespace,
            "labels": labels(&names.run, part::SNAPSHOT),
            "annotations": {label::EXCLUDE: "true"},
        },
        "spec": {
            "volumeSnapshotClassName": class,
            "source": {"persistentVolumeClaimName": names.claim},
        },
    })
}

/// The patch that keeps the storage's snapshot whatever becomes of the application's VolumeSnapshot.
pub(super) fn retain(names: &Names, content: &Value) -> Value {
    json!({
        "metadata": {
            "resourceVersion": content["metadata"]["resourceVersion"],
            "labels": labels(&names.run, part::SNAPSHOT),
        },
        "spec": {"deletionPolicy": "Retain"},
    })
}

/// The content of ours for the handle of the first one; the storage's snapshot goes when it goes.
pub(super) fn content(names: &Names, first: &Value) -> Value {
    let mut annotations = json!({MODE_CHANGE: "true"});
    for key in DELETION_SECRET {
        if let Some(value) = first["metadata"]["annotations"][key].as_str() {
            annotations[key] = json!(value);
        }
    }
    let spec = &first["spec"];
    let mut content = json!({
        "apiVersion": API_VERSION,
        "kind": "VolumeSnapshotContent",
        "metadata": {
            "name": names.snapshot,
            "labels": labels(&names.run, part::SNAPSHOT),
            "annotations": annotations,
        },
        "spec": {
            "deletionPolicy": "Delete",
            "driver": spec["driver"],
            "source": {"snapshotHandle": first["status"]["snapshotHandle"]},
            "volumeSnapshotRef": {
                "apiVersion": API_VERSION,
                "kind": "VolumeSnapshot",
                "name": names.snapshot,
                "namespace": SYSTEM_NAMESPACE,
            },
        },
    });
    for key in ["volumeSnapshotClassName", "sourceVolumeMode"] {
        if spec[key].is_string() {
            content["spec"][key] = spec[key].clone();
        }
    }
    content
}

/// The VolumeSnapshot in our namespace.
pub(super) fn adopted(names: &Names) -> Value {
    ours(names, part::SNAPSHOT)
}

/// One snapshot of a group.
pub(super) struct MemberOf<'a> {
    /// CSI driver.
    pub(super) driver: &'a str,
    /// What the storage calls the snapshot.
    pub(super) handle: &'a str,
    /// `Filesystem` or `Block`: that of its volume.
    pub(super) mode: &'a str,
}

/// The VolumeSnapshot in our namespace for one of a group.
pub(super) fn member(names: &Names) -> Value {
    ours(names, part::MEMBER)
}

/// The content of ours for one of a group. The storage's snapshot goes with the group, not with this.
pub(super) fn member_content(names: &Names, of: &MemberOf<'_>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "VolumeSnapshotContent",
        "metadata": {
            "name": names.snapshot,
            "labels": labels(&names.run, part::MEMBER),
            "annotations": {MODE_CHANGE: "true"},
        },
        "spec": {
            "deletionPolicy": "Retain",
            "driver": of.driver,
            "source": {"snapshotHandle": of.handle},
            "sourceVolumeMode": of.mode,
            "volumeSnapshotRef": {
                "apiVersion": API_VERSION,
                "kind": "VolumeSnapshot",
                "name": names.snapshot,
                "namespace": SYSTEM_NAMESPACE,
            },
        },
    })
}

fn ours(names: &Names, part: &str) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "VolumeSnapshot",
        "metadata": {
            "name": names.snapshot,
            "namespace": SYSTEM_NAMESPACE,
            "labels": labels(&names.run, part),
            "annotations": {"holdfast.dev/subject": names.subject()},
        },
        "spec": {"source": {"volumeSnapshotContentName": names.snapshot}},
    })
}

/// What a view is to be like.
pub(super) struct Wanted<'a> {
    pub(super) storage_class: &'a str,
    /// Bytes.
    pub(super) size: u64,
    /// `Filesystem` or `Block`.
    pub(super) mode: &'a str,
}

/// The claim of ours that is made of the snapshot. Only one node mounts it, and only to read.
pub(super) fn view(names: &Names, wanted: &Wanted<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.view,
            "namespace": SYSTEM_NAMESPACE,
            "labels": labels(&names.run, part::VIEW),
            "annotations": {"holdfast.dev/subject": names.subject()},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": wanted.storage_class,
            "volumeMode": wanted.mode,
            "resources": {"requests": {"storage": wanted.size.to_string()}},
            "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": names.snapshot},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_ours_has_all_that_its_deletion_needs() {
        let names = Names::of(&"r1".parse().unwrap(), "shop", "data");
        let first = json!({
            "metadata": {"annotations": {DELETION_SECRET[0]: "key", DELETION_SECRET[1]: "storage", "other": "x"}},
            "spec": {"driver": "d", "deletionPolicy": "Retain", "sourceVolumeMode": "Filesystem",
                "volumeSnapshotClassName": "c", "source": {"volumeHandle": "v"}},
            "status": {"snapshotHandle": "h"},
        });
        let content = content(&names, &first);
        assert_eq!(content["spec"]["deletionPolicy"], "Delete");
        assert_eq!(content["spec"]["source"], json!({"snapshotHandle": "h"}));
        assert_eq!(content["metadata"]["annotations"][DELETION_SECRET[0]], "key");
        assert!(content["metadata"]["annotations"].get("other").is_none());
        assert_eq!(content["spec"]["volumeSnapshotClassName"], "c");
        assert_eq!(content["spec"]["sourceVolumeMode"], "Filesystem");
    }
}
