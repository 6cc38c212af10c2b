//! Volumes that are written in lock step: cut at one moment they come back in step, cut one by one they
//! do not, and the point says which it was.

use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_CLASS, CSI_IMAGE_CLASS};
use serde_json::Value;

use crate::program::Program;
use crate::snapshots::{counter_of, no_snapshot_is_left, volumes};
use crate::stand::{Stand, kubectl};

/// How far the first volume is ahead of the second in the newest point, read from the vault.
fn ahead(program: &Program, name: &str) -> i64 {
    let step = |claim: &str| -> i64 {
        let said = program.ok(&["files", "cat", &format!("{name}/latest"), claim, "n"]).stdout;
        said.trim().parse().expect("a number")
    };
    step("one") - step("two")
}

/// Each step is surely written to one volume before it is to the other.
fn write_in_lock_step(stand: &Stand, name: &str) {
    let script = "n=1000000; while true; do n=$((n+1)); for v in one two; do echo $n | dd of=/$v/n conv=notrunc,fsync 2>/dev/null; done; done";
    let patch = format!(
        r#"[{{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["sh", "-c", "{script}"]}},
            {{"op": "add", "path": "/spec/strategy", "value": {{"type": "Recreate"}}}}]"#
    );
    kubectl(&stand.a, &["patch", "deploy/counter", "-n", name, "--type=json", "-p", &patch]);
    kubectl(&stand.a, &["rollout", "status", "deploy/counter", "-n", name, "--timeout=120s"]);
}

#[test]
fn volumes_written_in_lock_step_come_back_in_step() {
    let stand = Stand::get();
    let program = counter_of(stand, "in-step", CSI_IMAGE_CLASS);
    write_in_lock_step(stand, "in-step");
    for _ in 0..3 {
        let point = program
            .ok(&["backup", "in-step", "--context", "a", "--consistency", "group", "-o", "json"])
            .json();
        assert_eq!(
            (&point["outcome"], &point["consistency"]),
            (&"Completed".into(), &"group".into()),
            "{point:#}"
        );
        assert_eq!(point["cutSpreadMillis"], 0, "{point:#}");
        let group = |volume: &Value| volume["cut"]["group"].as_str().map(str::to_owned);
        assert!(volumes(&point).iter().all(|volume| group(volume).is_some()), "{point:#}");
        assert!((0..=1).contains(&ahead(&program, "in-step")), "{} steps", ahead(&program, "in-step"));
    }
    no_snapshot_is_left(stand, &program, "in-step");

    // The counter-test: a class that somebody names takes a snapshot of each claim by itself.
    kubectl(&stand.a, &["annotate", "pvc", "--all", "-n", "in-step", "holdfast.dev/snapshot-class=csi"]);
    let refused = program.expect(1, &["backup", "in-step", "--context", "a", "--consistency", "group"]);
    assert!(refused.stderr.contains("in-step/one"), "{}", refused.stderr);
    let mut apart = 0;
    for _ in 0..5 {
        let point = program.ok(&["backup", "in-step", "--context", "a", "-o", "json"]).json();
        assert_eq!(point["consistency"], "crash", "{point:#}");
        apart += i32::from(!(0..=1).contains(&ahead(&program, "in-step")));
        if apart > 0 {
            break;
        }
    }
    assert!(apart > 0, "snapshots at moments of their own never were out of step");
    no_snapshot_is_left(stand, &program, "in-step");
    stand.retire(&["in-step"]);
}

#[test]
fn a_backup_from_a_group_survives_being_killed_and_its_namespace_deleted() {
    let stand = Stand::get();
    let program = counter_of(stand, "grouped", CSI_IMAGE_CLASS);
    for moment in (1..=6).map(|n| Duration::from_millis(600) * n) {
        let mut run = program.start(&["backup", "grouped", "--context", "a", "--wait"]);
        std::thread::sleep(moment); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    kubectl(&stand.a, &["delete", "namespace", "grouped", "--timeout=120s"]);
    // The last run counts as alive until its lease is over.
    let records = ["get", "configmaps", "-n", "holdfast-system", "-l", "holdfast.dev/part=run", "-o"];
    let of_runs = ["jsonpath={.items[*].metadata.labels.holdfast\\.dev/run}"];
    let (runs, begun) = (program.runs(), Instant::now());
    while runs.iter().any(|run| kubectl(&stand.a, &[&records[..], &of_runs].concat()).contains(run)) {
        assert!(begun.elapsed() < Duration::from_secs(120), "a run is never taken for dead");
        program.run(&["sweep", "--context", "a"]);
        std::thread::sleep(Duration::from_secs(2));
    }
    no_snapshot_is_left(stand, &program, "grouped");
}

/// Members of a group are kept, and the storage deletes the group with the last of them.
#[test]
fn what_is_kept_of_a_group_goes_with_its_last() {
    let stand = Stand::get();
    let program = counter_of(stand, "kin", CSI_IMAGE_CLASS);
    for _ in 0..2 {
        let point =
            program.ok(&["backup", "kin", "--context", "a", "--keep-snapshots", "1", "-o", "json"]).json();
        assert_eq!(point["consistency"], "group", "{point:#}");
    }
    let kept = || program.ok(&["snapshots", "kin", "--context", "a", "-o", "json"]).json();
    assert_eq!(kept().as_array().map(Vec::len), Some(2), "one of each claim: {:#}", kept());
    // It may meet what other scenarios have just left; it takes nothing that is kept.
    program.run(&["sweep", "--context", "a"]);
    let report = ["restore", "kin/latest", "--to", "a", "--namespace-map", "kin=kin-again", "-o", "json"];
    let report = program.ok(&report).json();
    let written: Vec<&Value> = volumes(&report).iter().map(|volume| &volume["bytesWritten"]).collect();
    assert_eq!(written, [0, 0], "{report:#}");
    // Captured with the mark of a group, restored without.
    let marked = ["get", "pvc", "-n", "kin-again", "-l", "holdfast.dev/snapshot-group", "-o", "name"];
    assert_eq!(kubectl(&stand.a, &marked), "");
    program.ok(&["snapshots", "kin", "--context", "a", "--delete"]);
    no_snapshot_is_left(stand, &program, "kin");
    let of_kin = "jsonpath={.items[?(@.spec.volumeGroupSnapshotRef.namespace==\"kin\")].metadata.name}";
    let groups = kubectl(&stand.a, &["get", "volumegroupsnapshotcontents", "-o", of_kin]);
    assert_eq!(groups.trim(), "");
    stand.retire(&["kin", "kin-again"]);
}

/// A driver that refuses a group while the application is held is not waited for.
#[test]
fn a_group_that_the_driver_refuses_is_cut_one_by_one() {
    let stand = Stand::get();
    let program = counter_of(stand, "refused", CSI_CLASS);
    let said =
        program.expect(3, &["backup", "refused", "--context", "a", "--consistency", "group", "-o", "json"]);
    let point = said.json();
    assert_eq!((&point["outcome"], &point["consistency"]), (&"Partial".into(), &"crash".into()), "{point:#}");
    assert!(point["problems"].to_string().contains("backup.consistency"), "{point:#}");
    assert!(volumes(&point).iter().all(|volume| volume["method"] == "snapshot"), "{point:#}");
    no_snapshot_is_left(stand, &program, "refused");
    stand.retire(&["refused"]);
}
