//! Claims of every access mode: how each is read, and that it comes back as what it was or was mapped to.

use std::time::Duration;

use holdfast_testbed::{CSI_CLASS, CSI_IMAGE_CLASS, CSI_PLAIN_CLASS, Site};

use crate::program::Program;
use crate::snapshots::{application, no_snapshot_is_left, volumes};
use crate::stand::{Stand, apply, kubectl, until};

const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn claim(namespace: &str, name: &str, class: &str, mode: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{storageClassName: {class}, accessModes: [{mode}], resources: {{requests: {{storage: 64Mi}}}}{more}}}\n---\n"
    )
}

/// A deployment whose pods have one claim at `/data`.
pub(crate) fn deployment(namespace: &str, name: &str, claim: &str, replicas: u32, command: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  replicas: {replicas}\n\
         \x20 strategy: {{type: Recreate}}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n\
         \x20   spec:\n      terminationGracePeriodSeconds: 1\n      containers:\n      - name: c\n        image: testbed.local/busybox:1\n\
         \x20       imagePullPolicy: Never\n        command: [sh, -c, '{command}; sleep 100000']\n\
         \x20       volumeMounts: [{{name: d, mountPath: /data}}]\n      volumes:\n      - {{name: d, persistentVolumeClaim: {{claimName: {claim}}}}}\n---\n"
    )
}

