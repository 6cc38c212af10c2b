//! Volumes read from snapshots of their storage: the application is held for a moment, the snapshot
//! changes hands, and whatever happens on the way the storage is left with nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_CLASS, CSI_SECOND_CLASS, FaultProxy, Faults, Site};
use serde_json::Value;

use crate::program::Program;
use crate::stand::{Stand, apply, kubectl, until};
use crate::walk::nothing_temporary_is_left;

const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
/// Kinds of snapshots, of one claim and of groups.
const SNAPSHOTS: [&str; 4] =
    ["volumesnapshots", "volumesnapshotcontents", "volumegroupsnapshots", "volumegroupsnapshotcontents"];

/// Two volumes of one pod that counts on both, first on `one`, then on `two`.
fn deploy(site: &Site, name: &str) {
    deploy_on(site, name, CSI_CLASS);
}

/// The same on volumes of this storage class.
pub fn deploy_on(site: &Site, name: &str, class: &str) {
    let claim = |claim: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {claim}, namespace: {name}}}\n\
             spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
        )
    };
    let count = "n=$(cat /one/n || echo 0); while true; do n=$((n+1)); echo $n > /one/.n && mv /one/.n /one/n; echo $n > /two/.n && mv /two/.n /two/n; sleep 0.05; done";
    let pod = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: counter, namespace: {name}}}\n\
         spec:\n  replicas: 1\n  selector: {{matchLabels: {{app: counter}}}}\n  template:\n    metadata: {{labels: {{app: counter}}}}\n    spec:\n\
         \x20     terminationGracePeriodSeconds: 1\n      containers:\n      - name: counter\n        image: testbed.local/busybox:1\n        imagePullPolicy: Never\n\
         \x20       command: [sh, -c, '{count}']\n        volumeMounts: [{{name: one, mountPath: /one}}, {{name: two, mountPath: /two}}]\n\
         \x20     volumes:\n      - {{name: one, persistentVolumeClaim: {{claimName: one}}}}\n      - {{name: two, persistentVolumeClaim: {{claimName: two}}}}\n"
    );
    apply(site, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    apply(site, &format!("{}{}{pod}", claim("one"), claim("two")));
    until(
        site,
        LIMIT,
        &["get", "deploy/counter", "-n", name, "-o", "jsonpath={.status.readyReplicas}"],
        |said| said == "1",
    );
    // Both counters have begun.
    until(site, LIMIT, &["exec", "-n", name, "deploy/counter", "--", "cat", "/two/n"], |said| {
        !said.is_empty()
    });
}

/// An application that is the namespace of its name.
pub fn application(name: &str, more: &str) -> String {
    format!(
        "apiVersion: holdfast.dev/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\n\
         spec:\n  scope: {{namespaces: [{name}]}}\n{more}"
    )
}

/// The program with the counter deployed on volumes of this class, and protected.
pub fn counter_of(stand: &Stand, name: &str, class: &str) -> Program {
    let program = Program::new(stand, name);
    deploy_on(&stand.a, name, class);
    program.init_vault();
    program.add(name, &application(name, ""));
    program
}

fn counted(site: &Site, name: &str, volume: &str) -> i64 {
    let path = format!("/{volume}/n");
    let said = kubectl(site, &["exec", "-n", name, "deploy/counter", "--", "cat", &path]);
    said.trim().parse().expect("a number")
}

