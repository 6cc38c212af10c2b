//! File systems that are captured as blocks: they come back whole, with everything that is in them, and a restore
//! that dies on the way leaves nothing.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_testbed::{CSI_IMAGE_CLASS, CSI_PLAIN_CLASS, FaultProxy, Faults, Site};
use serde_json::Value;

use crate::program::Program;
use crate::snapshots::{application, no_snapshot_is_left, volumes};
use crate::stand::{Stand, apply, kubectl, until};

const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
const RULE: &str = "  volumes: [{claim: \"*/data\", as: blocks}]\n";

/// A pod that has a file system of 1 GiB mounted and leaves it alone.
fn deploy(site: &Site, name: &str, class: &str) {
    let user = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: user, namespace: NAME}\n\
         spec:\n  selector: {matchLabels: {app: user}}\n  template:\n    metadata: {labels: {app: user}}\n    spec:\n\
         \x20     terminationGracePeriodSeconds: 1\n      containers:\n      - name: user\n        image: testbed.local/busybox:1\n\
         \x20       imagePullPolicy: Never\n        command: [sleep, '100000']\n        volumeMounts: [{name: d, mountPath: /data}]\n\
         \x20     volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]\n";
    let claim = format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data, namespace: {name}}}\n\
         spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n---\n"
    );
    apply(site, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    apply(site, &format!("{claim}{}", user.replace("NAME", name)));
    let ready = ["get", "deploy/user", "-n", name, "-o", "jsonpath={.status.readyReplicas}"];
    until(site, LIMIT, &ready, |said| said == "1");
}

fn run(site: &Site, name: &str, script: &str) -> String {
    kubectl(site, &["exec", "-n", name, "deploy/user", "--", "sh", "-c", script])
}

/// Where the kubelet has the volume of the only pod of a namespace mounted: this machine is its node.
fn mount_of(site: &Site, name: &str) -> PathBuf {
    let uid = kubectl(site, &["get", "pods", "-n", name, "-o", "jsonpath={.items[0].metadata.uid}"]);
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let found = places.into_iter().find(|place| place.contains(uid.trim()) && place.ends_with("/mount"));
    found.unwrap_or_else(|| panic!("no volume of pod {uid} is mounted:\n{mounts}")).into()
}

/// Everything of a volume that a program can see: names, content, owners, modes, times, links, extended attributes.
fn digest(site: &Site, name: &str) -> String {
    let tar = "tar --sort=name --numeric-owner --xattrs '--xattrs-include=*' --format=posix \
               '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' -C \"$1\" -cf - . | sha256sum";
    let mut command = Command::new("sh");
    command.args(["-c", tar, "sh"]).arg(mount_of(site, name));
    let said = command.output().expect("tar starts");
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    String::from_utf8(said.stdout).expect("a digest")
}

/// Many small files, a large one with holes, links, foreign owners, odd modes and extended attributes.
fn populate(site: &Site, name: &str) {
    run(
        site,
        name,
        "cd /data && mkdir -p many deep/er && for n in $(seq 500); do echo $n > many/$n; done \
         && head -c 40000000 /dev/urandom > payload && truncate -s 300M sparse && echo end >> sparse \
         && cp payload deep/er/again && ln payload hard && ln -s many/7 soft && mkfifo pipe \
         && chown 1234:5678 many/1 deep && chmod 4751 many/2 && chmod 000 many/3 && touch -d '2001-02-03 04:05:06' many/4",
    );
    let at = mount_of(site, name);
    for (path, key, value) in [("many/5", "user.origin", "head office"), ("deep/er", "trusted.t", "yes")] {
        rustix::fs::setxattr(at.join(path), key, value.as_bytes(), rustix::fs::XattrFlags::empty())
            .expect("an extended attribute");
    }
    run(site, name, "sync");
}

fn data(point: &Value) -> &Value {
    volumes(point).iter().find(|volume| volume["claim"] == "data").expect("the volume")
}

fn mib_read(point: &Value) -> u64 {
    data(point)["bytesRead"].as_u64().expect("bytes") / MIB
}

