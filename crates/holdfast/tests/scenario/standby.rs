//! Volumes that stand by at the other site: brought forward point by point, taken over in seconds.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::Program;
use crate::shop::Shop;
use crate::stand::{Stand, apply, kubectl, until};

const LIMIT: Duration = Duration::from_secs(120);

/// What stands by for an application at site b.
fn standing(program: &Program, name: &str) -> Vec<Value> {
    let said = program.ok(&["standby", "status", name, "--to", "b", "-o", "json"]).json();
    said.as_array().expect("a list").clone()
}

#[test]
fn a_standby_follows_point_by_point_and_takes_over() {
    let stand = Stand::get();
    let program = Program::new(stand, "warm");
    let shop = Shop::deploy_on_snapshots(&stand.a, "warm");
    shop.order(20_000);
    program.init_vault();
    program.add("warm", &shop.application_without_hooks());
    let mut points = Vec::new();
    for round in 0..3 {
        shop.order(1_000);
        let point = program.ok(&["backup", "warm", "--context", "a", "-o", "json"]).json();
        let id = point["id"].as_str().expect("an id").to_owned();
        let report = program.ok(&["standby", "sync", "warm/latest", "--to", "b", "-o", "json"]).json();
        assert_eq!(
            (&report["outcome"], &report["point"]),
            (&"Completed".into(), &id.clone().into()),
            "{report:#}"
        );
        let volume = &report["volumes"][0];
        assert_eq!(volume["incremental"], round > 0, "{report:#}");
        let held = standing(&program, "warm");
        assert_eq!(held[0]["holds"]["point"], id.as_str(), "{held:#?}");
        assert!(held[0]["lagSeconds"].as_u64().expect("a lag") < 600, "{held:#?}");
        points.push(id);
    }
    let wanted = shop.ledger(i64::MAX);
    // A sync that is killed leaves the point before whole, and the next goes on.
    shop.order(5_000);
    program.ok(&["backup", "warm", "--context", "a"]);
    for moment in [1_500, 3_000] {
        let mut run = program.start(&["standby", "sync", "warm/latest", "--to", "b", "--wait"]);
        std::thread::sleep(Duration::from_millis(moment)); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    let begun = Instant::now();
    let report =
        ["standby", "promote", "warm/latest", "--to", "b", "--allow-privileged", "--wait", "-o", "json"];
    let report = program.ok(&report).json();
    println!("taken over: {:.1?}", begun.elapsed());
    assert_eq!(report["outcome"], "Completed", "{report:#}");
    let restored = Shop::at(&stand.b, "warm");
    let ledger = restored.ledger(i64::MAX);
    let newest = shop.ledger(i64::MAX);
    assert!(ledger == wanted || ledger == newest, "neither this point nor the one before: {ledger:?}");
    assert!(standing(&program, "warm").is_empty() || ledger == wanted);
    program.ok(&["standby", "end", "warm", "--to", "b"]);
    let left =
        ["get", "volumesnapshots", "-n", "holdfast-system", "-l", "holdfast.dev/part=saved", "-o", "name"];
    until(&stand.b, LIMIT, &left, str::is_empty);
}

/// A raw device is captured from a snapshot and comes back byte for byte, as does what changed later.
#[test]
fn a_raw_device_is_captured_and_restored() {
    let stand = Stand::get();
    let program = Program::new(stand, "raw");
    apply(&stand.a, "{apiVersion: v1, kind: Namespace, metadata: {name: raw}}");
    apply(
        &stand.a,
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: disk, namespace: raw}\n\
         spec: {storageClassName: csi, volumeMode: Block, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: user, namespace: raw}\n\
         spec:\n  selector: {matchLabels: {app: user}}\n  template:\n    metadata: {labels: {app: user}}\n    spec:\n\
         \x20     terminationGracePeriodSeconds: 1\n      containers:\n      - name: user\n        image: testbed.local/busybox:1\n\
         \x20       imagePullPolicy: Never\n        command: [sleep, '100000']\n        volumeDevices: [{name: d, devicePath: /dev/disk}]\n\
         \x20     volumes: [{name: d, persistentVolumeClaim: {claimName: disk}}]\n",
    );
    let ready = ["get", "deploy/user", "-n", "raw", "-o", "jsonpath={.status.readyReplicas}"];
    until(&stand.a, LIMIT, &ready, |said| said == "1");
    let run =
        |site, script: &str| kubectl(site, &["exec", "-n", "raw", "deploy/user", "--", "sh", "-c", script]);
    let write =
        |at: u32| format!("dd if=/dev/urandom of=/dev/disk bs=1M count=8 seek={at} conv=fsync 2>/dev/null");
    run(&stand.a, &write(3));
    run(&stand.a, &write(700));
    program.init_vault();
    let application = "apiVersion: holdfast.dev/v1alpha1\nkind: Application\nmetadata: {name: raw}\nspec:\n  scope: {namespaces: [raw]}\n";
    program.add("raw", application);
    let first = program.ok(&["backup", "raw", "--context", "a", "-o", "json"]).json();
    assert_eq!(
        (&first["outcome"], &first["consistency"]),
        (&"Completed".into(), &"group".into()),
        "{first:#}"
    );
    run(&stand.a, &write(701));
    let second = program.ok(&["backup", "raw", "--context", "a", "-o", "json"]).json();
    let stored = |point: &Value| point["volumes"][0]["bytesStored"].as_u64().expect("bytes");
    assert!(stored(&first) >= 16 << 20 && stored(&second) < 12 << 20, "{first:#} {second:#}");
    let check = program.restic("raw", &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
    program.ok(&["restore", "raw/latest", "--to", "b"]);
    let digest = |site| run(site, "md5sum < /dev/disk");
    assert_eq!(digest(&stand.a), digest(&stand.b));
}
