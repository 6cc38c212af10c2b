//! A point made by somebody who means harm: named, and never applied anywhere but where it says.

use holdfast_cluster::kinds;
use holdfast_model::point::{POINT_FILE, Point};
use holdfast_model::restore::Verdict;
use holdfast_model::{ObjectRef, Outcome};
use holdfast_protect::point::{self, file_name};
use holdfast_vault::{Repository, Snapshot, WriterOptions};
use serde_json::json;

use crate::restore::support::{Protected, admin, problems, sites};
use crate::support::files::{self, Files};

fn secret(namespace: &str, name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}})
}

fn place(namespace: &str, name: &str) -> String {
    let object =
        ObjectRef { resource: kinds::secrets(), namespace: Some(namespace.into()), name: name.into() };
    format!("{}/{}", object.directory().join("/"), file_name(name))
}

/// Writes a point with these files in place of its objects.
async fn forge(repository: &Repository, genuine: &Point, mut files: Files) {
    let points = point::list(repository).await.unwrap();
    let summary = points.newest().unwrap().clone();
    let snapshot = repository.snapshot(&summary.snapshot).await.unwrap();
    files.insert(POINT_FILE.to_owned(), serde_json::to_vec(genuine).unwrap());
    let writer = repository.writer(WriterOptions::default()).await.unwrap();
    let tree = files::store(&writer, files).await;
    let mut forged = Snapshot::new(snapshot.time, tree);
    forged.tags = snapshot.tags;
    forged.summary = snapshot.summary;
    forged.time = snapshot.time.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
    writer.commit(forged).await.unwrap();
    writer.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_point_is_named_and_applied_nowhere_else() {
    let [a, b] = sites().await;
    a.apply("{apiVersion: v1, kind: Namespace, metadata: {name: lair}}").await.unwrap();
    a.apply(&secret("lair", "genuine").to_string()).await.unwrap();
    let lair = Protected::new("lair", &["lair"]).await;
    let genuine = lair.backup(&admin(a).await).await;

    let mut files = Files::new();
    let mut put = |path: String, bytes: Vec<u8>| files.insert(path, bytes);
    put(place("lair", "good"), secret("lair", "good").to_string().into_bytes());
    put(place("lair", "elsewhere"), secret("kube-system", "elsewhere").to_string().into_bytes());
    put(place("lair", "renamed"), secret("lair", "other").to_string().into_bytes());
    let admin_binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "root", "namespace": "lair"}});
    put(place("lair", "root"), admin_binding.to_string().into_bytes());
    put(place("lair", "broken"), b"{\"apiVersion\":".to_vec());
    put(place("lair", "deep"), [b"[".repeat(50_000), b"]".repeat(50_000)].concat());
    put(place("lair", "large"), vec![b' '; 4 << 20]);
    put(place("%2e%2e", "up"), secret("%2e%2e", "up").to_string().into_bytes());
    put("resources/core/v1/unheardof/lair/x.json".to_owned(), b"{}".to_vec());
    put("resources/stray.json".to_owned(), b"{}".to_vec());
    forge(&lair.repository, &genuine, files).await;

    let target = admin(b).await;
    b.apply("{apiVersion: v1, kind: Namespace, metadata: {name: lair}}").await.unwrap();
    let report = lair.restore(&target, &[]).await;
    assert_eq!(report.outcome, Outcome::Partial);
    assert_eq!(report.count(Verdict::Created), 1, "{:?}", report.objects);
    let told = problems(&report);
    for name in ["elsewhere", "renamed", "root", "broken", "deep", "large", "up", "unheardof", "stray"] {
        assert!(told.lines().any(|line| line.contains(name)), "{name} is not named in\n{told}");
    }
    let system = b.kubectl(&["-n", "kube-system", "get", "secrets", "-o", "name"]).await.unwrap();
    assert!(!system.contains("elsewhere"));
    let there = b.kubectl(&["-n", "lair", "get", "secrets", "-o", "name"]).await.unwrap();
    assert_eq!(there.trim(), "secret/good");
}