/// What restores of this program have left in `holdfast-system`: devices, snapshots, pods, Jobs.
fn left(site: &Site, program: &Program) -> Vec<String> {
    let kinds = "persistentvolumeclaims,volumesnapshots,jobs,pods,secrets";
    let columns = "custom-columns=KIND:.kind,NAME:.metadata.name,RUN:.metadata.labels.holdfast\\.dev/run";
    let list =
        ["get", kinds, "-n", "holdfast-system", "-l", "holdfast.dev/run", "-o", columns, "--no-headers"];
    let said = kubectl(site, &[&list[..], &["--ignore-not-found"]].concat());
    let runs = program.runs();
    let of_ours = |line: &&str| runs.iter().any(|run| line.trim_end().ends_with(run));
    said.lines().filter(of_ours).map(str::to_owned).collect()
}

/// Kills a restore when `there` is, and sweeps until nothing of it is left.
fn kill_when(
    stand: &Stand,
    program: &Program,
    restore: &[&str],
    there: &[&str],
    good: impl Fn(&str) -> bool,
) {
    let mut run = program.start(restore);
    until(&stand.b, LIMIT, there, good);
    run.kill().expect("the run is ours to kill");
    run.wait().expect("it ends");
    let bound = Instant::now() + LIMIT;
    while !left(&stand.b, program).is_empty() {
        assert!(Instant::now() < bound, "after a sweep there is {:?}", left(&stand.b, program));
        // The lease of the dead run has to end before the run counts as dead.
        program.ok(&["sweep", "--context", "b"]);
    }
}

#[test]
fn a_file_system_captured_as_blocks_comes_back_with_all_that_is_in_it() {
    let stand = Stand::get();
    let line = FaultProxy::start(&stand.s3.address().ip().to_string(), stand.s3.address()).expect("a line");
    let mut program = Program::new(stand, "whole");
    program.endpoint = line.endpoint();
    deploy(&stand.a, "whole", CSI_IMAGE_CLASS);
    populate(&stand.a, "whole");
    program.init_vault();
    program.add("whole", &application("whole", RULE));
    let backup = ["backup", "whole", "--context", "a", "--keep-snapshots", "1", "-o", "json"];
    let first = program.ok(&backup).json();
    assert_eq!(
        (&data(&first)["method"], &data(&first)["as"]),
        (&"snapshot".into(), &"blocks".into()),
        "{first:#}"
    );
    assert_eq!(first["consistency"], "group", "{first:#}");
    assert!((70..200).contains(&mib_read(&first)), "{} MiB read where some 80 are used", mib_read(&first));
    run(&stand.a, "whole", "cd /data && head -c 4000000 /dev/urandom > fresh && rm many/9 && sync");
    let second = program.ok(&backup).json();
    assert!((4..30).contains(&mib_read(&second)), "{} MiB read where 4 were written", mib_read(&second));
    let shown = program.ok(&["point", "show", "whole/latest"]).stdout;
    assert!(shown.contains("snapshot, as blocks"), "{shown}");
    no_files_of_it_are_had(&program);
    let wanted = digest(&stand.a, "whole");

    let restore = ["restore", "whole/latest", "--to", "b", "--wait", "-o", "json"];
    line.set(Faults { bandwidth: Some(4 * MIB), ..Faults::default() });
    let active = "jsonpath={range .items[*]}{.metadata.annotations.holdfast\\.dev/subject} {.status.ready}{'\\n'}{end}";
    let movers = ["get", "jobs", "-n", "holdfast-system", "-l", "holdfast.dev/part=mover", "-o", active];
    kill_when(stand, &program, &restore, &movers, |said| said.contains("whole/data 1"));
    line.set(Faults::default());
    let cuts = ["get", "volumesnapshots", "-n", "holdfast-system", "-o", "name"];
    kill_when(stand, &program, &restore, &cuts, |said| said.contains("restore-cut-"));
    let report = program.ok(&restore).json();
    assert_eq!(report["outcome"], "Completed", "{report:#}");
    assert_eq!(digest(&stand.b, "whole"), wanted);
    until(&stand.b, LIMIT, &cuts, |said| !said.contains("restore-cut-"));
    no_device_is_left(&stand.b);
    let again = program.ok(&restore).json();
    assert_eq!(again["outcome"], "Completed", "{again:#}");

    at_home_by_a_kept_snapshot(stand, &program, &wanted);
    program.ok(&["snapshots", "whole", "--context", "a", "--delete"]);
    let check = program.restic("whole", &["check", "--read-data"]);
    assert!(check.stdout.contains("no errors were found"), "{check:#?}");
    no_snapshot_is_left(stand, &program, "whole");
    stand.retire(&["whole", "whole-again"]);
}

