//! What is written on a PersistentVolume while it is handed over, and on the claims around it.

use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ClaimRestore, RestoreContext};
use crate::access::AccessModes;
use crate::manifest::{self, part};

/// Annotation on a claim of ours: the claim it is for, `namespace/name`.
pub(super) const FOR: &str = "holdfast.dev/for-claim";
/// Annotation on a claim of ours: the snapshot that fills it.
pub(super) const SNAPSHOT: &str = "holdfast.dev/snapshot";
/// Annotation on a claim of ours whose volume holds the snapshot: the snapshot.
pub(super) const FILLED: &str = "holdfast.dev/filled";

/// The annotation [`label::HANDOVER`] on a PersistentVolume: enough to go on without anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The claim it goes to, `namespace/name`.
    pub(super) target: String,
    /// The snapshot it holds.
    pub(super) snapshot: String,
    /// The point of that snapshot.
    pub(super) restored_from: String,
    /// The claim of ours it was filled under.
    pub(super) source: String,
    /// Reclaim policy to be put back at the end.
    pub(super) policy: String,
}

impl Record {
    /// The record on a PersistentVolume, if there is one.
    pub(super) fn of(volume: &Value) -> Option<Self> {
        serde_json::from_str(volume["metadata"]["annotations"][label::HANDOVER].as_str()?).ok()
    }
}

impl ClaimRestore {
    /// Name of the claim of ours: the same in every run that restores this snapshot to this claim.
    pub(super) fn source_name(&self) -> String {
        if let Some(standing) = &self.standing {
            return standing.clone();
        }
        manifest::name("restore", &[&self.namespace, &self.claim, &self.snapshot.to_string()])
    }

    /// The claim of ours.
    pub(super) fn source(&self, context: &RestoreContext) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": self.source_name(),
                "namespace": SYSTEM_NAMESPACE,
                "labels": manifest::labels(&context.run, part::CLAIM),
                "annotations": {FOR: self.subject(), SNAPSHOT: self.snapshot.to_string()},
            },
            "spec": self.writable_spec(),
        })
    }

    /// The patch by which a claim that has stood by is one that was filled for this.
    pub(crate) fn filled_by_standing(&self) -> Value {
        let snapshot = self.snapshot.to_string();
        json!({"metadata": {"annotations": {FOR: self.subject(), SNAPSHOT: snapshot, FILLED: snapshot}}})
    }

    /// The application's claim, bound to `volume`.
    pub(super) fn target(&self, context: &RestoreContext, volume: &str) -> Value {
        let mut metadata = json!({
            "name": self.claim,
            "namespace": self.namespace,
            "annotations": {label::RESTORED_FROM: context.restored_from, SNAPSHOT: self.snapshot.to_string()},
        });
        let given = &self.manifest["metadata"];
        if given["labels"].is_object() {
            metadata["labels"] = given["labels"].clone();
        }
        for (key, value) in given["annotations"].as_object().into_iter().flatten() {
            // These speak of the binding and provisioning of the volume that was.
            let bound = ["pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/"];
            if !bound.iter().any(|prefix| key.starts_with(prefix)) && metadata["annotations"][key].is_null() {
                metadata["annotations"][key] = value.clone();
            }
        }
        let mut spec = self.spec();
        spec["volumeName"] = json!(volume);
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
    }

    /// The access modes of the claim to be made.
    pub(crate) fn access_modes(&self) -> AccessModes {
        AccessModes::of(&self.manifest)
    }

    /// The same as [`Self::spec`] for a claim of ours, which a mover has to write to.
    pub(crate) fn writable_spec(&self) -> Value {
        let mut spec = self.spec();
        if spec["accessModes"].is_array() {
            spec["accessModes"] = self.access_modes().writable().manifest();
        }
        spec
    }

    /// What the claim asks for, without the volume and the source it had.
    pub(crate) fn spec(&self) -> Value {
        let kept =
            ["accessModes", "resources", "storageClassName", "volumeMode", "volumeAttributesClassName"];
        let given = &self.manifest["spec"];
        let kept = kept.into_iter().filter(|key| !given[key].is_null());
        Value::Object(kept.map(|key| (key.to_owned(), given[key].clone())).collect())
    }
}
