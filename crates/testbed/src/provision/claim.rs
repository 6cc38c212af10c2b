//! Which claims want a volume of ours, and what it looks like.

use std::path::Path;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use super::{HOST_PATH, LOCAL};
use crate::error::{Error, Result};

/// Where the scheduler says which node a pod that waits for its volume shall run on.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// How claims named their class before Kubernetes 1.6; still valid, and stronger than the field.
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Whose volume it is; the controller manager leaves its deletion to that provisioner.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// A claim that is to get a volume now.
pub(super) struct Wanted<'a> {
    claim: &'a PersistentVolumeClaim,
    class: &'a StorageClass,
    /// The node of a `local` volume; `hostPath` volumes have none.
    node: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// What `claim` wants, if it is unbound, of one of our classes, plain, and its node is chosen if it needs one.
    pub(super) fn by(claim: &'a PersistentVolumeClaim, classes: &'a [StorageClass]) -> Option<Self> {
        let spec = claim.spec.as_ref()?;
        let pending = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Pending");
        let plain = spec.selector.is_none()
            && spec.data_source.is_none()
            && spec.data_source_ref.is_none()
            && spec.volume_mode.as_deref().is_none_or(|mode| mode == "Filesystem");
        if !pending || !plain || spec.volume_name.is_some() || claim.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let annotation = |name: &str| claim.metadata.annotations.as_ref()?.get(name).map(String::as_str);
        let class_name = annotation(OLD_CLASS).or(spec.storage_class_name.as_deref())?;
        let class = classes.iter().find(|class| class.metadata.name.as_deref() == Some(class_name))?;
        let node = annotation(SELECTED_NODE);
        let waits = class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
        match class.provisioner.as_str() {
            LOCAL => Some(Self { claim, class, node: Some(node?) }),
            HOST_PATH if !waits || node.is_some() => Some(Self { claim, class, node: None }),
            _ => None,
        }
    }

    /// The name follows from the claim's uid, so that a second try makes no second volume.
    pub(super) fn volume_name(&self) -> String {
        format!("pvc-{}", self.claim.metadata.uid.as_deref().unwrap_or_default())
    }

    /// Namespace and name, for a line of log.
    pub(super) fn claim(&self) -> String {
        let meta = &self.claim.metadata;
        format!(
            "{}/{}",
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default()
        )
    }

    /// The PersistentVolume, reserved for the claim.
    pub(super) fn volume(&self, dir: &Path) -> Result<PersistentVolume> {
        let (spec, meta) = (self.claim.spec.as_ref(), &self.claim.metadata);
        let requests = spec.and_then(|s| s.resources.as_ref()).and_then(|r| r.requests.as_ref());
        let storage = requests.and_then(|all| all.get("storage"));
        let mut volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": self.volume_name(),
                "annotations": { PROVISIONED_BY: self.class.provisioner },
            },
            "spec": {
                "capacity": { "storage": storage },
                "accessModes": spec.and_then(|s| s.access_modes.as_ref()),
                "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": self.class.reclaim_policy.as_deref().unwrap_or("Delete"),
                "storageClassName": self.class.metadata.name,
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": meta.namespace,
                    "name": meta.name,
                    "uid": meta.uid,
                },
            },
        });
        match self.node {
            Some(node) => {
                volume["spec"]["local"] = json!({ "path": dir });
                volume["spec"]["nodeAffinity"] = affinity(node);
            }
            None => volume["spec"]["hostPath"] = json!({ "path": dir, "type": "DirectoryOrCreate" }),
        }
        serde_json::from_value(volume).map_err(|error| {
            Error::kubernetes(format!("volume for {}", self.claim()))(kube::Error::SerdeError(error))
        })
    }
}

fn affinity(node: &str) -> Value {
    json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [
        { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
    ] }] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, provisioner: &str, mode: &str) -> StorageClass {
        serde_json::from_value(json!({
            "metadata": { "name": name }, "provisioner": provisioner, "volumeBindingMode": mode,
        }))
        .unwrap()
    }

    fn claim(class: &str, node: Option<&str>, more: Value) -> PersistentVolumeClaim {
        let mut claim = json!({
            "metadata": { "namespace": "shop", "name": "data", "uid": "u-1", "annotations": {} },
            "spec": {
                "storageClassName": class,
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
            "status": { "phase": "Pending" },
        });
        if let Some(node) = node {
            claim["metadata"]["annotations"][SELECTED_NODE] = json!(node);
        }
        for (key, value) in more.as_object().unwrap() {
            claim["spec"][key] = value.clone();
        }
        serde_json::from_value(claim).unwrap()
    }

    #[test]
    fn a_local_claim_waits_for_its_node_and_is_bound_to_it() {
        let classes = [class("local", LOCAL, "WaitForFirstConsumer")];
        assert!(Wanted::by(&claim("local", None, json!({})), &classes).is_none());
        let waiting = claim("local", Some("a-node"), json!({}));
        let wanted = Wanted::by(&waiting, &classes).unwrap();
        let volume = wanted.volume(Path::new("/v/pvc-u-1")).unwrap();
        let spec = volume.spec.unwrap();
        assert_eq!(spec.local.unwrap().path, "/v/pvc-u-1");
        assert_eq!(spec.claim_ref.unwrap().uid.as_deref(), Some("u-1"));
        assert!(serde_json::to_string(&spec.node_affinity).unwrap().contains("a-node"));
        assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Delete"));
    }

    #[test]
    fn a_host_path_claim_is_served_at_once() {
        let classes = [class("std", HOST_PATH, "Immediate")];
        let claim = claim("std", None, json!({}));
        let volume = Wanted::by(&claim, &classes).unwrap().volume(Path::new("/v/x")).unwrap();
        assert!(volume.spec.unwrap().host_path.is_some());
    }

    #[test]
    fn a_claim_of_the_old_form_is_served() {
        let classes = [class("fast", HOST_PATH, "Immediate")];
        let mut old = claim("", None, json!({}));
        old.metadata.annotations.as_mut().unwrap().insert(OLD_CLASS.into(), "fast".into());
        old.spec.as_mut().unwrap().storage_class_name = None;
        assert!(Wanted::by(&old, &classes).is_some());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let classes = [class("std", HOST_PATH, "Immediate"), class("ebs", "ebs.csi", "Immediate")];
        for other in [
            claim("ebs", None, json!({})),
            claim("std", None, json!({ "volumeName": "mine" })),
            claim("std", None, json!({ "volumeMode": "Block" })),
            claim("std", None, json!({ "selector": {} })),
        ] {
            assert!(Wanted::by(&other, &classes).is_none());
        }
    }
}
