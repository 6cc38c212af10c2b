//! Walks the hand-over through a small model of what the cluster does, and stops it everywhere.

use serde_json::json;

use super::super::{ClaimRestore, RestoreContext};
use super::*;
use crate::jobs::Placement;

pub(in crate::handover) fn wanted() -> ClaimRestore {
    ClaimRestore {
        standing: None,
        namespace: "shop".into(),
        claim: "data".into(),
        manifest: json!({"spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "old"}}),
        snapshot: holdfast_vault::SnapshotId::of(b"s"),
        form: holdfast_model::volume::CaptureForm::Files,
        group: "pg".into(),
        placement: Placement::default(),
    }
}

pub(in crate::handover) fn context() -> RestoreContext {
    RestoreContext {
        run: "r1".parse().unwrap(),
        access: crate::RepositoryAccess::new(
            "s3://b",
            &holdfast_vault::StoreOptions::default(),
            &holdfast_vault::Credentials::none(),
            "",
            &holdfast_vault::RepositoryPassword::new("p"),
        ),
        restored_from: "20261122t101500-3fa9c1".into(),
        verify: false,
        progress: std::sync::Arc::new(|_| {}),
    }
}

/// The little of a cluster that a hand-over touches, with the rule by which data is lost.
#[derive(Clone)]
struct World {
    seen: Seen,
    data_lost: bool,
}

impl World {
    fn new() -> Self {
        Self { seen: Seen::default(), data_lost: false }
    }

    fn volume(&mut self) -> &mut Value {
        self.seen.volume.as_mut().expect("there is a volume")
    }

    fn apply(&mut self, step: &Step) {
        let (wanted, context) = (wanted(), context());
        match step {
            Step::Fill => {
                let mut source = wanted.source(&context);
                source["metadata"]["annotations"][FILLED] = json!(wanted.snapshot.to_string());
                source["spec"]["volumeName"] = json!("pv-1");
                self.seen.volume = Some(json!({
                    "metadata": {"name": "pv-1", "annotations": {}},
                    "spec": {"persistentVolumeReclaimPolicy": "Delete", "claimRef": {
                        "namespace": SYSTEM_NAMESPACE, "name": wanted.source_name(), "uid": "source-uid"}},
                }));
                self.seen.source = Some(source);
            }
            Step::Retain => {
                let record = Record {
                    target: wanted.subject(),
                    snapshot: wanted.snapshot.to_string(),
                    restored_from: context.restored_from,
                    source: wanted.source_name(),
                    policy: "Delete".into(),
                };
                let volume = self.volume();
                volume["metadata"]["annotations"][label::HANDOVER] =
                    json!(serde_json::to_string(&record).unwrap());
                volume["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
            }
            Step::DeleteSource => self.seen.source = None,
            Step::Reserve => {
                self.volume()["spec"]["claimRef"] =
                    json!({"namespace": wanted.namespace, "name": wanted.claim});
            }
            Step::CreateTarget => {
                let mut target = wanted.target(&context, "pv-1");
                target["metadata"]["uid"] = json!("target-uid");
                self.seen.target = Some(target);
            }
            Step::AwaitBound => {
                self.volume()["spec"]["claimRef"]["uid"] = json!("target-uid");
                self.seen.target.as_mut().unwrap()["status"]["phase"] = json!("Bound");
            }
            Step::PutBack => {
                let volume = self.volume();
                volume["metadata"]["annotations"] = json!({});
                volume["spec"]["persistentVolumeReclaimPolicy"] = json!("Delete");
            }
            Step::Done | Step::Refuse { .. } => {}
        }
        self.reclaim();
    }

    /// A PersistentVolume with the policy Delete whose claim is gone, or is another, is deleted.
    fn reclaim(&mut self) {
        let Some(volume) = &self.seen.volume else { return };
        let claim = &volume["spec"]["claimRef"];
        let alive = match claim["uid"].as_str() {
            Some("source-uid") => self.seen.source.is_some(),
            Some("target-uid") => self.seen.target.is_some(),
            _ => false,
        };
        self.data_lost |= volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" && !alive;
    }
}

#[test]
fn the_steps_come_in_the_order_that_keeps_the_data() {
    let (mut world, mut steps) = (World::new(), Vec::new());
    loop {
        let step = next(&wanted(), &world.seen);
        steps.push(step.clone());
        if step == Step::Done {
            break;
        }
        world.apply(&step);
        assert!(!world.data_lost, "after {steps:?}");
    }
    use Step::*;
    assert_eq!(steps, [Fill, Retain, DeleteSource, Reserve, CreateTarget, AwaitBound, PutBack, Done]);
}

#[test]
fn every_step_may_be_done_twice() {
    let mut world = World::new();
    for _ in 0..7 {
        let step = next(&wanted(), &world.seen);
        world.apply(&step);
        let once = world.clone();
        world.apply(&step);
        assert!(!world.data_lost);
        assert_eq!(next(&wanted(), &world.seen), next(&wanted(), &once.seen), "after {step:?} twice");
    }
    assert_eq!(next(&wanted(), &world.seen), Step::Done);
}

#[test]
fn a_claim_with_other_data_is_never_touched() {
    let mut world = World::new();
    world.seen.target =
        Some(json!({"metadata": {"uid": "x"}, "spec": {"volumeName": "pv-9"}, "status": {"phase": "Bound"}}));
    let Step::Refuse { reason, hint } = next(&wanted(), &world.seen) else { panic!("not refused") };
    assert!(reason.contains("not made by this restore") && hint.contains("not touched"));
}

#[test]
fn restoring_twice_changes_nothing() {
    let mut world = World::new();
    while next(&wanted(), &world.seen) != Step::Done {
        let step = next(&wanted(), &world.seen);
        world.apply(&step);
    }
    assert_eq!(next(&wanted(), &world.seen), Step::Done);
    // Another point of the same claim is other data.
    let mut other = wanted();
    other.snapshot = holdfast_vault::SnapshotId::of(b"other");
    assert!(matches!(next(&other, &world.seen), Step::Refuse { .. }));
}

#[test]
fn a_target_that_was_deleted_in_between_is_made_again() {
    let mut world = World::new();
    for _ in 0..6 {
        let step = next(&wanted(), &world.seen);
        world.apply(&step);
    }
    assert_eq!(next(&wanted(), &world.seen), Step::PutBack);
    world.seen.target = None;
    world.reclaim();
    assert!(!world.data_lost, "the policy is put back only at the very end");
    assert_eq!(next(&wanted(), &world.seen), Step::Reserve);
    world.apply(&Step::Reserve);
    assert_eq!(next(&wanted(), &world.seen), Step::CreateTarget);
}

#[test]
fn a_volume_that_someone_else_took_is_left_alone() {
    let mut world = World::new();
    for _ in 0..3 {
        let step = next(&wanted(), &world.seen);
        world.apply(&step);
    }
    world.volume()["spec"]["claimRef"] = json!({"namespace": "bank", "name": "ledger", "uid": "u"});
    let Step::Refuse { reason, .. } = next(&wanted(), &world.seen) else { panic!("not refused") };
    assert!(reason.contains("ledger"), "{reason}");
}

#[test]
fn the_target_asks_for_what_the_claim_asked_for() {
    let mut wanted = wanted();
    wanted.manifest = json!({
        "metadata": {"labels": {"app": "pg"}, "annotations": {"team": "a", "pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": "old",
            "dataSource": {"kind": "VolumeSnapshot"}, "resources": {"requests": {"storage": "1Gi"}}},
    });
    let target = wanted.target(&context(), "pv-1");
    assert_eq!(target["spec"]["volumeName"], "pv-1");
    assert!(target["spec"]["dataSource"].is_null() && target["spec"]["storageClassName"] == "fast");
    assert_eq!(target["metadata"]["labels"]["app"], "pg");
    let annotations = target["metadata"]["annotations"].as_object().unwrap();
    assert!(annotations.contains_key("team") && !annotations.contains_key("pv.kubernetes.io/bind-completed"));
    assert!(wanted.source(&context())["spec"]["volumeName"].is_null());
}

#[test]
fn a_volume_for_readers_is_filled_by_a_writer_and_handed_to_readers() {
    let mut wanted = wanted();
    wanted.manifest = json!({"spec": {"accessModes": ["ReadOnlyMany"]}});
    assert_eq!(wanted.source(&context())["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(wanted.target(&context(), "pv-1")["spec"]["accessModes"], json!(["ReadOnlyMany"]));
    wanted.manifest = json!({"spec": {"accessModes": ["ReadWriteOncePod"]}});
    assert_eq!(wanted.source(&context())["spec"]["accessModes"], json!(["ReadWriteOncePod"]));
}

#[test]
fn a_volume_that_one_node_writes_to_is_not_handed_to_writers_of_several() {
    let mut world = World::new();
    world.apply(&Step::Fill);
    world.volume()["spec"]["accessModes"] = json!(["ReadWriteOnce"]);
    assert_eq!(next(&wanted(), &world.seen), Step::Retain);
    let mut shared = wanted();
    shared.manifest = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    let Step::Refuse { reason, hint } = next(&shared, &world.seen) else { panic!("not refused") };
    assert!(reason.contains("ReadWriteMany") && hint.contains("--access-mode-map"), "{reason}; {hint}");
}
