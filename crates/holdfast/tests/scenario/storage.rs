//! Storage and movers in trouble: success, or an error with the name of the claim, and nothing left.

use std::time::Duration;

use holdfast_testbed::{CSI_CLASS, CSI_IMAGE_CLASS, CSI_LATE_CLASS, FaultProxy, Faults, Site};
use serde_json::Value;

use crate::program::Program;
use crate::snapshots::{application, counter_of, deploy_on, no_snapshot_is_left, volumes};
use crate::stand::{Stand, apply, image, kubectl, until};
use crate::trouble::{kubeconfig_of, limited_kubeconfig};

const LIMIT: Duration = Duration::from_secs(120);

pub fn claim(namespace: &str, name: &str, class: &str, size: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {size}}}}}}}\n---\n"
    )
}

/// A claim whose volume waits for a pod has nothing to capture; all else is captured.
#[test]
fn a_pending_claim_is_named_and_the_rest_is_there() {
    let stand = Stand::get();
    let program = counter_of(stand, "pending", CSI_CLASS);
    apply(&stand.a, &claim("pending", "waiting", CSI_LATE_CLASS, "64Mi"));
    let point = program.ok(&["backup", "pending", "--context", "a", "-o", "json"]).json();
    let excluded = point["excluded"].to_string();
    assert!(excluded.contains("pending/waiting") && excluded.contains("not bound"), "{excluded}");
    assert_eq!(volumes(&point).len(), 2, "{point:#}");
    no_snapshot_is_left(stand, &program, "pending");
    stand.retire(&["pending"]);
}

/// A mover whose limit is too low for it is killed by the kernel: said so, and the next run needs no help.
#[test]
fn a_mover_that_runs_out_of_memory_is_named() {
    let stand = Stand::get();
    let program = counter_of(stand, "starved", CSI_CLASS);
    let payload = "head -c 60000000 /dev/urandom > /one/payload; sync";
    kubectl(&stand.a, &["exec", "-n", "starved", "deploy/counter", "--", "sh", "-c", payload]);
    let point = program
        .expect(3, &["backup", "starved", "--context", "a", "--mover-memory", "14Mi", "-o", "json"])
        .json();
    let problems = point["problems"].to_string();
    assert!(problems.contains("starved/one") && problems.contains("volume.mover"), "{problems}");
    assert!(problems.contains("OOMKilled") || problems.contains("137"), "{problems}");
    no_snapshot_is_left(stand, &program, "starved");
    let point = program.ok(&["backup", "starved", "--context", "a", "-o", "json"]).json();
    assert_eq!(volumes(&point).len(), 2, "{point:#}");
    stand.retire(&["starved"]);
}

/// A restore in place of more than there is room for names the claim; the point is as good as before.
#[test]
fn a_volume_that_is_full_is_named() {
    let stand = Stand::get();
    let program = Program::new(stand, "cramped");
    apply(&stand.a, "{apiVersion: v1, kind: Namespace, metadata: {name: cramped}}");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: holder, namespace: cramped}\nspec:\n  terminationGracePeriodSeconds: 0\n\
               \x20 containers:\n  - name: c\n    image: testbed.local/busybox:1\n    imagePullPolicy: Never\n    command: [sleep, infinity]\n\
               \x20   volumeMounts: [{name: d, mountPath: /data}]\n  volumes:\n  - {name: d, persistentVolumeClaim: {claimName: data}}\n";
    apply(&stand.a, &format!("{}{pod}", claim("cramped", "data", CSI_CLASS, "96Mi")));
    until(
        &stand.a,
        LIMIT,
        &["get", "pod/holder", "-n", "cramped", "-o", "jsonpath={.status.phase}"],
        |said| said == "Running",
    );
    let run =
        |script: &str| kubectl(&stand.a, &["exec", "-n", "cramped", "holder", "--", "sh", "-c", script]);
    run("head -c 60000000 /dev/urandom > /data/first; sync");
    program.init_vault();
    program.add("cramped", &application("cramped", ""));
    program.ok(&["backup", "cramped", "--context", "a"]);
    run("rm /data/first; head -c 60000000 /dev/urandom > /data/second; sync");
    kubectl(&stand.a, &["delete", "pod/holder", "-n", "cramped", "--wait=true"]);
    let restore =
        ["volume", "restore", "cramped/latest", "--claim", "cramped/data", "--to", "a", "--in-place"];
    let said = program.run(&restore);
    assert!(said.code == 1 || said.code == 3, "{said:?}");
    let told = format!("{}{}", said.stdout, said.stderr);
    assert!(told.contains("cramped/data") && told.contains("is full"), "{told}");
    // With what was in the way gone, the same restore completes it.
    apply(&stand.a, pod);
    until(&stand.a, LIMIT, &["exec", "-n", "cramped", "holder", "--", "rm", "-f", "/data/second"], |_| true);
    kubectl(&stand.a, &["delete", "pod/holder", "-n", "cramped", "--wait=true"]);
    program.ok(&restore);
    no_snapshot_is_left(stand, &program, "cramped");
    stand.retire(&["cramped"]);
}

