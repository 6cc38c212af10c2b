//! The state of an object at the target, by which a restore knows it again from when it was planned.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use holdfast_model::restore::comparable;
use holdfast_model::restore::plan::LiveState;
use holdfast_model::{GroupKind, ObjectRef};
use serde_json::Value;

/// Says whether an object in this state may be written over: whether it is as it was planned.
pub type AsPlanned = Arc<dyn Fn(&ObjectRef, &LiveState) -> bool + Send + Sync>;

/// What of an object a restore looks at.
pub(super) fn state_of(of: &GroupKind, live: &Value) -> LiveState {
    let mut hasher = DefaultHasher::new();
    let metadata = &live["metadata"];
    // Whose it is, and whether it is going, decides as much as what it says.
    for value in [&comparable(of, live), &metadata["ownerReferences"], &metadata["deletionTimestamp"]] {
        hasher.write(value.to_string().as_bytes());
        hasher.write_u8(0);
    }
    let uid = metadata["uid"].as_str().unwrap_or_default().to_owned();
    LiveState { uid, state: format!("{:016x}", hasher.finish()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_state_of_an_object_is_what_a_restore_looks_at() {
        let state = |object: Value| state_of(&GroupKind::new("apps", "Deployment"), &object);
        let web = json!({"metadata": {"uid": "u", "resourceVersion": "1"}, "spec": {"replicas": 1}});
        let mut later = web.clone();
        later["metadata"]["resourceVersion"] = json!("2");
        later["status"] = json!({"readyReplicas": 1});
        assert_eq!(state(web.clone()), state(later));
        for (place, value) in [("/spec/replicas", json!(2)), ("/metadata/uid", json!("v"))] {
            let mut other = web.clone();
            *other.pointer_mut(place).unwrap() = value;
            assert_ne!(state(web.clone()), state(other), "{place}");
        }
        let mut ending = web.clone();
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_ne!(state(web), state(ending));
    }
}
