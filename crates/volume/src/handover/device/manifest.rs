//! The objects on the way from a device to a claim with its file system, as JSON.

use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_model::quantity;
use serde_json::{Value, json};

use crate::handover::record::{FOR, SNAPSHOT};
use crate::handover::{ClaimRestore, RestoreContext};
use crate::jobs::Placement;
use crate::manifest::{self, part};
use crate::settings::MoverSettings;
use crate::snapshots::{MODE_CHANGE, SNAPSHOT_API};

impl ClaimRestore {
    /// Name of the device that its file system is written to.
    pub(in crate::handover) fn device_name(&self) -> String {
        self.name_of("restore-device")
    }

    /// Name of the VolumeSnapshot of that.
    pub(super) fn cut_name(&self) -> String {
        self.name_of("restore-cut")
    }

    fn name_of(&self, prefix: &str) -> String {
        manifest::name(prefix, &[&self.namespace, &self.claim, &self.snapshot.to_string()])
    }

    /// The claim of the device: as large as the one that is wanted, and of the same class.
    pub(in crate::handover) fn device(&self, context: &RestoreContext) -> Value {
        let mut device = self.source(context);
        device["metadata"]["name"] = json!(self.device_name());
        device["metadata"]["labels"] = manifest::labels(&context.run, part::DEVICE);
        device["spec"]["volumeMode"] = json!("Block");
        device["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
        device
    }

    /// The VolumeSnapshot of the device. Nothing writes to that any more.
    pub(super) fn cut(&self, context: &RestoreContext, class: &str) -> Value {
        json!({
            "apiVersion": SNAPSHOT_API,
            "kind": "VolumeSnapshot",
            "metadata": {
                "name": self.cut_name(),
                "namespace": SYSTEM_NAMESPACE,
                "labels": manifest::labels(&context.run, part::SNAPSHOT),
                "annotations": {FOR: self.subject(), SNAPSHOT: self.snapshot.to_string()},
            },
            "spec": {
                "volumeSnapshotClassName": class,
                "source": {"persistentVolumeClaimName": self.device_name()},
            },
        })
    }

    /// The claim of ours that is made of the snapshot, no smaller than that. It is no more worth than the device
    /// until it was mounted, and is swept with it.
    pub(super) fn made_of_cut(&self, context: &RestoreContext, cut: &Value) -> Value {
        let mut claim = self.source(context);
        claim["metadata"]["labels"] = manifest::labels(&context.run, part::DEVICE);
        claim["spec"]["dataSource"] = json!({
            "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": self.cut_name(),
        });
        let size = |value: &Value| value.as_str().and_then(quantity::bytes);
        let least = size(&cut["status"]["restoreSize"]);
        let asked = size(&claim["spec"]["resources"]["requests"]["storage"]);
        if let Some(least) = least.filter(|least| asked < Some(*least)) {
            claim["spec"]["resources"]["requests"]["storage"] = json!(quantity::text(least));
        }
        claim
    }
}

/// The patch of a content by which its snapshot may become a volume of the other mode, and goes from the storage when
/// it goes.
pub(super) fn allow() -> Value {
    json!({"metadata": {"annotations": {MODE_CHANGE: "true"}}, "spec": {"deletionPolicy": "Delete"}})
}

/// Whether a content has been patched so, and stays.
pub(super) fn is_allowed(content: &Value) -> bool {
    content["metadata"]["annotations"][MODE_CHANGE] == "true"
        && content["spec"]["deletionPolicy"] == "Delete"
        && content["metadata"]["deletionTimestamp"].is_null()
}

/// The pod that mounts claims of ours, on a node that reaches those `beside` them as well.
pub(super) fn mounting_pod(
    name: &str,
    context: &RestoreContext,
    settings: &MoverSettings,
    placement: &Placement,
    (mounted, beside): (&[String], &[String]),
) -> Value {
    let claim = |n: usize, claim: &String| json!({"name": format!("held-{n}"), "persistentVolumeClaim": {"claimName": claim}});
    let volumes: Vec<Value> = mounted.iter().chain(beside).enumerate().map(|(n, of)| claim(n, of)).collect();
    let mount = |n| json!({"name": format!("held-{n}"), "mountPath": format!("{}/{n}", manifest::VOLUME_PATH), "readOnly": true});
    let mut pod = manifest::holder(name, &context.run, SYSTEM_NAMESPACE, "", settings);
    let spec = &mut pod["spec"];
    spec["volumes"] = json!(volumes);
    spec["containers"][0]["volumeMounts"] = (0..mounted.len()).map(mount).collect();
    spec["imagePullSecrets"] = settings.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    spec["tolerations"] = json!(placement.tolerations);
    spec["nodeSelector"] = json!(placement.node_selector);
    if let Some(affinity) = &placement.node_affinity {
        spec["affinity"] = json!({"nodeAffinity": affinity});
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::step::tests::{context, wanted};

    #[test]
    fn the_device_is_as_the_claim_but_for_its_mode() {
        let mut wanted = wanted();
        wanted.manifest = json!({"spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "fast",
            "volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}}}});
        let device = wanted.device(&context());
        assert_eq!(
            device["spec"],
            json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeMode": "Block",
            "resources": {"requests": {"storage": "1Gi"}}})
        );
        let names = [wanted.device_name(), wanted.cut_name(), wanted.source_name()];
        assert!(names.iter().collect::<std::collections::BTreeSet<_>>().len() == 3, "{names:?}");
        assert_eq!(device["metadata"]["labels"][holdfast_model::label::PART], part::DEVICE, "it is swept");
    }

    #[test]
    fn the_claim_is_no_smaller_than_the_snapshot_that_it_is_made_of() {
        let mut wanted = wanted();
        wanted.manifest = json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}}});
        let asks = |restore_size: &str| {
            let cut = json!({"status": {"restoreSize": restore_size}});
            wanted.made_of_cut(&context(), &cut)["spec"]["resources"]["requests"]["storage"].clone()
        };
        assert_eq!((asks("512Mi"), asks("2Gi")), (json!("1Gi"), json!("2Gi")));
    }

    #[test]
    fn a_pod_mounts_what_is_new_and_only_goes_where_the_rest_is() {
        let placement = Placement {
            node_selector: [("zone".to_owned(), "a".to_owned())].into(),
            tolerations: vec![json!({"key": "gpu"})],
            ..Placement::default()
        };
        let claims = (["new".to_owned()], ["device".to_owned(), "wal".to_owned()]);
        let settings = MoverSettings::new("holdfast:1");
        let pod = mounting_pod("h", &context(), &settings, &placement, (&claims.0, &claims.1));
        let spec = &pod["spec"];
        let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
        assert_eq!((mounts.len(), &mounts[0]["name"]), (1, &json!("held-0")));
        assert_eq!(spec["volumes"][0]["persistentVolumeClaim"]["claimName"], "new");
        assert_eq!(spec["volumes"].as_array().unwrap().len(), 3);
        assert_eq!(spec["nodeSelector"], json!({"zone": "a"}));
        assert_eq!(spec["tolerations"], json!([{"key": "gpu"}]));
        assert_eq!(spec["automountServiceAccountToken"], false);
    }
}