/// What the storage of a site keeps: its volumes and snapshots.
fn kept(site: &Site, part: &str) -> Vec<String> {
    let home: PathBuf = site.logs_dir().parent().expect("its directory").to_owned();
    // Not every site has a second driver.
    let pools = ["csi", CSI_SECOND_CLASS].map(|driver| home.join(driver).join("pool").join(part));
    let entries = pools.iter().filter_map(|pool| std::fs::read_dir(pool).ok()).flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Nothing of a scenario's runs is left at either site, nor in the storage.
pub fn no_snapshot_is_left(stand: &Stand, program: &Program, name: &str) {
    nothing_temporary_is_left(stand, program, name);
    let columns = "custom-columns=NAME:.metadata.name,RUN:.metadata.labels.holdfast\\.dev/run";
    let runs = program.runs();
    let none_of_ours =
        |said: &str| !said.lines().any(|line| runs.iter().any(|run| line.trim_end().ends_with(run)));
    for kind in SNAPSHOTS {
        until(
            &stand.a,
            LIMIT,
            &["get", kind, "-A", "-o", columns, "--no-headers", "--ignore-not-found"],
            none_of_ours,
        );
    }
    let marked = ["get", "pvc", "-n", name, "-l", "holdfast.dev/snapshot-group", "-o", "name"];
    until(&stand.a, LIMIT, &marked, str::is_empty);
    let bound = Instant::now() + LIMIT;
    // Those of other scenarios have a content that names them.
    while let Some(orphan) = orphan(&stand.a) {
        assert!(
            Instant::now() < bound,
            "the storage keeps {orphan}, which nothing in the cluster names:\n{}",
            said_of(&stand.a, &orphan)
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Nothing of any run is left at a site of a scenario's own, nor in its storage.
pub fn nothing_is_left_at(site: &Site) {
    let ours = ["-l", "holdfast.dev/run", "-o", "name", "--ignore-not-found"];
    let kinds = format!("jobs,pods,secrets,configmaps,pvc,{}", SNAPSHOTS.join(","));
    until(site, LIMIT, &[&["get", &kinds, "-A"], &ours[..]].concat(), str::is_empty);
    until(site, LIMIT, &[&["get", "pv"], &ours[..]].concat(), str::is_empty);
    let views = "jsonpath={.items[?(@.spec.claimRef.namespace==\"holdfast-system\")].metadata.name}";
    until(site, LIMIT, &["get", "pv", "-o", views], str::is_empty);
    let bound = Instant::now() + LIMIT;
    while let Some(orphan) = orphan(site).or_else(|| orphan_volume(site)) {
        assert!(Instant::now() < bound, "the storage keeps {orphan}:\n{}", said_of(site, &orphan));
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A volume of the storage that no PersistentVolume names.
fn orphan_volume(site: &Site) -> Option<String> {
    let named = kubectl(site, &["get", "pv", "-o", "jsonpath={.items[*].spec.csi.volumeHandle}"]);
    let id = |file: &String| file.split('.').next().unwrap_or_default().to_owned();
    let kept = kept(site, "volumes").into_iter().chain(kept(site, "images"));
    kept.map(|file| id(&file)).find(|id| !named.contains(id.as_str()))
}

/// What the logs of a site's storage say of a snapshot.
fn said_of(site: &Site, snapshot: &str) -> String {
    let logs = std::fs::read_dir(site.logs_dir()).expect("logs").flatten();
    let texts = logs.filter_map(|log| std::fs::read_to_string(log.path()).ok());
    let lines: Vec<String> = texts
        .flat_map(|text| {
            text.lines().filter(|line| line.contains(snapshot)).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    lines.join("\n")
}

/// A snapshot of the storage that no content names, of itself or of its group.
fn orphan(site: &Site) -> Option<String> {
    let handles = "jsonpath={.items[*].status.snapshotHandle} {.items[*].spec.source.snapshotHandle}";
    let members = "jsonpath={.items[*].status.volumeSnapshotInfoList[*].snapshotHandle}";
    let kept = kept(site, "snapshots");
    let named = kubectl(site, &["get", "volumesnapshotcontents", "-o", handles])
        + &kubectl(site, &["get", "volumegroupsnapshotcontents", "-o", members]);
    let id = |file: &String| file.split('.').next().unwrap_or_default().to_owned();
    kept.iter().map(id).find(|id| !named.contains(id.as_str()))
}

pub fn volumes(point: &Value) -> &Vec<Value> {
    point["volumes"].as_array().expect("volumes")
}

#[test]
fn a_volume_is_read_from_a_snapshot_while_the_application_goes_on() {
    let stand = Stand::get();
    let line = FaultProxy::start(&stand.s3.address().ip().to_string(), stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, "snapped");
    program.endpoint = line.endpoint();
    deploy(&stand.a, "snapped");
    let payload = "head -c 60000000 /dev/urandom > /one/payload";
    kubectl(&stand.a, &["exec", "-n", "snapped", "deploy/counter", "--", "sh", "-c", payload]);
    program.init_vault();
    let hook = |name: &str| {
        format!(
            "    {name}:\n    - {{name: {name}, target: {{labels: {{app: counter}}}}, command: [touch, /one/{name}]}}\n"
        )
    };
    program.add("snapped", &application("snapped", &format!("  hooks:\n{}{}", hook("pre"), hook("post"))));
    let before = counted(&stand.a, "snapped", "one");
    // The payload takes eight seconds to send; the application is not to wait for it.
    line.set(Faults { bandwidth: Some(8 * MIB), ..Faults::default() });
    let point = program.ok(&["backup", "snapped", "--context", "a", "-o", "json"]).json();
    line.set(Faults::default());
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    assert_eq!(point["consistency"], "application", "{point:#}");
    assert!(volumes(&point).iter().all(|volume| volume["method"] == "snapshot"), "{point:#}");
    assert!(volumes(&point).iter().all(|volume| volume["cut"]["class"] == "csi"), "{point:#}");
    let held = point["heldMillis"].as_u64().expect("how long it was held");
    assert!(held < 5_000, "held for {held} ms, as long as reading takes");
    assert!(point["cutSpreadMillis"].is_u64(), "{point:#}");
    no_snapshot_is_left(stand, &program, "snapped");

    program.ok(&["restore", "snapped/latest", "--to", "b"]);
    let restored =
        |path: &str| kubectl(&stand.b, &["exec", "-n", "snapped", "deploy/counter", "--", "sh", "-c", path]);
    let one: i64 = restored("cat /one/n").trim().parse().expect("a number");
    assert!(one > before, "{one} restored, {before} counted before the backup");
    let digest =
        |site| kubectl(site, &["exec", "-n", "snapped", "deploy/counter", "--", "md5sum", "/one/payload"]);
    assert_eq!(digest(&stand.a), digest(&stand.b));
    // What the post hook wrote came after the snapshot.
    assert_eq!(restored("ls /one | grep -c -e '^pre$' -e '^post$'").trim(), "1");
    stand.retire(&["snapped"]);
}

#[test]
fn two_snapshots_without_a_hook_are_said_to_be_apart() {
    let stand = Stand::get();
    let program = counter_of(stand, "apart", CSI_CLASS);
    let point = program.ok(&["backup", "apart", "--context", "a", "-o", "json"]).json();
    assert_eq!(
        (&point["outcome"], &point["consistency"]),
        (&"Completed".into(), &"crash".into()),
        "{point:#}"
    );
    let id = point["id"].as_str().expect("an id").to_owned();
    let shown = program.ok(&["point", "show", &format!("apart/{id}")]).stdout;
    assert!(shown.contains("per volume, snapshots "), "{shown}");
    let live = "  volumes:\n  - {claim: apart/one, from: live, exclude: [\".*\"]}\n";
    let path = program.path("live.yaml");
    std::fs::write(&path, application("apart", live)).expect("the manifest");
    program.ok(&["apply", "-f", path.to_str().expect("a path in UTF-8")]);
    let point = program.ok(&["backup", "apart", "--context", "a", "-o", "json"]).json();
    let methods: Vec<&Value> = volumes(&point).iter().map(|volume| &volume["method"]).collect();
    assert_eq!(methods, ["live-files", "snapshot"], "{point:#}");
    assert_eq!(point["consistency"], "live", "{point:#}");
    let refused = program.expect(1, &["backup", "apart", "--context", "a", "--consistency", "crash"]);
    assert!(
        refused.stderr.contains("apart/one") && !refused.stderr.contains("apart/two"),
        "{}",
        refused.stderr
    );
    no_snapshot_is_left(stand, &program, "apart");
    stand.retire(&["apart"]);
}

#[test]
fn a_backup_from_snapshots_survives_being_killed() {
    let stand = Stand::get();
    let program = counter_of(stand, "cut-off", CSI_CLASS);
    for moment in (1..=8).map(|n| Duration::from_millis(500) * n) {
        let mut run = program.start(&["backup", "cut-off", "--context", "a", "--wait"]);
        std::thread::sleep(moment); // the moment of the kill, not a wait for anything
        run.kill().expect("the run is ours to kill");
        run.wait().expect("it ends");
    }
    let point = program.ok(&["backup", "cut-off", "--context", "a", "--wait", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    no_snapshot_is_left(stand, &program, "cut-off");
    stand.retire(&["cut-off"]);
}

/// The snapshot is ours once it is cut: what is deleted with the namespace is still captured.
#[test]
fn a_namespace_that_goes_while_its_snapshots_are_read_loses_nothing() {
    let stand = Stand::get();
    let line = FaultProxy::start(&stand.s3.address().ip().to_string(), stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, "going");
    program.endpoint = line.endpoint();
    deploy(&stand.a, "going");
    let payload = "head -c 60000000 /dev/urandom > /two/payload && md5sum < /two/payload";
    let digest = kubectl(&stand.a, &["exec", "-n", "going", "deploy/counter", "--", "sh", "-c", payload]);
    program.init_vault();
    program.add("going", &application("going", ""));
    line.set(Faults { bandwidth: Some(4 * MIB), ..Faults::default() });
    let mut run = program.start(&["backup", "going", "--context", "a"]);
    let subject = "jsonpath={range .items[*]}{.metadata.annotations.holdfast\\.dev/subject}{'\\n'}{end}";
    let movers = [
        "get",
        "pods",
        "-n",
        "holdfast-system",
        "-l",
        "holdfast.dev/part=mover",
        "--field-selector=status.phase=Running",
    ];
    let jobs = ["get", "jobs", "-n", "holdfast-system", "-l", "holdfast.dev/part=mover", "-o", subject];
    until(&stand.a, LIMIT, &jobs, |said| said.contains("going/two"));
    until(&stand.a, LIMIT, &movers, |said| !said.is_empty());
    kubectl(&stand.a, &["delete", "namespace", "going", "--timeout=60s"]);
    line.set(Faults::default());
    assert!(run.wait().expect("it ends").success(), "see the evidence of `going`");
    no_snapshot_is_left(stand, &program, "going");
    program.ok(&["restore", "going/latest", "--to", "b"]);
    let restored = ["exec", "-n", "going", "deploy/counter", "--", "sh", "-c", "md5sum < /two/payload"];
    assert_eq!(kubectl(&stand.b, &restored), digest);
    stand.retire(&["going"]);
}

/// A storage that never cuts a snapshot fails the claim by name and leaves nothing.
#[test]
fn a_snapshot_that_never_comes_is_told_and_removed() {
    let stand = Stand::get();
    let program = Program::new(stand, "never");
    deploy(&stand.a, "never");
    // The driver refuses what it does not know, again and again.
    let class = "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\nmetadata: {name: refused}\n\
                 driver: csi.testbed.holdfast.dev\ndeletionPolicy: Delete\nparameters: {unknown: parameter}\n";
    apply(&stand.a, class);
    kubectl(&stand.a, &["annotate", "pvc/one", "-n", "never", "holdfast.dev/snapshot-class=refused"]);
    program.init_vault();
    program.add("never", &application("never", ""));
    let said =
        program.expect(3, &["backup", "never", "--context", "a", "--snapshot-timeout", "5s", "-o", "json"]);
    let point = said.json();
    assert_eq!(point["outcome"], "Partial", "{point:#}");
    let problems = point["problems"].to_string();
    assert!(problems.contains("never/one") && problems.contains("volume.snapshot"), "{problems}");
    kubectl(&stand.a, &["delete", "volumesnapshotclass/refused"]);
    no_snapshot_is_left(stand, &program, "never");
    stand.retire(&["never"]);
}

/// Some snapshots stay with the storage; a restore at the same site is made of them and writes nothing.
#[test]
fn a_restore_at_home_is_made_of_a_kept_snapshot() {
    let stand = Stand::get();
    let program = Program::new(stand, "home");
    deploy(&stand.a, "home");
    let payload = "head -c 20000000 /dev/urandom > /one/payload && md5sum < /one/payload";
    let digest = kubectl(&stand.a, &["exec", "-n", "home", "deploy/counter", "--", "sh", "-c", payload]);
    program.init_vault();
    program.add("home", &application("home", ""));
    for _ in 0..3 {
        program.ok(&["backup", "home", "--context", "a", "--keep-snapshots", "1"]);
    }
    let kept = || program.ok(&["snapshots", "home", "--context", "a", "-o", "json"]).json();
    assert_eq!(kept().as_array().map(Vec::len), Some(2), "one of each claim: {:#}", kept());
    let report = ["restore", "home/latest", "--to", "a", "--namespace-map", "home=home-again", "-o", "json"];
    let report = program.ok(&report).json();
    let written: Vec<&Value> = volumes(&report).iter().map(|volume| &volume["bytesWritten"]).collect();
    assert_eq!(written, [0, 0], "{report:#}");
    let restored = ["exec", "-n", "home-again", "deploy/counter", "--", "sh", "-c", "md5sum < /one/payload"];
    assert_eq!(kubectl(&stand.a, &restored), digest);
    program.ok(&["snapshots", "home", "--context", "a", "--delete"]);
    assert_eq!(kept().as_array().map(Vec::len), Some(0), "{:#}", kept());
    no_snapshot_is_left(stand, &program, "home");
    stand.retire(&["home", "home-again"]);
}
