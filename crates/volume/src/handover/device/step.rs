//! Decides the next step from a filled device to a claim with its file system, from what is there. Pure.

use serde_json::Value;

use super::manifest::is_allowed;
use crate::handover::step::is_bound;

/// What is there, once the device is filled.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// The VolumeSnapshot of the device.
    pub(super) snapshot: Option<Value>,
    /// Its VolumeSnapshotContent.
    pub(super) content: Option<Value>,
    /// The claim of ours that is to have the file system.
    pub(super) claim: Option<Value>,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Have a snapshot of the device cut.
    Cut,
    /// Wait until a volume can be made of it.
    AwaitReady,
    /// Allow that to be one with a file system.
    Allow,
    /// Make the claim of it.
    MakeClaim,
    /// Remove what an earlier run has left and nothing can come of, or wait until it is gone.
    RemoveSnapshot,
    /// The same with the claim.
    RemoveClaim,
    /// Wait until the claim has its volume.
    AwaitBound,
    /// Nothing: the claim has its volume, or gets it when a pod wants it.
    Done,
}

/// The next step. `waits`: volumes of this class are made only when a pod wants them.
pub(super) fn next(seen: &Seen, waits: bool) -> Step {
    let Seen { snapshot, content, claim } = seen;
    let is_usable = snapshot.as_ref().is_some_and(is_ready) && content.as_ref().is_some_and(is_allowed);
    if let Some(claim) = claim {
        return match () {
            () if is_going(claim) => Step::RemoveClaim,
            () if is_bound(claim) => Step::Done,
            // Its source is gone, and comes back as another object.
            () if !is_usable => Step::RemoveClaim,
            () if waits => Step::Done,
            () => Step::AwaitBound,
        };
    }
    match (snapshot, content) {
        (None, _) => Step::Cut,
        (Some(snapshot), _) if is_going(snapshot) => Step::RemoveSnapshot,
        (Some(snapshot), _) if !is_ready(snapshot) => Step::AwaitReady,
        (Some(_), None) => Step::RemoveSnapshot,
        (Some(_), Some(content)) if !is_allowed(content) => Step::Allow,
        (Some(_), Some(_)) => Step::MakeClaim,
    }
}

fn is_ready(snapshot: &Value) -> bool {
    snapshot["status"]["readyToUse"] == true && !is_going(snapshot)
}

fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::manifest::allow;
    use super::*;

    /// Does a step to the objects as the cluster would.
    fn applied(seen: &Seen, step: Step) -> Seen {
        let mut after = seen.clone();
        match step {
            Step::Cut => after.snapshot = Some(json!({"status": {}})),
            Step::AwaitReady => {
                after.snapshot = Some(json!({"status": {"readyToUse": true}}));
                after.content = Some(json!({"spec": {"deletionPolicy": "Retain"}}));
            }
            Step::Allow => after.content = Some(allow()),
            Step::MakeClaim => after.claim = Some(json!({"status": {"phase": "Pending"}})),
            Step::AwaitBound => after.claim = Some(json!({"status": {"phase": "Bound"}})),
            Step::RemoveSnapshot => (after.snapshot, after.content) = (None, None),
            Step::RemoveClaim => after.claim = None,
            Step::Done => {}
        }
        after
    }

    fn steps(mut seen: Seen, waits: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        while steps.last() != Some(&Step::Done) {
            assert!(steps.len() < 20, "it comes to no end: {steps:?}");
            steps.push(next(&seen, waits));
            seen = applied(&seen, steps[steps.len() - 1]);
        }
        steps
    }

    use Step::*;
    const WAY: [Step; 6] = [Cut, AwaitReady, Allow, MakeClaim, AwaitBound, Done];

    #[test]
    fn a_claim_comes_of_a_device_in_five_steps() {
        assert_eq!(steps(Seen::default(), false), WAY);
        assert_eq!(steps(Seen::default(), true), [Cut, AwaitReady, Allow, MakeClaim, Done], "a pod binds it");
    }

    #[test]
    fn a_way_that_was_cut_short_and_swept_is_gone_again() {
        for (at, waits) in (0..WAY.len()).flat_map(|at| [(at, false), (at, true)]) {
            let mut seen = Seen::default();
            for step in &WAY[..at] {
                seen = applied(&seen, *step);
            }
            assert_eq!(steps(seen.clone(), waits).last(), Some(&Done));
            // The sweep removes the snapshot, at once or as soon as a controller lets it.
            let mut going = seen.clone();
            for object in [&mut going.snapshot, &mut going.content].into_iter().flatten() {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            let swept = Seen { snapshot: None, content: None, ..seen };
            for seen in [going, swept] {
                let bound = seen.claim.as_ref().is_some_and(is_bound);
                assert_eq!(steps(seen, waits).contains(&MakeClaim), !bound, "after {at} steps");
            }
        }
    }
}