/// A driver that restarts in the middle costs time; a node that dies ends the wait for it, and is named with the claim.
#[test]
#[ignore = "long: a node has to be missed"]
fn a_driver_and_a_node_that_die_under_a_backup() {
    let shared = Stand::get();
    let mut nodes = shared.block_on(async {
        let site = Site::builder("pair").csi().nodes(2).image(image());
        site.start().await.expect("a site of two nodes")
    });
    a_driver_restarts(shared, &mut nodes);
    a_node_dies(shared, &mut nodes);
    shared.block_on(nodes.stop()).expect("the site goes");
}

pub fn program_at(shared: &Stand, nodes: &Site, name: &str) -> (Program, FaultProxy) {
    let line = FaultProxy::start(&shared.s3.address().ip().to_string(), shared.s3.address()).expect("a line");
    let mut program = Program::new(shared, name);
    program.endpoint = line.endpoint();
    program.set("KUBECONFIG", &nodes.kubeconfig().to_string_lossy());
    program.init_vault();
    program.add(name, &application(name, ""));
    (program, line)
}

fn a_driver_restarts(shared: &Stand, nodes: &mut Site) {
    deploy_on(nodes, "driven", CSI_CLASS);
    let (program, _line) = program_at(shared, nodes, "driven");
    let mut run = program.start(&["backup", "driven", "--context", "pair"]);
    until(nodes, LIMIT, &["get", "volumesnapshots", "-n", "driven", "-o", "name"], |said| !said.is_empty());
    nodes.kill_component("csi-driver").expect("the driver dies");
    std::thread::sleep(Duration::from_secs(3)); // how long it is away
    nodes.restart_component("csi-driver").expect("the driver is back");
    assert!(run.wait().expect("it ends").success(), "see the evidence of `driven`");
    let point = program.ok(&["point", "show", "driven/latest", "-o", "json"]).json();
    assert!(volumes(&point).iter().all(|volume| volume["method"] == "snapshot"), "{point:#}");
    let ours = ["get", "volumesnapshotcontents", "-l", "holdfast.dev/run", "-o", "name"];
    until(nodes, LIMIT, &ours, str::is_empty);
    kubectl(nodes, &["delete", "namespace", "driven", "--wait=false"]);
}

