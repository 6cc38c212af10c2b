//! What a killed process leaves behind: nothing but logs, whether its guard lives or not.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_testbed::{Cache, Reporter, Running, list, sweep};

const LIMIT: Duration = Duration::from_secs(60);

/// A class of volumes that are images, at the node of their pod.
const IMAGES: &str = "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: image-late}
provisioner: csi.testbed.holdfast.dev
parameters: {form: image}
volumeBindingMode: WaitForFirstConsumer
---
";

/// Something in every place where a node can leave something: a pod with a volume, with a raw device, which is a loop
/// device on a file of a file system on another, and with a file system on such a device.
const POD: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-@NODE@}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: raw-@NODE@}
spec: {storageClassName: csi-late, volumeMode: Block, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: image-@NODE@}
spec: {storageClassName: image-late, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: @NODE@}
spec:
  nodeSelector: {kubernetes.io/hostname: @NODE@}
  containers:
  - name: p
    image: testbed.local/busybox:1
    command: [sh, -c, "exec 3>/dev/raw; while sleep 0.1; do date > /image/now; done"]
    volumeMounts: [{name: d, mountPath: /data}, {name: i, mountPath: /image}]
    volumeDevices: [{name: r, devicePath: /dev/raw}]
  volumes:
  - {name: d, persistentVolumeClaim: {claimName: data-@NODE@}}
  - {name: r, persistentVolumeClaim: {claimName: raw-@NODE@}}
  - {name: i, persistentVolumeClaim: {claimName: image-@NODE@}}
---
"#;

#[test]
fn a_killed_owner_leaves_nothing() {
    let (owner, nodes) = start("killed", 1);
    dies_and_leaves_nothing(owner, &nodes, &[9]);
}

#[test]
fn a_killed_owner_of_two_nodes_leaves_nothing() {
    let (owner, nodes) = start("killed-pair", 2);
    dies_and_leaves_nothing(owner, &nodes, &[11, 10]);
}

/// The owner dies, and its guard takes away what `kinds` of things each node has.
fn dies_and_leaves_nothing(mut owner: Child, nodes: &[Running], kinds: &[usize]) {
    let there: Vec<_> = nodes.iter().map(left).collect();
    let counts: Vec<_> = there.iter().map(Vec::len).collect();
    assert_eq!(counts, kinds, "everything there is to leave is there: {there:#?}");
    owner.kill().expect("SIGKILL");
    owner.wait().expect("its end");
    wait_until_gone(nodes);
    for node in nodes {
        let kept = std::fs::read_dir(&node.dir).expect("its directory").count();
        assert_eq!(kept, if node.node == 0 { 2 } else { 1 }, "logs, and the site's kubeconfig");
        assert!(
            !std::fs::read_dir(node.dir.join("log")).expect("logs").flatten().collect::<Vec<_>>().is_empty()
        );
    }
}

