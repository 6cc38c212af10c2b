//! Many objects: a restore costs little more than creating them, and memory does not follow their number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use holdfast_cluster::{Cluster, Write, kinds};
use holdfast_model::Outcome;
use holdfast_model::restore::{Existing, Verdict};
use holdfast_protect::restore::{RestoreRequest, restore};
use serde_json::{Value, json};

use crate::restore::support::{Protected, admin, problems, sites, terms};

const AT_ONCE: usize = 32;

fn secret(namespace: &str, number: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": format!("s-{number:05}"), "namespace": namespace},
        "stringData": {"value": format!("{number:0>1000}")}})
}

async fn create(cluster: &Cluster, namespace: &str, count: usize) -> Duration {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    cluster.create(&kinds::namespaces(), &space, &Write::default()).await.unwrap();
    let (began, of) = (Instant::now(), Arc::new(kinds::secrets()));
    stream::iter(0..count)
        .for_each_concurrent(AT_ONCE, |number| {
            let of = of.clone();
            async move {
                cluster.create(&of, &secret(namespace, number), &Write::default()).await.unwrap();
            }
        })
        .await;
    began.elapsed()
}

async fn round_trip(count: usize) {
    let [a, _] = sites().await;
    let cluster = admin(a).await;
    let (name, copy) = (format!("crowd-{count}"), format!("copy-{count}"));
    let created = create(&cluster, &name, count).await;
    let crowd = Protected::new(&name, &[&name]).await;
    let began = Instant::now();
    let point = crowd.backup(&cluster).await;
    let captured = began.elapsed();
    assert_eq!(point.outcome, Outcome::Completed, "{:?}", point.problems);
    let request = crowd.request(&cluster).await;
    let terms = terms(&[&format!("{name}={copy}")], Existing::None);
    let began = Instant::now();
    let report = restore(RestoreRequest { terms, wait_ready: Duration::ZERO, ..request }).await.unwrap();
    let restored = began.elapsed();
    println!(
        "{count} secrets: created in {created:.2?}, captured in {captured:.2?}, restored in {restored:.2?}"
    );
    assert_eq!(report.outcome, Outcome::Completed, "{}", problems(&report));
    assert!(report.count(Verdict::Created) >= count as u64);
    let listed = a.kubectl(&["-n", &copy, "get", "secrets", "-o", "name"]).await.unwrap();
    assert_eq!(listed.lines().count(), count);
    for namespace in [&name, &copy] {
        a.kubectl(&["delete", "namespace", namespace, "--wait=false"]).await.unwrap();
    }
}

/// Beyond the number at which a directory of a point is split.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_objects_in_one_namespace_come_back() {
    round_trip(5000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 31,000 objects"]
async fn long_tens_of_thousands_of_objects_come_back() {
    round_trip(31_000).await;
}
