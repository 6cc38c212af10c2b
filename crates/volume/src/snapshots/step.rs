//! Decides the next step of taking a snapshot over, from what is there. Pure.

use serde_json::Value;

/// What is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// The VolumeSnapshot in the application's namespace.
    pub(super) first: Option<Value>,
    /// Its content.
    pub(super) content: Option<Value>,
    /// The content of ours.
    pub(super) ours: Option<Value>,
    /// The VolumeSnapshot in our namespace.
    pub(super) adopted: Option<Value>,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Keep the storage's snapshot whatever becomes of the first VolumeSnapshot.
    Retain,
    /// Make the content of ours for the same handle.
    CreateContent,
    /// Make the VolumeSnapshot in our namespace.
    CreateSnapshot,
    /// Wait until that is ready to be read.
    AwaitReady,
    /// Delete the first VolumeSnapshot.
    DeleteFirst,
    /// Delete its content, which no longer deletes the storage's snapshot.
    DeleteContent,
    /// Nothing: the snapshot is ours.
    Done,
    /// The snapshot is gone.
    Lost,
}

/// The next step.
///
/// Only the content of ours ever deletes the storage's snapshot once it is there, and it is not made
/// before the first one is sure not to.
pub(super) fn next(seen: &Seen) -> Step {
    let retained = |content: &Value| content["spec"]["deletionPolicy"] == "Retain";
    match (&seen.content, &seen.ours) {
        (Some(content), _) if !retained(content) => return Step::Retain,
        (Some(_), None) => return Step::CreateContent,
        (None, None) => return Step::Lost,
        (_, Some(_)) => {}
    }
    match &seen.adopted {
        None => Step::CreateSnapshot,
        Some(adopted) if adopted["status"]["readyToUse"] != true => Step::AwaitReady,
        Some(_) if seen.first.is_some() => Step::DeleteFirst,
        Some(_) if seen.content.is_some() => Step::DeleteContent,
        Some(_) => Step::Done,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Does a step to the objects as the cluster would.
    fn applied(seen: &Seen, step: Step) -> Seen {
        let mut after = seen.clone();
        match step {
            Step::Retain => after.content = Some(json!({"spec": {"deletionPolicy": "Retain"}})),
            Step::CreateContent => after.ours = Some(json!({"spec": {"deletionPolicy": "Delete"}})),
            Step::CreateSnapshot => after.adopted = Some(json!({"status": {}})),
            Step::AwaitReady => after.adopted = Some(json!({"status": {"readyToUse": true}})),
            Step::DeleteFirst => {
                // A content that was not retained would take the storage's snapshot along.
                assert_eq!(after.content.as_ref().unwrap()["spec"]["deletionPolicy"], "Retain");
                after.first = None;
            }
            Step::DeleteContent => {
                assert_eq!(after.content.as_ref().unwrap()["spec"]["deletionPolicy"], "Retain");
                assert!(after.ours.is_some(), "nobody would ever delete the storage's snapshot");
                after.content = None;
            }
            Step::Done | Step::Lost => {}
        }
        after
    }

    #[test]
    fn a_snapshot_changes_hands_in_six_steps() {
        let mut seen = Seen {
            first: Some(json!({})),
            content: Some(json!({"spec": {"deletionPolicy": "Delete"}})),
            ..Seen::default()
        };
        let mut steps = Vec::new();
        while steps.len() < 10 && next(&seen) != Step::Done {
            let step = next(&seen);
            steps.push(step);
            seen = applied(&seen, step);
        }
        use Step::*;
        assert_eq!(steps, [Retain, CreateContent, CreateSnapshot, AwaitReady, DeleteFirst, DeleteContent]);
    }

    #[test]
    fn a_namespace_that_is_deleted_meanwhile_takes_nothing_along() {
        let mut seen =
            Seen { content: Some(json!({"spec": {"deletionPolicy": "Retain"}})), ..Seen::default() };
        assert_eq!(next(&seen), Step::CreateContent);
        seen.content = None;
        assert_eq!(next(&seen), Step::Lost);
        seen.ours = Some(json!({}));
        assert_eq!(next(&seen), Step::CreateSnapshot);
    }
}