/// A protected namespace with these objects, whose deployments are ready.
fn protected(stand: &Stand, name: &str, objects: &str) -> Program {
    apply(&stand.a, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    apply(&stand.a, objects);
    kubectl(
        &stand.a,
        &["wait", "deploy", "--all", "-n", name, "--for=condition=Available", "--timeout=120s"],
    );
    let program = Program::new(stand, name);
    program.init_vault();
    program.add(name, &application(name, ""));
    program
}

/// Access modes of a claim and of its volume.
fn modes(site: &Site, namespace: &str, claim: &str) -> [String; 2] {
    let of = |arguments: &[&str]| kubectl(site, arguments).trim().to_owned();
    let modes = "jsonpath={.spec.accessModes[*]}";
    let volume = of(&["get", "pvc", claim, "-n", namespace, "-o", "jsonpath={.spec.volumeName}"]);
    [of(&["get", "pvc", claim, "-n", namespace, "-o", modes]), of(&["get", "pv", &volume, "-o", modes])]
}

pub(crate) fn run(site: &Site, namespace: &str, deployment: &str, script: &str) -> String {
    let deployment = format!("deploy/{deployment}");
    kubectl(site, &["exec", "-n", namespace, &deployment, "--", "sh", "-c", script])
}

/// The volume of readers is filled by a writer of ours, and theirs again afterwards.
#[test]
#[ignore = "long: the variant of many writers is for every change"]
fn a_claim_of_many_readers_comes_back_to_be_read() {
    let stand = Stand::get();
    let copy = ", dataSource: {kind: PersistentVolumeClaim, name: seed}";
    apply(&stand.a, "{apiVersion: v1, kind: Namespace, metadata: {name: library}}");
    apply(&stand.a, &claim("library", "seed", CSI_CLASS, "ReadWriteOnce", ""));
    apply(&stand.a, &deployment("library", "author", "seed", 1, "echo once > /data/book; sync"));
    until(&stand.a, LIMIT, &["exec", "-n", "library", "deploy/author", "--", "cat", "/data/book"], |said| {
        said == "once"
    });
    let readers = claim("library", "books", CSI_CLASS, "ReadOnlyMany", copy)
        + &deployment("library", "reader", "books", 2, "cat /data/book");
    let program = protected(stand, "library", &readers);
    let point = program.ok(&["backup", "library", "--context", "a", "-o", "json"]).json();
    assert_eq!(point["outcome"], "Completed", "{point:#}");
    let shown = program.ok(&["point", "show", "library/latest", "-o", "wide"]).stdout;
    assert!(shown.contains("ROX") && shown.contains("RWO"), "{shown}");

    program.ok(&["restore", "library/latest", "--to", "b"]);
    assert_eq!(modes(&stand.b, "library", "books"), ["ReadOnlyMany", "ReadOnlyMany"]);
    assert_eq!(run(&stand.b, "library", "reader", "cat /data/book").trim(), "once");
    let refused = run(&stand.b, "library", "reader", "touch /data/new 2>&1 || echo refused");
    assert!(refused.contains("refused"), "{refused}");
    // Nobody writes into it where it is, and that is said.
    kubectl(&stand.b, &["scale", "deploy/reader", "-n", "library", "--replicas=0"]);
    let restore =
        ["volume", "restore", "library/latest", "--claim", "library/books", "--to", "b", "--in-place"];
    let said = program.run(&restore);
    let told = format!("{}{}", said.stdout, said.stderr);
    assert!(
        said.code != 0 && told.contains("its access mode is ReadOnlyMany") && told.contains("library/books"),
        "{told}"
    );
    no_snapshot_is_left(stand, &program, "library");
    stand.retire(&["library"]);
}

/// One mover reads what several pods write to; the point says where. A class that has no such volumes is named, and
/// another mode is enough.
#[test]
fn a_claim_of_many_writers_is_read_by_one_mover_and_mapped_where_there_is_none() {
    let stand = Stand::get();
    let writers = claim("office", "desk", CSI_PLAIN_CLASS, "ReadWriteMany", "")
        + &deployment("office", "clerk", "desk", 2, "hostname > /data/$(hostname)");
    let program = protected(stand, "office", &writers);
    let wrote = run(&stand.a, "office", "clerk", "sync; ls /data | wc -l");
    assert_eq!(wrote.trim(), "2");
    let point = program.ok(&["backup", "office", "--context", "a", "-o", "json"]).json();
    let volume = &volumes(&point)[0];
    assert_eq!((&volume["method"], volumes(&point).len()), (&"live-files".into(), 1), "{point:#}");
    assert_eq!(volume["node"], stand.a.node_name(), "{point:#}");
    let shown = program.ok(&["point", "show", "office/latest", "-o", "wide"]).stdout;
    assert!(shown.contains("RWX") && shown.contains(&stand.a.node_name()), "{shown}");

    program.ok(&["restore", "office/latest", "--to", "b"]);
    assert_eq!(modes(&stand.b, "office", "desk"), ["ReadWriteMany", "ReadWriteMany"]);
    assert_eq!(run(&stand.b, "office", "clerk", "ls /data | wc -l").trim(), "4", "two old files and two new");

    // A disk is written to at one node.
    let class = format!("{CSI_PLAIN_CLASS}={CSI_IMAGE_CLASS}");
    let elsewhere = ["restore", "office/latest", "--to", "b", "--namespace-map", "office=annex"];
    let onto_disks = ["--storage-class-map", &class, "--mover-start-timeout", "15s", "-o", "json"];
    // Its pods wait for the claim.
    let unready = ["--ready-within", "0s"];
    let report = program.expect(3, &[&elsewhere[..], &onto_disks, &unready].concat()).json();
    let problems = report["problems"].to_string();
    for word in ["annex/desk", CSI_IMAGE_CLASS, "ReadWriteMany", "at one node", "--access-mode-map"] {
        assert!(problems.contains(word), "`{word}` is missing from {problems}");
    }
    let mapped = ["--access-mode-map", "ReadWriteMany=ReadWriteOnce"];
    program.ok(&[&elsewhere[..], &onto_disks, &mapped].concat());
    assert_eq!(modes(&stand.b, "annex", "desk"), ["ReadWriteOnce", "ReadWriteOnce"]);
    assert!(run(&stand.b, "annex", "clerk", "ls /data").lines().count() >= 2);
    no_snapshot_is_left(stand, &program, "office");
    stand.retire(&["office", "annex"]);
}

/// A claim that one pod may have is read beside that pod, through its snapshot, and by a pod of ours when it has none.
#[test]
fn a_claim_of_one_pod_is_captured_and_restored() {
    let stand = Stand::get();
    let owners = claim("one-pod", "live", CSI_PLAIN_CLASS, "ReadWriteOncePod", "")
        + &claim("one-pod", "cut", CSI_CLASS, "ReadWriteOncePod", "")
        + &deployment("one-pod", "alive", "live", 1, "echo live > /data/name; sync")
        + &deployment("one-pod", "cutter", "cut", 1, "echo cut > /data/name; sync");
    let program = protected(stand, "one-pod", &owners);
    let method = |claim: &str| {
        let point = program.ok(&["backup", "one-pod", "--context", "a", "-o", "json"]).json();
        assert_eq!(point["outcome"], "Completed", "{point:#}");
        let volume = volumes(&point).iter().find(|volume| volume["claim"] == claim).expect("the volume");
        volume["method"].as_str().expect("a method").to_owned()
    };
    assert_eq!(method("cut"), "snapshot");
    assert_eq!(method("live"), "live-files");
    program.ok(&["restore", "one-pod/latest", "--to", "b"]);
    for (owner, claim) in [("alive", "live"), ("cutter", "cut")] {
        assert_eq!(modes(&stand.b, "one-pod", claim), ["ReadWriteOncePod", "ReadWriteOncePod"]);
        assert_eq!(run(&stand.b, "one-pod", owner, "cat /data/name").trim(), claim);
    }
    kubectl(&stand.a, &["scale", "deploy/alive", "-n", "one-pod", "--replicas=0"]);
    until(&stand.a, LIMIT, &["get", "pods", "-n", "one-pod", "-l", "app=alive", "-o", "name"], str::is_empty);
    assert_eq!(method("live"), "held-files");
    no_snapshot_is_left(stand, &program, "one-pod");
    stand.retire(&["one-pod"]);
}
