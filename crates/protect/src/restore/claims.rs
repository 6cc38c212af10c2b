//! The claims of a point: those whose data is restored, and those that come back empty.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_cluster::kinds;
use holdfast_model::point::{Exclusion, Point, VolumeCapture};
use holdfast_model::restore::Sending;
use holdfast_model::volume::CaptureForm;
use holdfast_model::{ObjectRef, Problem, quantity};
use serde_json::{Value, json};

use crate::point::ObjectEntry;

/// What a point knows of its claims, and the claims met so far.
pub(super) struct Claims {
    captured: BTreeMap<(String, String), VolumeCapture>,
    excluded: BTreeMap<String, String>,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    filled: Vec<Claim>,
    empty: Vec<EmptyClaim>,
}

/// A claim whose data is in the point.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// The claim at the target.
    pub(super) target: ObjectRef,
    /// The claim as it is to be there.
    pub(super) manifest: Value,
    /// What was captured of it.
    pub(super) volume: VolumeCapture,
    /// Length of its JSON in the point.
    pub(super) bytes: u64,
}

/// A claim whose data is not in the point.
#[derive(Debug, Clone)]
pub(super) struct EmptyClaim {
    /// The claim at the target.
    pub(super) target: ObjectRef,
    /// Why its data is not in the point, if that was wanted.
    pub(super) excluded: Option<String>,
}

impl EmptyClaim {
    /// What is wrong with it, unless it was wanted so.
    pub(super) fn problem(&self) -> Option<Problem> {
        let problem = Problem::new(
            "restore.claim_without_data",
            self.target.to_string(),
            "it comes back empty: its data is not in the point",
        );
        let hint = "see the point's problems (`holdfast point show`); an older point may hold it";
        self.excluded.is_none().then(|| problem.hint(hint))
    }
}

impl Claims {
    pub(super) fn of(point: &Point) -> Self {
        let key = |volume: &VolumeCapture| (volume.namespace.clone(), volume.claim.clone());
        let excluded = |exclusion: &Exclusion| {
            let claim = exclusion.subject.strip_prefix("data of claim ")?;
            Some((claim.to_owned(), exclusion.reason.clone()))
        };
        Self {
            captured: point.volumes.iter().map(|volume| (key(volume), volume.clone())).collect(),
            excluded: point.excluded.iter().filter_map(excluded).collect(),
            met: Mutex::default(),
        }
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the data of this claim of the point is in it.
    pub(super) fn holds(&self, namespace: &str, claim: &str) -> bool {
        self.captured.contains_key(&(namespace.to_owned(), claim.to_owned()))
    }

    /// Takes over a claim whose data is restored; what is not taken is created like any object.
    pub(super) fn take(&self, entry: &ObjectEntry, sending: &Sending) -> bool {
        let claim = kinds::persistent_volume_claims().group_kind();
        if entry.resource.group_kind() != claim {
            return false;
        }
        let Some(namespace) = entry.namespace.clone() else { return false };
        let name = sending.target.name.clone();
        let target = sending.target.clone();
        match self.captured.get(&(namespace.clone(), name.clone())) {
            Some(volume) => {
                let mut manifest = sending.object.clone();
                make_room(&mut manifest, needed(volume));
                self.met().filled.push(Claim { target, manifest, volume: volume.clone(), bytes: entry.size });
                true
            }
            None => {
                let named = self.excluded.get(&format!("{namespace}/{name}")).cloned();
                let excluded = named.or_else(|| {
                    let marks = ["labels", "annotations"];
                    let marked = marks.iter().any(|map| {
                        sending.object["metadata"][*map][holdfast_model::label::EXCLUDE_DATA] == "true"
                    });
                    marked.then(|| "it is marked so".to_owned())
                });
                self.met().empty.push(EmptyClaim { target, excluded });
                false
            }
        }
    }

    /// Whether the data of this object, if it is a claim, would be restored.
    pub(super) fn is_filled(&self, entry: &ObjectEntry, sending: &Sending) -> bool {
        let claim = kinds::persistent_volume_claims().group_kind();
        let namespace = entry.namespace.as_deref().unwrap_or_default();
        entry.resource.group_kind() == claim && self.holds(namespace, &sending.target.name)
    }

    /// The claim of this name, if its data is to be restored.
    pub(super) fn filled(&self, target: &ObjectRef) -> Option<Claim> {
        self.met().filled.iter().find(|claim| claim.target == *target).cloned()
    }

    /// Takes the claims whose data is to be restored.
    pub(super) fn take_filled(&self) -> Vec<Claim> {
        let mut filled = std::mem::take(&mut self.met().filled);
        filled.sort_by(|a, b| a.target.cmp(&b.target));
        filled
    }

    /// Takes the claims that come back empty.
    pub(super) fn take_empty(&self) -> Vec<EmptyClaim> {
        std::mem::take(&mut self.met().empty)
    }
}

/// Bytes that a volume must have: a device may have been larger than what its PersistentVolume said.
fn needed(volume: &VolumeCapture) -> u64 {
    match volume.form {
        CaptureForm::Files => volume.capacity,
        CaptureForm::Blocks => volume.capacity.max(volume.bytes),
    }
}

/// A volume may have been larger than what its claim asked for, and be filled accordingly.
fn make_room(manifest: &mut Value, capacity: u64) {
    let storage = &manifest["spec"]["resources"]["requests"]["storage"];
    let asked = storage.as_str().and_then(quantity::bytes).unwrap_or(0);
    if asked < capacity {
        manifest["spec"]["resources"]["requests"]["storage"] = json!(quantity::text(capacity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_asks_for_as_much_as_its_volume_held() {
        let claim = |storage: &str| json!({"spec": {"resources": {"requests": {"storage": storage}}}});
        let asks = |mut manifest: Value, capacity: u64| {
            make_room(&mut manifest, capacity);
            manifest["spec"]["resources"]["requests"]["storage"].clone()
        };
        assert_eq!(asks(claim("1Gi"), 1 << 30), "1Gi");
        assert_eq!(asks(claim("1Gi"), 10 << 30), "10Gi");
        assert_eq!(asks(json!({"spec": {}}), 5), "5");
    }
}