fn a_node_dies(shared: &Stand, nodes: &mut Site) {
    let dying = nodes.node_names()[1].clone();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: writer, namespace: dying}}\nspec:\n  nodeSelector: {{kubernetes.io/hostname: {dying}}}\n\
         \x20 containers:\n  - name: c\n    image: testbed.local/busybox:1\n    imagePullPolicy: Never\n\
         \x20   command: [sh, -c, \"head -c 60000000 /dev/urandom > /data/f; touch /data/ready; sleep 100000\"]\n\
         \x20   volumeMounts: [{{name: d, mountPath: /data}}]\n  volumes:\n  - {{name: d, persistentVolumeClaim: {{claimName: data}}}}\n"
    );
    apply(nodes, "{apiVersion: v1, kind: Namespace, metadata: {name: dying}}");
    apply(nodes, &format!("{}{pod}", claim("dying", "data", "local", "1Gi")));
    until(nodes, LIMIT, &["exec", "-n", "dying", "writer", "--", "cat", "/data/ready"], |_| true);
    let (program, line) = program_at(shared, nodes, "dying");
    // Slow enough that the mover is not done before its node is dead.
    line.set(Faults { bandwidth: Some(1 << 20), ..Faults::default() });
    let mut run = program.start(&["backup", "dying", "--context", "pair"]);
    let movers = [
        "get",
        "pods",
        "-n",
        "holdfast-system",
        "-l",
        "holdfast.dev/part=mover",
        "-o",
        "jsonpath={.items[*].status.phase}",
    ];
    until(nodes, LIMIT, &movers, |said| said == "Running");
    shared.block_on(nodes.kill_node(1)).expect("the node dies");
    line.set(Faults::default());
    assert_eq!(run.wait().expect("it ends").code(), Some(3), "Partial; see the evidence of `dying`");
    let point = program.ok(&["point", "show", "dying/latest", "-o", "json"]).json();
    let problems = point["problems"].to_string();
    assert!(problems.contains("dying/data") && problems.contains(&dying), "{problems}");
    shared.block_on(nodes.start_node(1)).expect("the node is back");
    program.ok(&["sweep", "--context", "pair"]);
    until(
        nodes,
        LIMIT,
        &["get", "pods,jobs,secrets", "-n", "holdfast-system", "-l", "holdfast.dev/run", "-o", "name"],
        str::is_empty,
    );
}

/// A raw device of 1 GiB that is an image, and a deployment that has it.
pub fn deploy_disk(site: &Site, name: &str) {
    let disk = claim(name, "disk", CSI_IMAGE_CLASS, "1Gi").replace("spec: {", "spec: {volumeMode: Block, ");
    let user = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: user, namespace: NAME}\n\
         spec:\n  selector: {matchLabels: {app: user}}\n  template:\n    metadata: {labels: {app: user}}\n    spec:\n\
         \x20     terminationGracePeriodSeconds: 1\n      containers:\n      - name: user\n        image: testbed.local/busybox:1\n\
         \x20       imagePullPolicy: Never\n        command: [sleep, '100000']\n        volumeDevices: [{name: d, devicePath: /dev/disk}]\n\
         \x20     volumes: [{name: d, persistentVolumeClaim: {claimName: disk}}]\n";
    apply(site, &format!("{disk}{}", user.replace("NAME", name)));
    let ready = ["get", "deploy/user", "-n", name, "-o", "jsonpath={.status.readyReplicas}"];
    until(site, LIMIT, &ready, |said| said == "1");
}

/// Writes `count` MiB at `at` MiB.
pub fn write_disk(site: &Site, name: &str, at: u32, count: u32) {
    let script =
        format!("dd if=/dev/urandom of=/dev/disk bs=1M count={count} seek={at} conv=fsync 2>/dev/null");
    kubectl(site, &["exec", "-n", name, "deploy/user", "--", "sh", "-c", &script]);
}

/// MiB read of the claim `disk`.
pub fn read_of_disk(point: &Value) -> u64 {
    let disk = volumes(point).iter().find(|volume| volume["claim"] == "disk").expect("the disk");
    disk["bytesRead"].as_u64().expect("bytes") >> 20
}

