//! The promise that memory does not follow the number of objects: a backup and a restore of many
//! Secrets each stay below a limit that a few thousand come near already.

use std::process::Child;
use std::time::Duration;

use futures::{StreamExt, stream};
use holdfast_cluster::{Cluster, Connect, Write, kinds};
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::program::Program;
use crate::stand::{self, Stand};

/// MiB that a backup or a restore of objects may take (docs/benchmarks.md).
const LIMIT: u64 = 100;
/// How often a process is looked at; its kernel keeps the peak meanwhile.
const INTERVAL: Duration = Duration::from_millis(5);
const AT_ONCE: usize = 32;

/// A Secret whose value does not compress, as keys and certificates do not.
fn secret(namespace: &str, number: usize) -> Value {
    let value: String = (0..1000).map(|_| char::from(rand::rng().random_range(b'!'..=b'~'))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"value": value},
        "metadata": {"name": format!("s-{number:06}"), "namespace": namespace}})
}

async fn create(cluster: &Cluster, namespace: &str, count: usize) {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    cluster.create(&kinds::namespaces(), &space, &Write::default()).await.unwrap();
    let of = kinds::secrets();
    let creates = stream::iter(0..count).map(|number| {
        let (cluster, of, object) = (cluster.clone(), of.clone(), secret(namespace, number));
        async move { cluster.create(&of, &object, &Write::brief()).await.unwrap() }
    });
    creates.buffer_unordered(AT_ONCE).for_each(async |_| ()).await;
}

/// Waits for a process and gives the most memory it had, in MiB.
fn peak(mut child: Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let seen = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        peak = seen.and_then(|kib| kib.parse().ok()).unwrap_or(0).max(peak);
        std::thread::sleep(INTERVAL);
    };
    assert!(ended.success(), "{ended}");
    peak / 1024
}

fn stays_below_the_limit(count: usize) {
    let (stand, namespace) = (Stand::get(), format!("crowd-{count}"));
    let program = Program::new(stand, &namespace);
    program.init_vault();
    let connect = Connect { kubeconfig: Some(stand.a.kubeconfig()), ..Connect::default() };
    stand.block_on(async { create(&Cluster::connect(connect).await.unwrap(), &namespace, count).await });
    program.ok(&["app", "add", "crowd", "--namespace", &namespace]);
    let backup = peak(program.start(&["backup", "crowd", "--context", "a"]));
    let restore = peak(program.start(&["restore", "crowd/latest", "--context", "a", "--to", "b"]));
    println!("{count} secrets: backup {backup} MiB, restore {restore} MiB");
    let found = stand::kubectl(&stand.b, &["-n", &namespace, "get", "secrets", "-o", "name"]);
    assert_eq!(found.lines().count(), count);
    assert!(backup > 0 && restore > 0, "nothing was measured");
    assert!(backup <= LIMIT && restore <= LIMIT, "backup {backup} MiB, restore {restore} MiB");
    for site in [&stand.a, &stand.b] {
        stand::kubectl(site, &["delete", "namespace", &namespace, "--wait=false"]);
    }
}

#[test]
fn thousands_of_objects_stay_below_the_limit() {
    stays_below_the_limit(6_000);
}

#[test]
#[ignore = "long: 60,000 objects, ten times as many, below the same limit"]
fn long_tens_of_thousands_of_objects_stay_below_the_limit() {
    stays_below_the_limit(60_000);
}
