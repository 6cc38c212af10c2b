//! Volumes that are written in lock step: cut at one moment they come back in step, cut one by one they
//! do not, and the point says which it was.

use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_CLASS, CSI_IMAGE_CLASS, CSI_SECOND_CLASS, Site};
use serde_json::Value;

use crate::program::Program;
use crate::snapshots::{counter_of, no_snapshot_is_left, nothing_is_left_at, volumes};
use crate::stand::{Stand, apply, image, kubectl, until};
use crate::storage::{claim, program_at};

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
#[ignore = "long: several points of a group, and their going"]
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

/// Four volumes of one pod, two of each driver, each with a file of its name.
fn deploy_on_two_drivers(site: &Site, name: &str) {
    let all = ["one", "two", "three", "four"];
    let class =
        |claim: &str| if ["one", "two"].contains(&claim) { CSI_IMAGE_CLASS } else { CSI_SECOND_CLASS };
    let claims: String = all.iter().map(|of| claim(name, of, class(of), "256Mi")).collect();
    let list = |form: fn(&str) -> String| all.map(form).join(", ");
    let mounts = list(|of| format!("{{name: {of}, mountPath: /{of}}}"));
    let volumes = list(|of| format!("{{name: {of}, persistentVolumeClaim: {{claimName: {of}}}}}"));
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: user, namespace: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n\
         \x20 containers:\n  - name: c\n    image: testbed.local/busybox:1\n    imagePullPolicy: Never\n\
         \x20   command: [sh, -c, 'for v in one two three four; do echo $v > /$v/name; done; sync; touch /four/ready; sleep 100000']\n\
         \x20   volumeMounts: [{mounts}]\n  volumes: [{volumes}]\n"
    );
    apply(site, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    apply(site, &format!("{claims}{pod}"));
    let ready = ["exec", "-n", name, "user", "--", "cat", "/four/ready"];
    until(site, Duration::from_secs(120), &ready, |_| true);
}

/// Each driver cuts its own claims of a namespace together, and the point does not take the two groups for one.
#[test]
#[ignore = "long: a variant of one group"]
fn two_drivers_in_one_namespace_cut_two_groups() {
    let shared = Stand::get();
    let site = shared.block_on(async {
        Site::builder("twins").two_csi().image(image()).start().await.expect("a site with two drivers")
    });
    deploy_on_two_drivers(&site, "twins");
    let (program, _line) = program_at(shared, &site, "twins");
    let refused = program.expect(1, &["backup", "twins", "--context", "twins", "--consistency", "group"]);
    assert!(refused.stderr.contains("twins/"), "{}", refused.stderr);
    let point = program.ok(&["backup", "twins", "--context", "twins", "-o", "json"]).json();
    assert_eq!(
        (&point["outcome"], &point["consistency"]),
        (&"Completed".into(), &"crash".into()),
        "{point:#}"
    );
    let cut = |claim: &str| {
        let volume = volumes(&point).iter().find(|volume| volume["claim"] == claim).expect("the volume");
        volume["cut"].clone()
    };
    let group = |claim: &str| cut(claim)["group"].as_str().expect("it is one of a group").to_owned();
    assert_eq!(group("one"), group("two"), "{point:#}");
    assert_eq!(group("three"), group("four"), "{point:#}");
    assert_ne!(cut("one")["driver"], cut("three")["driver"], "{point:#}");
    nothing_is_left_at(&site);
    for claim in ["one", "four"] {
        assert_eq!(program.ok(&["files", "cat", "twins/latest", claim, "name"]).stdout.trim(), claim);
    }
    shared.block_on(site.stop()).expect("the site goes");
}