/// With exactly the printed roles claims are cut together and a driver is asked what changed.
#[test]
fn the_printed_roles_suffice_for_groups_and_changed_blocks() {
    let stand = Stand::get();
    let mut program = counter_of(stand, "allowed", CSI_IMAGE_CLASS);
    deploy_disk(&stand.a, "allowed");
    apply(&stand.a, &program.ok(&["rbac", "--namespace", "allowed"]).stdout);
    let kubeconfig = program.path("limited.kubeconfig");
    limited_kubeconfig(stand, &kubeconfig);
    program.set("KUBECONFIG", kubeconfig.to_str().expect("a path in UTF-8"));
    write_disk(&stand.a, "allowed", 3, 16);
    for (written, most) in [(16, 24), (4, 8)] {
        let backup = ["backup", "allowed", "--context", "limited", "--keep-snapshots", "1", "-o", "json"];
        let point = program.ok(&[&backup[..], &["--consistency", "group"]].concat()).json();
        assert_eq!(point["consistency"], "group", "{point:#}");
        let read = read_of_disk(&point);
        assert!((written..=most).contains(&read), "{read} MiB read where {written} were written");
        write_disk(&stand.a, "allowed", 7, 4);
    }
    program.ok(&["snapshots", "allowed", "--context", "limited", "--delete"]);
    no_snapshot_is_left(stand, &program, "allowed");
    stand.retire(&["allowed"]);
}

/// What a driver says of its snapshots spares reading: of a device with holes what is allocated, and where the storage
/// kept the last snapshot, what changed since.
#[test]
fn of_a_device_only_what_changed_is_read() {
    let stand = Stand::get();
    let program = Program::new(stand, "told");
    apply(&stand.a, "{apiVersion: v1, kind: Namespace, metadata: {name: told}}");
    deploy_disk(&stand.a, "told");
    let run =
        |site, script: &str| kubectl(site, &["exec", "-n", "told", "deploy/user", "--", "sh", "-c", script]);
    let write = |at: u32, count: u32| write_disk(&stand.a, "told", at, count);
    program.init_vault();
    program.add("told", &application("told", ""));
    let read = |more: &[&str]| {
        let backup = ["backup", "told", "--context", "a", "-o", "json"];
        read_of_disk(&program.ok(&[&backup[..], more].concat()).json())
    };
    write(3, 8);
    write(700, 8);
    let first = read(&["--keep-snapshots", "1"]);
    assert!((16..=24).contains(&first), "{first} MiB read of 16 that are allocated");
    write(704, 4);
    let second = read(&["--keep-snapshots", "1"]);
    assert!((4..=8).contains(&second), "{second} MiB read of 4 that changed");
    program.ok(&["restore", "told/latest", "--to", "b"]);
    let digest = |site| run(site, "md5sum < /dev/disk");
    assert_eq!(digest(&stand.a), digest(&stand.b));
    // Without the snapshot to compare with, all that is allocated is read.
    program.ok(&["snapshots", "told", "--context", "a", "--delete"]);
    write(3, 1);
    let third = read(&[]);
    assert!((16..=24).contains(&third), "{third} MiB read");
    let shown = program.restic("told", &["check", "--read-data"]);
    assert!(shown.stdout.contains("no errors were found"), "{shown:#?}");
    no_snapshot_is_left(stand, &program, "told");
    stand.retire(&["told"]);
}