/// Single files and restores in place are refused for what they are.
fn no_files_of_it_are_had(program: &Program) {
    for command in
        [&["files", "ls", "whole/latest", "data"][..], &["files", "cat", "whole/latest", "data", "/x"]]
    {
        let refused = program.expect(1, command);
        assert!(refused.stderr.contains("captured as blocks"), "{refused:?}");
    }
    let in_place = ["volume", "restore", "whole/latest", "--claim", "whole/data", "--to", "a", "--in-place"];
    let refused = program.expect(1, &in_place);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("captured as blocks") && said.contains("--namespace-map"), "{said}");
}

/// Where the storage has kept the snapshot nothing is written; the class makes volumes only when a pod wants them.
fn at_home_by_a_kept_snapshot(stand: &Stand, program: &Program, wanted: &str) {
    apply(
        &stand.a,
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: image-late}, provisioner: csi.testbed.holdfast.dev, \
         parameters: {form: image}, volumeBindingMode: WaitForFirstConsumer}",
    );
    let map = ["--namespace-map", "whole=whole-again", "--storage-class-map", "csi-image=image-late"];
    let report =
        program.ok(&[&["restore", "whole/latest", "--to", "a", "-o", "json"][..], &map].concat()).json();
    assert_eq!(data(&report)["bytesWritten"], 0, "{report:#}");
    assert_eq!(digest(&stand.a, "whole-again"), wanted);
    no_device_is_left(&stand.a);
}

fn no_device_is_left(site: &Site) {
    let devices = ["get", "pvc", "-n", "holdfast-system", "-l", "holdfast.dev/part=device", "-o", "name"];
    until(site, LIMIT, &devices, str::is_empty);
}

/// Where the storage takes no snapshots nothing else is done silently, neither to capture nor to restore.
#[test]
fn blocks_without_snapshots_are_a_problem_with_the_name_of_the_claim() {
    let stand = Stand::get();
    let program = Program::new(stand, "plainly");
    deploy(&stand.a, "plainly", CSI_PLAIN_CLASS);
    program.init_vault();
    program.add("plainly", &application("plainly", RULE));
    let point = program.expect(3, &["backup", "plainly", "--context", "a", "-o", "json"]).json();
    let problems = point["problems"].to_string();
    assert!(problems.contains("volume.as_blocks") && problems.contains("plainly/data"), "{problems}");
    assert!(point["volumes"].as_array().is_some_and(Vec::is_empty), "{point:#}");
    stand.retire(&["plainly"]);

    deploy(&stand.a, "plainly-not", CSI_IMAGE_CLASS);
    program.add("plainly-not", &application("plainly-not", RULE));
    program.ok(&["backup", "plainly-not", "--context", "a"]);
    let map = ["--storage-class-map", "csi-image=csi-plain", "--ready-within", "0s", "-o", "json"];
    let report =
        program.expect(3, &[&["restore", "plainly-not/latest", "--to", "b"][..], &map].concat()).json();
    let problems = report["problems"].to_string();
    assert!(problems.contains("volume.as_blocks") && problems.contains("plainly-not"), "{problems}");
    assert_eq!(left(&stand.b, &program), Vec::<String>::new());
    no_snapshot_is_left(stand, &program, "plainly-not");
    stand.retire(&["plainly-not"]);
}