/// Waits until the guard took everything away.
fn wait_until_gone(nodes: &[Running]) {
    let begun = Instant::now();
    while nodes.iter().any(|node| !left(node).is_empty() || is_listed(node)) {
        let left: Vec<_> = nodes.iter().map(left).collect();
        assert!(begun.elapsed() < LIMIT, "still there after its guard had time: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("everything gone {:.1?} after the kill", begun.elapsed());
}

#[test]
fn what_even_the_guard_did_not_live_to_remove_is_swept() {
    let (mut owner, nodes) = start("swept", 2);
    let guard = guard_of(owner.id());
    run("kill", &["-9", &guard.to_string()]);
    owner.kill().expect("SIGKILL");
    owner.wait().expect("its end");
    let all_left = || nodes.iter().flat_map(left).collect::<Vec<_>>();
    assert!(!all_left().is_empty());
    // With nobody else to do it. Another test's start may be about to sweep it too, or a part of it.
    sweep(&Cache::of_user().expect("a cache"), &Reporter::stderr()).expect("a sweep");
    let begun = Instant::now();
    while !all_left().is_empty() {
        assert!(begun.elapsed() < LIMIT, "left after the sweep: {:#?}", all_left());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A driver that dies in the middle of a snapshot leaves file systems frozen, and their writers beyond SIGKILL, of
/// which one is at a node other than the pool's.
#[test]
fn what_writes_to_a_frozen_file_system_goes_too() {
    let (mut owner, nodes) = start("frozen", 2);
    let mounts = entries(&nodes[0].dir.join("csi/mounts").to_string_lossy());
    assert_eq!(mounts.len(), 2, "{mounts:?}");
    for mount in &mounts {
        run("fsfreeze", &["--freeze", mount]);
    }
    std::thread::sleep(Duration::from_millis(300));
    owner.kill().expect("SIGKILL");
    owner.wait().expect("its end");
    wait_until_gone(&nodes);
}

/// Starts a site in a process of its own, with a pod at each node and a loop device. Gives what is listed of it.
fn start(name: &str, nodes: usize) -> (Child, Vec<Running>) {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_holdfast-testbed"))
        .args(["up", "--foreground", "--csi", "--nodes", &nodes.to_string(), name])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut line = String::new();
    let mut output = BufReader::new(owner.stdout.take().expect("its output"));
    output.read_line(&mut line).expect("a line");
    let kubeconfig =
        line.trim().strip_prefix("export KUBECONFIG=").expect("where its kubeconfig is").to_owned();
    let dir = Path::new(&kubeconfig).parent().expect("its directory").to_owned();
    let mut listed = list().expect("a list");
    listed.retain(|node| node.name == name && node.dir.parent() == dir.parent());
    listed.sort_by_key(|node| node.node);
    assert_eq!(listed.len(), nodes, "{listed:?}");
    let kubectl = |args: &[&str]| {
        let program = kubectl();
        run(&program.to_string_lossy(), &[&["--kubeconfig", &kubeconfig], args].concat())
    };
    let names = kubectl(&["get", "nodes", "-o=jsonpath={.items[*].metadata.name}"]);
    let pods: String = names.split(' ').map(|node| POD.replace("@NODE@", node)).collect();
    let manifest = dir.join("run/pods.yaml");
    std::fs::write(&manifest, IMAGES.to_owned() + &pods).expect("a file");
    kubectl(&["apply", "-f", &manifest.to_string_lossy()]);
    kubectl(&["wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s"]);
    let disk = dir.join("volumes/disk");
    std::fs::File::create(&disk).and_then(|file| file.set_len(1 << 20)).expect("a file");
    run("losetup", &["-f", &disk.to_string_lossy()]);
    (owner, listed)
}

/// Everything of a node that the machine still has, in words.
fn left(site: &Running) -> Vec<String> {
    let slot = site.slot;
    let mut left = Vec::new();
    let mut see = |what: &str, found: Vec<String>| {
        if !found.is_empty() {
            left.push(format!("{what}: {found:?}"));
        }
    };
    let runtime = format!("/run/holdfast-testbed/{slot}");
    let in_use = |path: &str| Path::new(path).starts_with(&site.dir) || Path::new(path).starts_with(&runtime);
    see("processes", processes(slot, site));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| in_use(point));
    see("mounts", points.map(String::from).collect());
    see("network namespaces", existing(&[format!("/run/netns/hf-{slot}")]));
    see("cables", existing(&[format!("/sys/class/net/hfv{slot}")]));
    see("switches", existing(&["hfs", "hfu"].map(|kind| format!("/sys/class/net/{kind}{slot}"))));
    let routes = run("ip", &["route"]);
    let via = format!("via {} ", site.address);
    see("routes", routes.lines().filter(|route| route.contains(&via)).map(String::from).collect());
    let roots = entries("/sys/fs/cgroup");
    let groups: Vec<String> = roots
        .iter()
        .map(|root| format!("{root}/hf-{slot}"))
        .chain([format!("/sys/fs/cgroup/hf-{slot}")])
        .collect();
    see("cgroups", existing(&groups));
    see("sockets", existing(std::slice::from_ref(&runtime)));
    let files = entries("/sys/block")
        .into_iter()
        .filter_map(|device| std::fs::read_to_string(format!("{device}/loop/backing_file")).ok());
    see("loop devices", files.filter(|file| in_use(file)).collect());
    let links = entries("/var/log/containers")
        .into_iter()
        .filter(|link| std::fs::read_link(link).is_ok_and(|to| to.starts_with(&site.dir)));
    see("links to logs", links.collect());
    let marker = format!("hf-{slot}-pods-");
    let results = entries("/var/lib/cni/results").into_iter().filter(|file| file.contains(&marker));
    see("network results", results.collect());
    left
}

/// Processes that are in the slot's cgroup or network namespace, or that name its directory.
fn processes(slot: u16, site: &Running) -> Vec<String> {
    let namespace = std::fs::metadata(format!("/run/netns/hf-{slot}")).map(|meta| meta.ino()).ok();
    entries("/proc")
        .into_iter()
        .filter(|process| {
            let read = |file: &str| std::fs::read(format!("{process}/{file}")).unwrap_or_default();
            let cgroup = String::from_utf8_lossy(&read("cgroup")).lines().any(|line| {
                let path = line.rsplit(':').next().unwrap_or_default();
                path == format!("/hf-{slot}") || path.starts_with(&format!("/hf-{slot}/"))
            });
            let net = std::fs::metadata(format!("{process}/ns/net")).map(|meta| meta.ino()).ok();
            let named = String::from_utf8_lossy(&read("cmdline")).contains(&*site.dir.to_string_lossy());
            let zombie = String::from_utf8_lossy(&read("stat")).contains(") Z ");
            !zombie && (cgroup || named || (net.is_some() && net == namespace))
        })
        .collect()
}

fn is_listed(site: &Running) -> bool {
    list().expect("a list").iter().any(|other| other.dir == site.dir)
}

/// The guard's pid: the child of `owner` that is called so.
fn guard_of(owner: u32) -> i32 {
    let children =
        std::fs::read_to_string(format!("/proc/{owner}/task/{owner}/children")).unwrap_or_default();
    let threads = entries(&format!("/proc/{owner}/task"));
    let all =
        threads.iter().map(|task| std::fs::read_to_string(format!("{task}/children")).unwrap_or_default());
    all.chain([children])
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).split('\0').nth(1) == Some("guard")
        })
        .expect("a guard")
}

fn entries(dir: &str) -> Vec<String> {
    let Ok(items) = std::fs::read_dir(dir) else { return Vec::new() };
    items.flatten().map(|item| item.path().to_string_lossy().into_owned()).collect()
}

fn existing(paths: &[String]) -> Vec<String> {
    paths.iter().filter(|path| Path::new(path).exists()).cloned().collect()
}

fn kubectl() -> PathBuf {
    let cache = Cache::of_user().expect("a cache");
    let part = holdfast_testbed::Part::Kubernetes(holdfast_testbed::KUBERNETES.into());
    part.build(&cache, &Reporter::silent()).expect("built").bin("kubectl")
}

fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().expect("it runs");
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