/// A claim that was deleted and made again has another volume: what the storage kept of the one before is no base for
/// it, nor is a file in the vault one of it because it has the same name, size and time.
#[test]
fn a_claim_that_was_made_again_is_read_anew() {
    let stand = Stand::get();
    let program = Program::new(stand, "remade");
    apply(&stand.a, "{apiVersion: v1, kind: Namespace, metadata: {name: remade}}");
    program.init_vault();
    program.add("remade", &application("remade", ""));
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: filer, namespace: remade}\nspec:\n  terminationGracePeriodSeconds: 0\n\
               \x20 containers:\n  - name: c\n    image: testbed.local/busybox:1\n    imagePullPolicy: Never\n    command: [sleep, '100000']\n\
               \x20   volumeMounts: [{name: d, mountPath: /data}]\n  volumes:\n  - {name: d, persistentVolumeClaim: {claimName: files}}\n";
    let deploy = |content: &str| {
        deploy_disk(&stand.a, "remade");
        apply(&stand.a, &format!("{}{pod}", claim("remade", "files", CSI_CLASS, "64Mi")));
        let write = format!("echo {content} > /data/f; touch -d '2026-01-01 00:00:00' /data/f; sync");
        let filer = ["exec", "-n", "remade", "filer", "--", "sh", "-c", &write];
        until(&stand.a, LIMIT, &filer, |_| true);
    };
    let backup = ["backup", "remade", "--context", "a", "--keep-snapshots", "1", "-o", "json"];
    deploy("first");
    write_disk(&stand.a, "remade", 3, 8);
    write_disk(&stand.a, "remade", 700, 8);
    program.ok(&backup);
    kubectl(&stand.a, &["delete", "deploy/user", "pod/filer", "pvc/disk", "pvc/files", "-n", "remade"]);
    deploy("again");
    write_disk(&stand.a, "remade", 300, 8);
    let point = program.ok(&backup).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    let read = read_of_disk(&point);
    assert!((8..=16).contains(&read), "{read} MiB read of 8 that are allocated");
    assert_eq!(program.ok(&["files", "cat", "remade/latest", "files", "f"]).stdout, "again\n");
    program.ok(&["restore", "remade/latest", "--to", "b"]);
    let digest = ["exec", "-n", "remade", "deploy/user", "--", "sh", "-c", "md5sum < /dev/disk"];
    assert_eq!(kubectl(&stand.a, &digest), kubectl(&stand.b, &digest));
    program.ok(&["snapshots", "remade", "--context", "a", "--delete"]);
    no_snapshot_is_left(stand, &program, "remade");
    stand.retire(&["remade"]);
}

/// With exactly the printed rights of a restore, what a restore left that was killed is settled and completed.
#[test]
fn an_account_that_may_only_restore_settles_a_dead_restore() {
    let stand = Stand::get();
    let line = FaultProxy::start(&stand.s3.address().ip().to_string(), stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, "heir");
    program.endpoint = line.endpoint();
    deploy_on(&stand.a, "heir", CSI_CLASS);
    let payload = "head -c 20000000 /dev/urandom > /one/payload && md5sum < /one/payload";
    let digest = kubectl(&stand.a, &["exec", "-n", "heir", "deploy/counter", "--", "sh", "-c", payload]);
    program.init_vault();
    program.add("heir", &application("heir", ""));
    program.ok(&["backup", "heir", "--context", "a"]);

    apply(&stand.b, "{apiVersion: v1, kind: Namespace, metadata: {name: heir}}");
    apply(&stand.b, &program.ok(&["rbac", "restore", "--namespace", "heir"]).stdout);
    let kubeconfig = program.path("limited.kubeconfig");
    kubeconfig_of(&stand.b, "holdfast-restore", &kubeconfig);
    program.set("KUBECONFIG", kubeconfig.to_str().expect("a path in UTF-8"));
    line.set(Faults { bandwidth: Some(1 << 20), ..Faults::default() });
    let restore = ["restore", "heir/latest", "--to", "limited", "-o", "json"];
    let mut run = program.start(&restore);
    let subject = "jsonpath={range .items[*]}{.metadata.annotations.holdfast\\.dev/subject}{'\\n'}{end}";
    let jobs = ["get", "jobs", "-n", "holdfast-system", "-l", "holdfast.dev/part=mover", "-o", subject];
    until(&stand.b, LIMIT, &jobs, |said| said.contains("heir/"));
    std::thread::sleep(Duration::from_secs(3)); // the mover is at work
    run.kill().expect("the run is ours to kill");
    run.wait().expect("it ends");
    line.set(Faults::default());
    let report = program.ok(&restore).json();
    assert_eq!(report["outcome"], "Completed", "{report:#}");
    let restored = ["exec", "-n", "heir", "deploy/counter", "--", "sh", "-c", "md5sum < /one/payload"];
    assert_eq!(kubectl(&stand.b, &restored), digest);
    no_snapshot_is_left(stand, &program, "heir");
    stand.retire(&["heir"]);
}
